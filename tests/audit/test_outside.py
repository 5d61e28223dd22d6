"""An auditor from outside: nothing of the checkout is imported, and one that audits itself well is not believed."""

import json
import os
import shutil
from pathlib import Path

import polars as pl
import pytest

import isolation
from makers import commands, forgeries
from makers.made_benchmark import Made
from makers.made_benchmark import git as ask
from shiftbench import __version__
from shiftbench.audit import outside
from shiftbench.base import registry
from shiftbench.base.errors import NotRunError
from shiftbench.base.refs import Ref
from shiftbench.workflow.plan import plan as plans

TABLES = Ref("tables", "tiny")


def audited(sources: Path, *words: str, home: Path) -> dict:
    """Return the JSON of an audit by the package below a folder, run in another folder than the checkout's."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(sources), "HOME": str(home)}
    done = commands.run(("shiftbench", "audit", *words, "--json", "-"), home, environment)
    assert done.stdout, done.stderr
    found: dict = json.loads(done.stdout)
    return found


@pytest.fixture
def held(published: Made, tmp_path: Path) -> Made:
    """The published benchmark, in a checkout that holds the package, as a clone of this repository does."""
    root = tmp_path / "checkout"
    shutil.copytree(published.root, root, symlinks=True)
    for name in isolation.tracked():
        if name.startswith("src/shiftbench/"):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(isolation.ROOT / name, root / name)
    commit(root, "with its package")
    return Made(root)


def commit(root: Path, why: str) -> None:
    for words in (("add", "-A"), ("commit", "-q", "-m", why)):
        ask("-C", str(root), *words)


def test_an_edited_auditor_that_always_says_exact(held, tmp_path):
    """Committed, and so no change that its own audit could see; a number of the tables is forged, digests updated."""
    metric = (pl.col("metric") == "accuracy") & pl.col("model").str.ends_with("-s0")
    forgeries.cell(held.root, TABLES, metric, value=pl.col("value") + 1e-4)
    file = held.root / "src/shiftbench/audit/finding.py"
    text = file.read_text().replace("return max(verdicts, key", "return 'exact' or max(verdicts, key")
    assert "'exact' or" in text
    file.write_text(text)
    commit(held.root, "refactor: simpler")
    own = audited(held.root / "src", "--only", "A14", home=held.root)
    assert (own["verdict"], own["about"]["auditor"]["inside"]) == ("exact", True)
    there = audited(isolation.ROOT / "src", str(held.root), "--only", "A14", home=tmp_path)
    (result,) = there["results"]
    assert result["verdict"] == "failed"
    assert TABLES.path in {finding["file"] for finding in result["findings"]}
    who = there["about"]["auditor"]
    assert (who["inside"], who["version"], len(who["digest"])) == (False, __version__, 64)
    assert there["about"]["checkout"]["commit"] == ask("-C", str(held.root), "rev-parse", "HEAD")


def test_a_clean_checkout_is_exact_from_outside_and_none_of_it_is_imported(held, tmp_path):
    """Each source of the checkout would leave a mark when it is run; at level 1 none does."""
    plugin = held.root / "mine/shifts/spotted.py"
    before = audited(isolation.ROOT / "src", str(held.root), "--level", "0", home=tmp_path)
    wrong = {r["name"]: r["findings"] for r in before["results"] if r["findings"]}
    assert set(wrong) <= {"coverage"}
    assert {one["verdict"] for found in wrong.values() for one in found} <= {"incomplete"}
    mark = tmp_path / "mark"
    for file in (plugin, held.root / "src/shiftbench/plugins/shifts/contrast.py"):
        file.write_text(f"open({str(mark)!r}, 'w').close()\n{file.read_text()}")
    after = audited(isolation.ROOT / "src", str(held.root), "--level", "1", home=tmp_path)
    assert not mark.exists()
    assert after["verdict"] == "failed"  # A1: it differs from HEAD


def test_another_version_of_the_code_is_planned_with_its_own_digests(held):
    """What only changes a digest is planned exactly; the module is named."""
    file = held.root / "src/shiftbench/plugins/shifts/contrast.py"
    file.write_text(file.read_text() + "\nEXTRA = 1\n")
    own = plans.load()[0].artifacts[Ref("shards", "tiny/test/contrast/3")].recipe["code"]
    plans._code.cache_clear()
    with outside.enter(held.root) as package:
        theirs = plans.load()[0].artifacts[Ref("shards", "tiny/test/contrast/3")].recipe["code"]
        assert outside.differing_modules(package) == ("plugins/shifts/contrast.py",)
    plans._code.cache_clear()
    name = "shiftbench/plugins/shifts/contrast.py"
    assert theirs[name].keys() - own[name].keys() == {"EXTRA"}
    assert theirs.keys() == own.keys()


def test_a_plugin_that_is_only_read(tmp_path):
    file = tmp_path / "some.py"
    file.write_text('"""Doc."""\nA, B = 1, {"b": (2.0,)}\nC: int = 3\nD = sum([1])\ndef needs(_): pass\n')
    module = registry.Unrun("mine.shifts.some", file)
    assert (module.A, module.B, module.C, module.__doc__) == (1, {"b": (2.0,)}, 3, "Doc.")
    assert not hasattr(module, "RANGE")
    for name in ("D", "needs"):
        with pytest.raises(NotRunError, match=f"{name} of .*some.py is known only when that file is run"):
            getattr(module, name)
