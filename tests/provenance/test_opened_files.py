"""A job says which files it opens: what nothing names is an error where a run is strict."""

import importlib
import importlib.metadata
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

from makers.made_benchmark import checkout
from shiftbench.base import registry
from shiftbench.base.errors import UndeclaredError
from shiftbench.provenance import environment, installed, opened_files, recipe, trust
from shiftbench.provenance.opened_files import Watch, watched
from shiftbench.workflow.stages import verbs


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
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # it would be older than `_began`, too
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


@pytest.mark.parametrize("goes", ["removed", "replaced"])
def test_a_new_file_may_have_the_number_of_one_that_went(tmp_path, goes):
    """File systems give a number that is free to the next file; what is still there is known by it."""
    old, stays, given = (tmp_path / name for name in ("old", "stays", "given"))
    for file in (old, stays, given):
        file.write_text("old")
    with watched(Watch([str(given)])) as watch:
        watch._began = time.time_ns()
        time.sleep(0.05)
        for file in (old, stays):
            file.chmod(0o600)  # which gives it a new time
        numbers = [(one.st_dev, one.st_ino) for one in (old.stat(), stays.stat())]
        if goes == "removed":
            old.unlink()
        else:
            given.replace(old)
        new = tmp_path / "new"
        new.write_text("new")
        found = new.stat()
        watch._older = {(found.st_dev, found.st_ino) if one == numbers[0] else one for one in watch._older}
        watch._leaving = {
            (found.st_dev, found.st_ino) if one == numbers[0] else one: name for one, name in watch._leaving.items()
        }  # as if the file system had given it the number
        new.read_text()
        stays.read_text()
        assert watch.undeclared() == [str(stays)]


def test_data_of_a_package_have_the_hash_of_its_record(tmp_path, monkeypatch):
    """An edited file of data, and one that no wheel brought, are nobody's."""
    home = tmp_path / "venv/lib/site-packages"
    (home / "some-1.dist-info").mkdir(parents=True)
    (home / "some").mkdir()
    for name in ("good.txt", "edited.txt", "dropped.txt"):
        (home / "some" / name).write_text("x")
    digest = "LXEWQrcmsEQBYnyp-6wy9chTD7GQPMTbAiWHF5IaSIE"  # of "x", as `wheel` writes it
    lines = [f"some/good.txt,sha256={digest},1", f"some/edited.txt,sha256={'A' * 43},1", "some/x.pyc,,"]
    (home / "some-1.dist-info/RECORD").write_text("\n".join(lines))
    monkeypatch.setattr(opened_files, "_PYTHON", (f"{tmp_path}/venv/",))
    files = [home / "some" / name for name in ("good.txt", "edited.txt", "dropped.txt")]
    assert heard(*files) == [str(files[2]), str(files[1])]


def test_a_record_is_that_of_the_wheel():
    stated = dict(installed.files("webdataset"))
    file = Path(str(importlib.metadata.distribution("webdataset").locate_file("webdataset/shardlists.py")))
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
    monkeypatch.setattr(registry.Folders, "extra", registry.Folders.extra)
    monkeypatch.chdir(tmp_path)
    made = checkout(tmp_path / "checkout")
    monkeypatch.chdir(made.root)
    monkeypatch.setenv("CI", "true" if strict is None else "")
    (made.root / "mine/shifts/halved.py").write_text(READS)
    (made.root / "mine/shifts/two.txt").write_text("2")
    asked = {} if strict is None else {"strict": strict}
    halved = {"shifts__halved": {"severities": [3]}, "benchmarks__tiny__shifts": ["halved"]}
    plan = made.plan(**halved, **asked)
    plan.write(made.root)
    (job,) = (job for job in plan.of_verb("shift") if "halved" in job.name)
    for other in [*plan.of_verb("fetch"), *(j for j in plan.of_verb("shift") if "identity" in j.name)]:
        recipe.execute(made.root / other.recipe_path, verbs.RUN[other.verb])
    monkeypatch.setattr(opened_files.time, "time_ns", lambda: 2**62)
    if strict is False:
        assert recipe.execute(made.root / job.recipe_path, verbs.shift)
        return
    with pytest.raises(UndeclaredError, match=r"opened .*two\.txt, which decides what is made"):
        recipe.execute(made.root / job.recipe_path, verbs.shift)
    assert not (made.root / job.artifacts[0].ref.path).exists()


def test_a_strict_job_may_read_the_list_of_trusted_checkouts(tmp_path, monkeypatch):
    """The first job of a process asks git for the commit, and git runs only where that list says so."""
    monkeypatch.setattr(registry.Folders, "extra", registry.Folders.extra)
    monkeypatch.chdir(tmp_path)
    made = checkout(tmp_path / "checkout")
    monkeypatch.chdir(made.root)
    (made.root / ".git").mkdir()
    listed = tmp_path / "state/trusted"
    listed.parent.mkdir()
    listed.write_text(f"{made.root}\n")
    monkeypatch.setenv(trust.VARIABLE, str(listed))
    plan = made.plan(
        strict=True, shifts__gaussian_noise={"severities": [2, 3]}, benchmarks__tiny__shifts=["gaussian_noise"]
    )
    plan.write(made.root)
    opened = []
    monkeypatch.setattr(trust, "_lines", lambda: opened.append(1) or listed.read_text().split())
    identity, noise = (
        [job for job in plan.of_verb("shift") if name in job.name] for name in ("identity", "gaussian_noise")
    )
    for job in (*plan.of_verb("fetch"), *identity):
        recipe.execute(made.root / job.recipe_path, verbs.RUN[job.verb])
    environment.repository.cache_clear()  # asked after the first artifact, heard at the second
    opened.clear()
    assert recipe.execute(made.root / noise[0].recipe_path, verbs.shift) > 1
    assert opened


def _opened(path: str, *words: object, **more: object) -> None:
    os.close(os.open(path, *words, **more))


def _appended(secret: Path, _: Path) -> None:
    with secret.open("a+") as stream:
        stream.seek(0)
        stream.read()


def _from_folder(secret: Path, _: Path) -> None:
    folder = os.open(secret.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _opened(secret.name, os.O_RDONLY, dir_fd=folder)
    finally:
        os.close(folder)


def _linked(secret: Path, own: Path) -> None:
    (own / "link").symlink_to(secret)
    (own / "link").read_bytes()


def _after(touch: object) -> object:
    def read(secret: Path, own: Path) -> None:
        touch(secret, own)
        secret.read_bytes()

    return read


def _hard(secret: Path, own: Path) -> None:
    os.link(secret, own / "hard")
    (own / "hard").read_bytes()


def _renamed(secret: Path, own: Path) -> None:
    secret.rename(own / "renamed")
    (own / "renamed").read_bytes()


def _renamed_folder(secret: Path, own: Path) -> None:
    secret.parent.rename(own / "folder")
    (own / "folder" / secret.name).read_bytes()


def _swapped(secret: Path, own: Path) -> None:
    (own / "mine").write_bytes(b"x")
    (own / "mine").read_bytes()
    (own / "mine").unlink()
    (own / "mine").symlink_to(secret)
    (own / "mine").read_bytes()


def _linked_elsewhere(secret: Path, own: Path) -> None:
    os.link(secret, own.parent / "beside")
    (own.parent / "beside").unlink()
    secret.read_bytes()


WAYS = {
    "plainly": lambda secret, _: secret.read_bytes(),
    "a+": _appended,
    "r+": lambda secret, _: secret.open("r+b").close(),
    "created, if it were not here": lambda secret, _: _opened(secret, os.O_RDONLY | os.O_CREAT),
    "relative to an open folder": _from_folder,
    "/proc/self/root": lambda secret, _: Path(f"/proc/self/root{secret}").read_bytes(),
    "/proc/self/cwd": lambda secret, _: Path(f"/proc/self/cwd/{os.path.relpath(secret)}").read_bytes(),
    "/proc/thread-self/root": lambda secret, _: Path(f"/proc/thread-self/root{secret}").read_bytes(),
    "by bytes": lambda secret, _: open(os.fsencode(secret), "rb").close(),  # noqa: PTH123
    "a symbolic link of its own": _linked,
    "a hard link of its own": _hard,
    "renamed": _renamed,
    "its folder renamed": _renamed_folder,
    "what was its own before": _swapped,
    "chmod": _after(lambda secret, _: secret.chmod(0o600)),
    "fchmod": _after(lambda secret, _: _fchmod(secret)),
    "utime": _after(lambda secret, _: os.utime(secret)),
    "chown": _after(lambda secret, _: os.chown(secret, -1, -1)),
    "truncate to its own length": _after(lambda secret, _: os.truncate(secret, 1)),
    "append nothing": _after(lambda secret, _: secret.open("ab").close()),
    "append something": _after(lambda secret, _: _append(secret)),
    "a link made and removed": _linked_elsewhere,
}


def _fchmod(secret: Path) -> None:
    with secret.open("ab") as stream:
        os.fchmod(stream.fileno(), 0o600)


def _append(secret: Path) -> None:
    with secret.open("ab") as stream:
        stream.write(b"y")


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_a_file_in_python_is_heard(tmp_path, way):
    """The secret is older than the job, which has a folder of its own to play in."""
    secret, own = tmp_path / "kept/labels.npy", tmp_path / "own"
    for folder in (secret.parent, own):
        folder.mkdir()
    secret.write_bytes(b"x")
    while time.time_ns() - secret.stat().st_ctime_ns < 60_000_000:
        time.sleep(0.01)
    with watched(Watch(opened_files.beginnings([], [own]))) as watch:
        (own / "written").write_bytes(b"x")
        (own / "written").read_bytes()
        assert watch.undeclared() == []
        WAYS[way](secret, own)
        assert watch.undeclared() == [str(secret)], way


def test_a_module_without_a_hash_in_site_packages_is_undeclared(tmp_path, monkeypatch):
    home = tmp_path / "lib/site-packages"
    home.mkdir(parents=True)
    (home / "labels.py").write_text("LABELS = [1]\n")
    monkeypatch.setattr(opened_files, "_PYTHON", (f"{tmp_path}/",))
    monkeypatch.syspath_prepend(home)
    for how in ("from its source", "from its bytecode"):
        sys.modules.pop("labels", None)
        with watched(Watch([])) as watch:
            importlib.import_module("labels")
            assert watch.undeclared() == [str(home / "labels.py")], how
