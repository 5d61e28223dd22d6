"""No environment that a child gets leads into the folder in which one looks around."""

import ast
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from isolation import ROOT
from shiftbench.base import rng
from shiftbench.data import providers
from shiftbench.provenance import child_environment, git, source_names
from shiftbench.provenance.child_environment import DVC, LIBRARIES, PYTHON, RUN

SEARCHED = {
    **dict.fromkeys(("PATH", "PYTHONPATH", "PYTHONHOME", "LD_AUDIT", "NUMBA_CACHE_DIR"), ":"),
    "PYTHONPYCACHEPREFIX": ":",
    "LD_LIBRARY_PATH": ":;",
    "LD_PRELOAD": ": ",
}
RELATIVE = ("", ".", "..", "./lib", "lib/", "a/b", "~/lib", "$ORIGIN", "${LIB}/x", "-x", "é")
ABSOLUTE = ("/lib", "/", "/a/../b", "/é")
KINDS = ((), LIBRARIES, PYTHON, DVC, RUN)


def drawn(seed: int) -> dict[str, tuple[str, list[str]]]:
    """Draw search paths; each with its absolute elements."""
    found = {}
    for name, separators in SEARCHED.items():
        draws = [rng.derive(seed, name, number) for number in range(11)]
        elements = [(*RELATIVE, *ABSOLUTE)[at % 15] for at in draws[1 : 2 + draws[0] % 5]]
        pieces = zip(elements, draws[6:], strict=False)
        text = "".join(separators[at % len(separators)] + element for element, at in pieces)
        bare = name == "LD_PRELOAD"
        keep = [e for e in elements if e in ABSOLUTE or (bare and e and "/" not in e)]
        found[name] = (text[seed % 2 :], keep)
    return found


@pytest.mark.parametrize("seed", range(40))
def test_search_paths_have_absolute_elements_alone_in_their_order(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = drawn(seed)
    for name, (value, _) in asked.items():
        monkeypatch.setenv(name, value)
    for kept in KINDS:
        made = child_environment.build(kept)
        for name in asked.keys() & made.keys():
            elements = asked[name][1] or os.defpath.split(":") * (name == "PATH")
            assert re.split(f"[{SEARCHED[name]}]", made[name]) == elements
    assert {name for name, (_, elements) in asked.items() if elements} <= child_environment.build(RUN).keys()
    child_environment.settle()
    assert {name: os.environ.get(name) for name in asked} == {
        name: child_environment.build(RUN).get(name) for name in asked
    }


STEERING = (
    "PYTHONSTARTUP PYTHONBREAKPOINT PYTHONINSPECT PYTHONNEW LD_PRELOAD LD_AUDIT LD_DEBUG_OUTPUT GIT_DIR "
    "GIT_SSH_COMMAND GIT_EXEC_PATH NUMBA_OPT NUMBA_NEW"
).split()


def test_what_steers_a_program_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = (*STEERING, "DVC_GLOBAL_CONFIG_DIR", "PYTHONPATH", "LD_LIBRARY_PATH")
    for name in (*asked, "HTTPS_PROXY", "AWS_PROFILE", "OMP_NUM_THREADS"):
        monkeypatch.setenv(name, "/some")
    kept = {kind: set(asked) & child_environment.build(kind).keys() for kind in (KINDS[0], *KINDS[1:])}
    assert kept == {
        (): set(),
        LIBRARIES: {"LD_LIBRARY_PATH"},
        PYTHON: {"LD_LIBRARY_PATH", "PYTHONPATH"},
        DVC: {"LD_LIBRARY_PATH", "PYTHONPATH", "DVC_GLOBAL_CONFIG_DIR"},
        RUN: set(asked),
    }
    for kind in KINDS:
        made = child_environment.build(kind, {"GIT_DIR": "asked for"})
        assert {"HTTPS_PROXY", "AWS_PROFILE", "OMP_NUM_THREADS"} <= made.keys()
        assert (made["DVC_NO_ANALYTICS"], made["DVC_DAEMON"]) == ("1", "1")
        assert made["GIT_DIR"] == "asked for"


def test_git_loads_no_library_of_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is no library: a program that opened one would not start."""
    libraries = {line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines()}
    names = {Path(name).name for name in libraries if ".so" in name} | {"libz.so.1"}
    for name in names:
        (tmp_path / name).write_text("no library")
    monkeypatch.chdir(tmp_path)
    for value in (":", "/nowhere:", ".", ":/nowhere", str(Path("lib/..")), ";"):
        monkeypatch.setenv("LD_LIBRARY_PATH", value)
        assert (git.says("--version") or "").startswith("git version")


def test_the_clients_of_originals_get_what_the_command_line_has_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, (value, _) in drawn(0).items():
        if name in ("PATH", "LD_LIBRARY_PATH", "PYTHONPATH", "LD_PRELOAD"):
            monkeypatch.setenv(name, value.replace("é", "").replace("-x", ""))
    monkeypatch.setenv("LD_LIBRARY_PATH", ":")
    child_environment.settle()
    code = "import json, os, pathlib; pathlib.Path('told').write_text(json.dumps(dict(os.environ)))"
    providers._call([sys.executable, "-c", code], tmp_path)
    told = json.loads((tmp_path / "told").read_text())
    assert "LD_LIBRARY_PATH" not in told
    assert all(one.startswith("/") for one in told["PATH"].split(":"))


# --- every place where a process is started --------------------------------------------------------------

STARTING = {
    "subprocess": "run Popen call check_call check_output getoutput getstatusoutput".split(),
    "os": "system popen execv execve execvp execl spawnv spawnl posix_spawn posix_spawnp".split(),
    "asyncio": ["create_subprocess_exec", "create_subprocess_shell"],
    "pty": ["spawn"],
}
OTHERS = ("audit/reproduce/confine.py",)
"""Becomes a command, with the environment that `isolation` built."""


def starts(tree: ast.AST) -> Iterator[ast.Call]:
    """Yield the calls that start a process."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            home = node.func.value
            if isinstance(home, ast.Name) and node.func.attr in STARTING.get(home.id, ()):
                yield node


def is_built(call: ast.Call, function: str) -> bool:
    """Whether the environment of a call is empty, or built by `child_environment`, there or under a name."""
    given = [ast.unparse(word.value) for word in call.keywords if word.arg == "env"]
    names = re.findall(r"^ *(\w+) = child_environment\.build\(", function, re.MULTILINE)
    return any(one.startswith("child_environment.build(") or one in ("{}", *names) for one in given)


def test_every_process_gets_an_environment_that_was_built() -> None:
    """In counted modules it is that of this process, which the command line has settled, or a fixed one."""
    package, wrong, seen = ROOT / "src/shiftbench", [], 0
    for file in sorted(package.rglob("*.py")):
        name = file.relative_to(package).as_posix()
        if source_names.counts(file) or name in OTHERS or "templates" in name:
            continue
        text = file.read_text()
        for call in starts(ast.parse(text)):
            seen += 1
            if not is_built(call, text):
                wrong.append(f"{name}:{call.lineno}")
    assert not wrong
    assert seen >= 7


@pytest.mark.parametrize(
    "line",
    [
        "subprocess.run(['git'])",
        "subprocess.run(['git'], env={**os.environ})",
        "subprocess.Popen(['git'], env=None)",
        "os.system('git')",
    ],
)
def test_a_process_with_another_environment_would_be_found(line: str) -> None:
    (call,) = starts(ast.parse(line))
    assert not is_built(call, line)
