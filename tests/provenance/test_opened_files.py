"""A job says which files it opens: what nothing names is an error where a run is strict."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from makers.made_campaign import checkout
from shiftbench import plugins
from shiftbench.errors import UndeclaredError
from shiftbench.provenance import installed, opened_files, recipe
from shiftbench.provenance.opened_files import Watch, watched
from shiftbench.stages import verbs


def heard(*files: Path, **allowed: list) -> list[str]:
    """Return what is undeclared of some files that are opened."""
    with watched(Watch(**{"allowed": [], **allowed})) as watch:
        for file in files:
            file.open("rb").close()
        return watch.undeclared()


def test_what_is_neither_an_input_nor_installed_nor_of_the_system(tmp_path):
    hidden, given = tmp_path / "hidden.npy", tmp_path / "in/given.npy"
    given.parent.mkdir()
    for file in (hidden, given):
        np.save(file, np.zeros(3))
    link = tmp_path / "in/link.npy"
    link.symlink_to(hidden)
    past = 1_000_000_000
    allowed = opened_files.beginnings([], [given.parent])
    with watched(Watch(allowed)) as watch:
        watch._began = sys.maxsize  # all of these are older than the job
        np.load(given)
        Path(os.__file__).read_bytes()
        Path("/etc/hostname").exists() and Path("/etc/hostname").read_bytes()
        Path(np.__file__).read_bytes()
        with tempfile.NamedTemporaryFile() as own:
            own.write(b"x")
            Path(own.name).read_bytes()
        assert watch.undeclared() == []
        os.utime(hidden, (past, past))
        np.load(hidden)
        assert watch.undeclared() == [str(hidden)]


def test_a_source_is_undeclared_unless_it_was_imported_before(tmp_path, monkeypatch):
    for name in ("imported_early", "imported_late"):
        (tmp_path / f"{name}.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    early = importlib.import_module("imported_early")
    with watched(Watch([])) as watch:
        watch._began = sys.maxsize
        Path(str(early.__file__)).read_bytes()
        assert watch.undeclared() == []
        late = importlib.import_module("imported_late")
        assert watch.undeclared() == [late.__file__]


def test_what_is_written_meanwhile_is_the_jobs_own_and_a_forged_time_stamp_is_none(tmp_path):
    old = tmp_path / "old"
    old.write_bytes(b"x")
    watch = Watch([])
    watch._began = old.stat().st_ctime_ns + 1
    os.utime(old, ns=(2**62, 2**62))
    watch._began = old.stat().st_ctime_ns + 1
    with watched(watch):
        old.read_bytes()
    assert watch.undeclared() == [str(old)]
    with watched(Watch([])) as watch:
        made = tmp_path / "made"
        made.write_bytes(b"x")
        made.read_bytes()
    assert watch.undeclared() == []


def test_data_of_a_package_have_the_hash_of_its_record(tmp_path, monkeypatch):
    """An edited file of data, and one that no wheel brought, are nobody's."""
    home = tmp_path / "venv/lib/site-packages"
    (home / "some-1.dist-info").mkdir(parents=True)
    (home / "some").mkdir()
    for name in ("good.txt", "edited.txt", "dropped.txt"):
        (home / "some" / name).write_text("x")
    digest = "LXEWQrcmsEQBYnyp-6wy9chTD7GQPMTbAiWHF5IaSIE"  # of "x", as `wheel` writes it
    lines = [
        f"some/good.txt,sha256={digest},1",
        f"some/edited.txt,sha256={'A' * 43},1",
        "some/x.pyc,,",
    ]
    (home / "some-1.dist-info/RECORD").write_text("\n".join(lines))
    monkeypatch.setattr(opened_files, "_PYTHON", (f"{tmp_path}/venv/",))
    files = [home / "some" / name for name in ("good.txt", "edited.txt", "dropped.txt")]
    assert heard(*files) == [str(files[2]), str(files[1])]


def test_a_record_is_that_of_the_wheel():
    stated = dict(installed.files("webdataset"))
    file = Path(
        str(importlib.metadata.distribution("webdataset").locate_file("webdataset/shardlists.py"))
    )
    assert stated[file] == installed.stated(file)
    assert not any(name.suffix == ".pyc" for name in stated)


READS = """
from pathlib import Path
FIELD, LEVELS, RANGE, PARAMS = "image", {3: 1.0}, (0.0, 5.0), {}
def apply(image, severity, words):
    return image // int(Path(__file__).with_name("two.txt").read_text())
"""


@pytest.mark.parametrize("strict", [None, False, True])
def test_a_strict_job_writes_nothing_from_a_file_that_nothing_names(tmp_path, monkeypatch, strict):
    """Under `strict: true`, or in CI where params say nothing; the file is older than the job."""
    monkeypatch.setattr(plugins.Folders, "extra", plugins.Folders.extra)
    monkeypatch.chdir(tmp_path)
    made = checkout(tmp_path / "checkout")
    monkeypatch.chdir(made.root)
    monkeypatch.setenv("CI", "true" if strict is None else "")
    (made.root / "mine/shifts/halved.py").write_text(READS)
    (made.root / "mine/shifts/two.txt").write_text("2")
    asked = {} if strict is None else {"strict": strict}
    halved = {"shifts__halved": {"severities": [3]}, "campaigns__tiny__shifts": ["halved"]}
    plan = made.plan(**halved, **asked)
    plan.write(made.root)
    (job,) = (job for job in plan.of_verb("shift") if "halved" in job.name)
    for other in [
        *plan.of_verb("fetch"),
        *(j for j in plan.of_verb("shift") if "identity" in j.name),
    ]:
        recipe.execute(made.root / other.recipe_path, verbs.RUN[other.verb])
    monkeypatch.setattr(opened_files.time, "time_ns", lambda: 2**62)
    if strict is False:
        assert recipe.execute(made.root / job.recipe_path, verbs.shift)
        return
    with pytest.raises(UndeclaredError, match=r"opened .*two\.txt, which decides what is made"):
        recipe.execute(made.root / job.recipe_path, verbs.shift)
    assert not (made.root / job.artifacts[0].ref.path).exists()
