"""The kernel keeps what makes outputs again to its inputs, however it asks."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from makers.made_benchmark import Made
from shiftbench.audit.checks import evaluations
from shiftbench.audit.finding import Finding, Note
from shiftbench.audit.reproduce import confine, confinement, isolation
from shiftbench.evaluation.sandbox import kernel
from shiftbench.provenance import child_environment

pytestmark = pytest.mark.skipif(bool(confinement.missing_support()), reason=confinement.missing_support())

TRIES = """
import ctypes, json, mmap, os, subprocess, sys
from pathlib import Path
secret, given, own = map(Path, sys.argv[1:4])
own.joinpath("link").symlink_to(secret)
def libc():
    library = ctypes.CDLL(None, use_errno=True)
    number = library.open(os.fsencode(secret), os.O_RDONLY)
    if number < 0:
        raise OSError(ctypes.get_errno(), "open")
    return os.read(number, 9)
def child():
    return subprocess.run(["cat", secret], check=True, capture_output=True).stdout
def forked():
    if not os.fork():
        try:
            own.joinpath("forked").write_bytes(secret.read_bytes())
        finally:
            os._exit(0)
    os.wait()
    return own.joinpath("forked").read_bytes()
def folder():
    number = os.open(secret.parent, os.O_PATH | os.O_DIRECTORY)
    return os.read(os.open(secret.name, os.O_RDONLY, dir_fd=number), 9)
def of_path():
    number = os.open(secret, os.O_PATH)
    return Path(f"/proc/self/fd/{number}").read_bytes()
def hard():
    os.link(secret, own / "hard")
    return own.joinpath("hard").read_bytes()
def renamed():
    secret.rename(own / "renamed")
    return own.joinpath("renamed").read_bytes()
def after(touch):
    def read():
        touch()
        return secret.read_bytes()
    return read
WAYS = {
    "plainly": secret.read_bytes, "a+": lambda: secret.open("a+").read(), "r+": lambda: secret.open("r+").read(),
    "O_CREAT": lambda: os.read(os.open(secret, os.O_RDONLY | os.O_CREAT), 9),
    "root": lambda: Path(f"/proc/self/root{secret}").read_bytes(),
    "parent's root": lambda: Path(f"/proc/{os.getppid()}/root{secret}").read_bytes(),
    "cwd": lambda: Path(f"/proc/self/cwd/{os.path.relpath(secret)}").read_bytes(),
    "link": own.joinpath("link").read_bytes, "hard": hard, "folder": folder, "O_PATH": of_path,
    "libc": libc, "child": child, "forked": forked, "beside an input": given.with_name("other").read_bytes,
    "chmod": after(lambda: secret.chmod(0o777)), "utime": after(lambda: os.utime(secret)),
    "listed": lambda: os.listdir(secret.parent), "written": lambda: secret.write_text("x"),
    "an input written": lambda: given.write_text("x"), "renamed": renamed,
    "made": lambda: own.with_name("new").write_text("x"),
}
through = []
for name, way in WAYS.items():
    try:
        way()
    except (OSError, subprocess.CalledProcessError):
        continue
    through.append(name)
print(json.dumps({"through": through, "input": given.read_text(), "own": bool(own.joinpath("a").write_text("a"))}))
"""


@pytest.mark.parametrize("opened", [False, True])
def test_no_way_leads_out(tmp_path: Path, opened: bool) -> None:
    """One process with a file to read and a folder to write; `opened`: with all, to show that the ways lead there."""
    secret, given, own = tmp_path / "kept/labels", tmp_path / "in/given", tmp_path / "own"
    for file in (secret, given, given.with_name("other"), own / "none"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("given")
    rules = tmp_path / "rules.json"
    readable = [*confinement._interpreter(), str(given)]
    writable = [str(tmp_path if opened else own)]
    named = {"readable": readable, "listed": [], "devices": ["/dev/null"], "writable": writable}
    rules.write_text(json.dumps(named))
    locked = [sys.executable, "-I", "-S", str(confine.__file__), str(kernel.__file__), str(rules)]
    words = [sys.executable, "-c", TRIES, str(secret), str(given), str(own)]
    done = subprocess.run([*locked, *words], cwd=own, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["input"], said["own"]) == ("x" if opened else "given", True)
    assert len(said["through"]) > 15 if opened else said["through"] == []


LEAKS = """
import ctypes
SEES = "sample"
PARAMS = {}
def wrap(predictor, params, inputs):
    library = ctypes.CDLL(None, use_errno=True)
    number = library.open(HIDDEN, 0)
    if number < 0:
        raise OSError(ctypes.get_errno(), "no way")
    return predictor
"""


@pytest.mark.real_workers
def test_a_worker_reaches_its_inputs_alone(made: Made) -> None:
    """A method opens the records of tested data by the C library, which no hook of Python's hears."""
    hidden = made.root / made.one("records", "tiny/test/contrast/3").path
    text = LEAKS.replace("HIDDEN", repr(str(hidden).encode()))
    (made.root / "mine/methods/leaks.py").write_text(text)
    plan = made.plan(methods={"plain": {"use": "leaks"}})
    case = made.case(plan=plan, level=3, count=2)
    said = list(evaluations.reevaluation(case))
    found = [one for one in said if isinstance(one, Finding)]
    assert {one.verdict for one in found} == {"failed"}
    assert {"no way" in one.why for one in found} == {True}, [one.why for one in found]
    assert any("Landlock" in one.text for one in said if isinstance(one, Note))
    assert not [one for one in evaluations.caching(case) if isinstance(one, Finding)]


def test_without_landlock_the_level_says_so(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confinement, "missing_support", lambda: "the kernel has no Landlock")
    (result,) = made.audit("training", level=3).results
    assert any("not restricted by the kernel" in note for note in result.notes)
    words = ["python", "-c", "pass"]
    assert confinement.command(made.case(), words, made.root, made.root, []) == words


@pytest.mark.parametrize(
    "name", ["PYTHONPATH", "PYTHONSTARTUP", "PYTHONHOME", "LD_PRELOAD", "LD_AUDIT", "GIT_DIR", "DVC_HOME"]
)
def test_a_worker_inherits_nothing_that_steers_it(
    made: Made, name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(name, "/a/strangers/folder")
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    checkout = isolation.IsolatedCheckout(made.case(), "quiet")
    found = child_environment.build(isolation.INHERITED, checkout._environment(tmp_path, varied=False))
    assert "/a/strangers/folder" not in " ".join(found.values())
    assert found["OMP_NUM_THREADS"] == "5"
