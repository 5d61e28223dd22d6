"""What libraries do to their process, and read of the working folder, when they are imported: nothing."""

import importlib
import json
import os
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path

import pytest

from isolation import ROOT
from shiftbench.base import library_imports, rng

TELL = """
import json
from numba.core import config
config.reload_config()
print(json.dumps([config.CACHE_DIR, config.DISABLE_JIT, config.DUMP_IR]))
"""


def numbas_settings(folder: Path, imports: str) -> list[object]:
    """Return some settings of numba in a process that starts in a folder."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [sys.executable, "-P", "-c", imports + TELL],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    found: list[object] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(
    "imports", ["import shiftbench, numba", "import numba, shiftbench", "import shiftbench.base.compiled"]
)
def test_numba_reads_no_settings_of_the_folder(tmp_path: Path, imports: str) -> None:
    settings = "cache_dir: nb\ndisable_jit: 1\ndump_ir: 1\n"
    (tmp_path / ".numba_config.yaml").write_text(settings)
    assert numbas_settings(tmp_path, imports) == ["", 0, 0]


def test_a_numba_that_names_its_settings_otherwise_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "config.py"
    file.write_text("_config_fname = '.numba' + '_settings.yaml'\n")
    loader = SourceFileLoader("config", str(file))
    module = type(sys)("config")
    with pytest.raises(ImportError, match=r"install the version in requirements\.lock"):
        library_imports._run_without_file(module, loader)
    file.write_text("_config_fname = '.numba_config.yaml'\n")
    importlib.invalidate_caches()
    os.utime(file, (1, 1))
    library_imports._run_without_file(module, loader)
    assert module._config_fname == os.devnull


@pytest.mark.parametrize("seed", range(12))
def test_the_environment_is_as_before_whatever_a_library_does(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It sets, changes and deletes variables; a few fail in the end."""
    acts = ("os.environ['NEW'] = ':'", "os.environ['HOME'] = ''", "del os.environ['PATH']", "None")
    drawn = [acts[rng.derive(seed, number) % len(acts)] for number in range(3)]
    drawn = list(dict.fromkeys(drawn)) + ["raise KeyError"] * (seed % 3 == 0)
    (tmp_path / "some_library.py").write_text("\n".join(["import os", *drawn]))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(library_imports, "GUARDED", ("some_library",))
    monkeypatch.delitem(sys.modules, "some_library", raising=False)
    before = dict(os.environ)
    if "raise KeyError" in drawn:
        with pytest.raises(KeyError):
            importlib.import_module("some_library")
    else:
        module = importlib.import_module("some_library")
        assert isinstance(module.__loader__, SourceFileLoader)
        assert module.__spec__ is not None
        assert module.__spec__.loader is module.__loader__
    assert dict(os.environ) == before
    sys.modules.pop("some_library", None)


def test_a_library_that_is_not_installed_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library_imports, "GUARDED", ("no_such_library",))
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("no_such_library")
