"""Code digests: blind to what does not compute, equal on every Python, and over all that is imported."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from shiftbench import plugins
from shiftbench.errors import PluginError
from shiftbench.provenance import code_digest

SOURCE = '''
"""Doc."""
from __future__ import annotations
import math, os.path as p
LEVELS = {1: 0.5, 2: -0.0, 3: 1e-300, 4: 3j, 5: ...}

def f(a, /, b: int = 3, *c, d=u"x", **e) -> "str":
    """Doc."""
    return f"{a!r:>{b}} {b:} {a=}" "and" f"{d:.3f}" f"" if (n := len(c)) else {*c, n}

class A:
    """Doc."""
    def g(self, a):
        match a:
            case {"k": [1, *rest], **kw} if rest:
                return lambda *, q=1: (yield)
            case int(real=1) | None:
                raise ValueError(b"\\x00") from None
        try:
            del a[1:2, ::3]
        except* OSError as error:
            print(error, sep="")
'''

SAME = {
    "a comment": ("    return f", "    # why\n    return f"),
    "a docstring": ('    """Doc."""\n    def', "    def"),
    "another docstring": ('"""Doc."""\nfrom', '"""What it is."""\nfrom'),
    "formatting": ("{1: 0.5, 2: -0.0,", "{\n    1: 0.5,\n    2: -0.0,\n   "),
    "quotes": ('"and"', "'and'"),
}
OTHER = {
    "a constant": ("1: 0.5", "1: 0.6"),
    "an int for a float": ("1: 0.5, 2", "1: 5, 2"),
    "a sign": ("-0.0", "0.0"),
    "a default": ("q=1", "q=2"),
    "a name": ("lambda *, q", "lambda *, r"),
    "a text": ('"and"', '"or"'),
    "order": ("import math, os.path as p", "import os.path as p, math"),
    "a text that documents nothing": ("    return f", '    a = 1\n    "Doc."\n    return f'),
}


def digest(folder: Path, text: str) -> str:
    file = folder / f"plugin{len(list(folder.iterdir()))}.py"
    file.write_text(text)
    return code_digest.digest(file)


def changed(edit: tuple[str, str]) -> str:
    assert SOURCE.count(edit[0]) == 1
    return SOURCE.replace(*edit)


@pytest.mark.parametrize("edit", SAME.values(), ids=SAME)
def test_what_computes_nothing_is_not_seen(tmp_path: Path, edit: tuple[str, str]) -> None:
    assert digest(tmp_path, changed(edit)) == digest(tmp_path, SOURCE)


@pytest.mark.parametrize("edit", OTHER.values(), ids=OTHER)
def test_what_computes_is_seen(tmp_path: Path, edit: tuple[str, str]) -> None:
    assert digest(tmp_path, changed(edit)) != digest(tmp_path, SOURCE)


def test_digest_is_the_same_on_every_python(tmp_path: Path) -> None:
    """The golden digest is checked on the Python that runs the tests, and on others that are here."""
    file = tmp_path / "source.py"
    file.write_text(SOURCE)
    golden = "fa2e39855fc91e89df6f8d5213e3bd60"
    assert code_digest.digest(file) == golden
    package = str(plugins.PACKAGE.parent)
    program = f"import sys; sys.path.insert(0, {package!r})\nfrom pathlib import Path\nfrom shiftbench import code\n"
    for name in ("python3.11", "python3.12", "python3.13"):
        python = shutil.which(name)
        if python and runs(python):
            asked = [python, "-c", program + f"print(code.digest(Path({str(file)!r})))"]
            said = subprocess.run(asked, capture_output=True, text=True, check=True)
            assert said.stdout.strip() == golden, name


def runs(python: str) -> bool:
    """A shim on PATH need not have an interpreter behind it."""
    return subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0


def test_assets_count_by_their_bytes_and_a_missing_one_shows(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("one\n")
    first = code_digest.digest(tmp_path / "names.txt")
    (tmp_path / "names.txt").write_text("one \n")
    assert code_digest.digest(tmp_path / "names.txt") != first
    assert code_digest.digest(tmp_path / "gone.txt") == "missing"


def test_closure_follows_imports_and_assets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shifts").mkdir()
    (tmp_path / "shifts/mine.py").write_text(
        'from shiftbench.shifts import _levels, fog\nfrom shiftbench.errors import DataError\nASSETS = ("t.csv",)\n'
    )
    (tmp_path / "shifts/t.csv").write_text("1\n")
    monkeypatch.setattr(plugins.Folders, "extra", (tmp_path,))
    found = code_digest.closure([tmp_path / "shifts/mine.py"])
    assert found.keys() >= {
        "plugins0/shifts/mine.py",
        "plugins0/shifts/t.csv",
        "shiftbench/shifts/_levels.py",
        "shiftbench/shifts/fog.py",
        "shiftbench/rng.py",  # imported by fog
    }
    assert "shiftbench/errors.py" not in found
    assert all(
        code_digest.digest(code_digest.locate(name)) == digest for name, digest in found.items()
    )


def test_what_only_tells_or_plans_does_not_count() -> None:
    """A list to be read by eye: none of these can change a byte of an output."""
    assert (
        sorted(code_digest.NOT_COUNTED)
        == (
            "__init__ __main__ audit cards cli code devices docs environment errors files leftout locks params "
            "pins plan plugins positions progress prune recipe refs release remotes rules scales sensitivity "
            "store stored streaming"
        ).split()
    )
    for stage in ("shift", "train", "evaluate"):
        modules = {
            name.split("/")[1].removesuffix(".py")
            for name in code_digest.closure([code_digest.stage(stage)])
        }
        assert not modules & code_digest.NOT_COUNTED
        assert stage in modules


def test_a_file_outside_of_all_folders_has_no_name(tmp_path: Path) -> None:
    with pytest.raises(
        PluginError, match="neither in the package nor in a folder under `plugins:`"
    ):
        code_digest.spell(tmp_path / "stray.py")


def test_digest_needs_nothing_but_the_standard_library() -> None:
    """It runs in other interpreters above, and before anything heavy in every job."""
    program = "import sys; from shiftbench import code; print('numpy' in sys.modules or 'torch' in sys.modules)"
    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == "False"
