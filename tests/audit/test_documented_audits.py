"""The audits that docs/audit.md prints are exact on a clean benchmark, at every level, and with more to draw."""

import hashlib
import json
import os
import re
import shlex

import pytest
import yaml

from makers import commands
from makers.made_benchmark import Made, commit
from makers.repositories import HOME
from shiftbench.audit.reproduce.isolation import IsolatedCheckout, Work
from shiftbench.provenance import trust

_LINE = re.compile(r"^shiftbench audit(?P<options>( --?[^#\n]*)?)", re.MULTILINE)


def documented() -> list[str]:
    """Return the options of each audit of this checkout in docs/audit.md; two runs are compared elsewhere."""
    text = (HOME / "docs/audit.md").read_text()
    found = [match["options"].strip() for match in _LINE.finditer(text)]
    return [one for one in dict.fromkeys(found) if "--against" not in one]


ALONE = [pytest.param(f"--level {n} --sample 32", marks=pytest.mark.slow) for n in range(3)]
"""Levels that the documented level 3 includes."""


@pytest.mark.parametrize("options", [*documented(), *ALONE])
def test_a_clean_benchmark_is_exact(published: Made, options: str) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(HOME / "src"),
        "HOME": str(published.root.parent),
        trust.VARIABLE: os.environ[trust.VARIABLE],
    }
    words = [word for word in shlex.split(options) if not word.endswith(".json")]
    words += [] if "--json" in words else ["--json"]
    words.insert(words.index("--json") + 1, "-")
    done = commands.run(("shiftbench", "audit", *words), published.root, environment)
    assert done.returncode == 0, done.stdout + done.stderr
    said = json.loads(done.stdout)
    assert [one["findings"] for one in said["results"] if one["findings"]] == []
    if "--level 3 --sample 32" in options:
        notes = {one["name"]: one["notes"] for one in said["results"]}
        assert any(one.startswith("2 of 2 cheap models trained again") for one in notes["training"])


def test_the_documented_audits_are_found():
    found = documented()
    assert "--level 3 --sample 32" in found
    assert len(found) >= 4


@pytest.mark.parametrize("times", [1, 2, 5])
def test_a_checkout_starts_workers_as_often_as_it_is_asked(published: Made, times: int) -> None:
    """One net after the other is trained again in one checkout."""
    checkout = IsolatedCheckout(published.case(level=3), "often")
    for _ in range(times):
        hands = [[Work()], [Work()]]
        checkout.do("model_worker", hands, lambda _: {"recipe": "none"}, varied=False)
        assert all("error" in work.answer for hand in hands for work in hand)


COMPUTED = {
    "a constant of the core": ("from shiftbench.plugins.shifts import _levels\n", "_levels.RANGE"),
    "a sum": ("", "(0.0, 2.0 + 3.0)"),
    "a comprehension": ("", "tuple(float(n) for n in (0, 5))"),
}


@pytest.mark.parametrize("constant", COMPUTED)
@pytest.mark.parametrize("trusted", [False, True])
def test_a_plugin_with_a_computed_constant_is_incomplete_from_outside(
    published: Made, constant: str, trusted: bool
) -> None:
    """From outside no plugin is run, trusted or not; the advice does not send anybody in a circle."""
    before, value = COMPUTED[constant]
    file = published.root / "mine/shifts/spotted.py"
    text = file.read_text()
    assert "(0.0, 5.0)" in text
    file.write_text(text.replace("import numpy", f"{before}import numpy").replace("(0.0, 5.0)", value))
    commit()
    home = published.root.parent
    (home / "trusted").write_text(f"{published.root}\n" if trusted else "")
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(HOME / "src"), "HOME": str(home)}
    environment[trust.VARIABLE] = str(home / "trusted")
    words = ("shiftbench", "audit", str(published.root), "--json", "-")
    done = commands.run(words, home, environment)
    assert done.returncode == 20, done.stdout + done.stderr
    said = json.loads(done.stdout)
    told = [find for one in said["results"] for find in one["findings"]]
    assert {one["verdict"] for one in told} == {"incomplete"}
    assert any("spotted.py is known only when that file is run" in one["why"] for one in told)


def test_another_output_root_is_recorded(made: Made) -> None:
    """dvc.lock states the default benchmark, whose files have the names of those of a smaller scale."""
    ref = made.one("records")
    data = b"of the default benchmark"
    oid = hashlib.md5(data, usedforsecurity=False).hexdigest()
    home = made.root.parent
    kept = home / ".dvc/cache/files/md5" / oid[:2] / oid[2:]
    kept.parent.mkdir(parents=True)
    kept.write_bytes(data)
    (home / ".dvc/config").touch()
    for place, findings in (("", 0), (f"{made.root.name}/", 1)):
        out = {"path": f"{place}{ref.path}", "md5": oid, "size": len(data)}
        lock = {"schema": "2.0", "stages": {"records": {"cmd": "x", "outs": [out]}}}
        (home / "dvc.lock").write_text(yaml.safe_dump(lock))
        assert len(made.findings("digests")) == findings
