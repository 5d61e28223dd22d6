"""`shiftbench init`: its templates are this repository's files."""

from pathlib import Path

import pytest

from isolation import ROOT
from shiftbench.base.errors import ParamsError
from shiftbench.workflow.plan import loading, params
from shiftbench.workflow.tools import init_benchmark

SHARED = ["Snakefile", ".gitignore", ".dvcignore", ".dvc/config", ".dvc/plots/severity.json"]
FOLDERS = ("workflow/rules/*.smk", "profiles/*/*.yaml")
FOUND = sorted(path.relative_to(ROOT).as_posix() for name in FOLDERS for path in ROOT.glob(name))


@pytest.mark.parametrize("name", [*SHARED, *FOUND])
def test_templates_are_the_files_of_this_repository(name: str) -> None:
    assert init_benchmark._text(name) == (ROOT / name).read_text(), f"copy {name} into {init_benchmark.TEMPLATES}"


def test_dvc_stages_differ_in_what_the_plan_depends_on_alone() -> None:
    ours = (ROOT / "dvc.yaml").read_text().splitlines()
    theirs = init_benchmark._text("dvc.yaml").splitlines()
    other = [(a, b) for a, b in zip(ours, theirs, strict=True) if a != b]
    assert [b.strip() for _, b in other] == [
        "# A comment in a plugin dirties only `plan`: the other stages depend on the recipes that it writes.",
        "deps: [params.yaml, mine, requirements.txt]",
    ]


def test_params_are_right() -> None:
    files = init_benchmark.TEMPLATES / "params.yaml", init_benchmark.TEMPLATES / "params/smoke.yaml"
    assert loading.load(*files).root == "build/smoke"
    params.registry.Folders.use(())


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ParamsError, match=r"is not empty; name a new folder"):
        init_benchmark.create(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
