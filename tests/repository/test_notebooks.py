"""docs/notebooks: what stands in them comes out again.

They are run without Jupyter (`makers.notebooks`), which the locked environment does not have. `make golden`, or

    pytest tests/repository/test_notebooks.py --update-golden

writes what comes out into them.
"""

import math
import os
import re
from pathlib import Path

import nbformat
import pytest

from isolation import ROOT
from makers import commands, notebooks
from makers.notebooks import Output

FOLDER = ROOT / "docs/notebooks"
NAMES = ("1_evaluate_a_timm_model", "2_compare_two_detectors", "3_draw_your_own_figure")
KINDS = ("text/plain", "image/svg+xml")
"""What is compared: HTML and pixels say the same."""
NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
FRAMES = re.compile(r"[\s\u2500-\u257f]+")
"""Of tables: as wide as their numbers."""
RELATIVE, ABSOLUTE = 0.1, 0.5
"""How far a number may be from the one that is kept. Another CPU adds in another order while nets are trained: AVX2 in
place of AVX-512 moved one AUROC by 0.3 points."""


@pytest.mark.workflow
@pytest.mark.network
def test_the_notebook_of_a_released_model_gives_what_it_shows(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    update = request.config.getoption("--update-golden")
    assert differences(NAMES[0], tmp_path, update=update) == []


@pytest.mark.workflow
def test_the_notebooks_of_one_benchmark_give_what_they_show(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    update = request.config.getoption("--update-golden")
    for name in NAMES[1:]:
        assert differences(name, tmp_path, update=update) == []


def differences(name: str, folder: Path, *, update: bool) -> list[str]:
    """Run a notebook whose temporary folder is `folder`; return what differs from what it keeps, or write that."""
    path, notebook = FOLDER / f"{name}.ipynb", notebooks.read(FOLDER / f"{name}.ipynb")
    environment = os.environ | commands.forking() | {"TMPDIR": str(folder)}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests")])
    given = notebooks.execute(path, folder, environment)
    if update:
        notebooks.write(path, notebook, given)
        return []
    kept = [cell["outputs"] for cell in notebooks.code(notebook["cells"])]
    return [
        f"{name}, code cell {number} shows\n{text(before)}\nand gives\n{text(now)}\n"
        "pytest tests/repository/test_notebooks.py --update-golden writes what it gives"
        for number, (before, now) in enumerate(zip(kept, given, strict=True), 1)
        if not same(text(before), text(now))
    ]


def text(outputs: list[Output]) -> str:
    """Return what is printed, shown and drawn."""
    found = [output.get("data") or {"text/plain": output["text"]} for output in outputs]
    return "".join(line for data in found for kind in KINDS for line in data.get(kind, ()))


def same(before: str, now: str) -> bool:
    """Tell whether two texts have the same words, and numbers as near as those of two CPUs."""
    if wording(before) != wording(now):
        return False
    pairs = zip(numbers(before), numbers(now), strict=True)
    return all(math.isclose(a, b, rel_tol=RELATIVE, abs_tol=ABSOLUTE) for a, b in pairs)


def wording(told: str) -> str:
    return FRAMES.sub(" ", NUMBER.sub("0", told))


def numbers(told: str) -> list[float]:
    return [float(number.replace(",", "")) for number in NUMBER.findall(told)]


def test_another_cpu_may_change_the_last_digit_and_no_word() -> None:
    assert same("│ kNN ┆  9.9 │", "│ kNN ┆ 10.0 │")
    assert same("about 1,400 photos", "about 1,500 photos")
    assert not same("9.9 points", "11.9 points")
    assert not same("0.1: decided", "0.1: not decided")
    assert not same("5 seeds", "5 seeds, n = 649")


def test_jupyter_can_open_each_notebook_and_each_is_run() -> None:
    paths = sorted(FOLDER.glob("*.ipynb"))
    assert [path.stem for path in paths] == [*NAMES]
    for path in paths:
        nbformat.validate(nbformat.read(path, as_version=4))
