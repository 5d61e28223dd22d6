"""Looking around in a stranger's folder opens none of the files that libraries, programs or Python could obey.

The folder is full of them; the kernel tells which were opened, by children too (inotify). Open are what one looks at:
params, receipts, outputs, git's and DVC's own files.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import isolation
from makers.made_benchmark import Made
from makers.opened_names import OpenedNames
from shiftbench.release import published as releases
from shiftbench.release import submission

SETTINGS = """
sitecustomize.py usercustomize.py trap.pth pyvenv.cfg .python-version .pdbrc .numba_config.yaml matplotlibrc
.env pip.conf setup.cfg tox.ini pyproject.toml pytest.ini conftest.py ruff.toml .ruff.toml mypy.ini .coveragerc
.pydistutils.cfg distutils.cfg site.cfg .gitconfig .lfsconfig .condarc .netrc .curlrc .wgetrc .boto .inputrc .profile
.bashrc .npmrc openssl.cnf fonts.conf .fonts.conf magic.mgc mime.types dask.yaml polars.toml logging.conf config.py
config-3.py version.py hubconf.py opencv.yaml lightgbm.conf .aws/config .aws/credentials .ssh/config .gnupg/gpg.conf
.kube/config .docker/config.json .config/fsspec/conf.json .config/git/config .config/matplotlib/matplotlibrc
.huggingface/token .pip/pip.conf .dask/config.yaml .ipython/profile_default/ipython_config.py nb/one.nbi
mine/shifts/__pycache__/spotted.apply-5.py311.nbi
net.gguf models/net.gguf net.tflite models/net.tflite net.pt models/net.pt net.pkl net.onnx net.onnx.data net.h5
features.npz analysis.ipynb mine/analysis.ipynb docs/analysis.ipynb .ipynb_checkpoints/analysis-checkpoint.ipynb
""".split()
MODULES = """
torch torchvision numpy fsspec cv2 yaml snakemake typer dvc numba llvmlite polars pyarrow scipy sklearn PIL rich click
pydantic jinja2 webdataset safetensors shiftbench pandas setuptools json os re site codecs encodings readline
asyncssh aiohttp s3fs boto3 dotenv
""".split()
LIBRARIES = """
libz.so.1 libc.so.6 libm.so.6 libpthread.so.0 libdl.so.2 libutil.so.1 librt.so.1 libpcre2-8.so.0 libcrypto.so.3
libssl.so.3 libstdc++.so.6 libgcc_s.so.1 libgomp.so.1 libcuda.so.1 libcudart.so.12 libnvidia-ml.so.1 libtbb.so.12
libsvml.so libiomp5.so libexpat.so.1 libffi.so.8 liblzma.so.5 libbz2.so.1.0 libsqlite3.so.0 libnss_files.so.2
""".split()
LOOKS = {
    "list --json": 0,
    "plan --estimate --json": 0,
    "why results/report/index.html": 0,
    "describe shifts spotted": 0,
    "doctor --json": 0,
    "doctor --remotes --json": 0,
    "cite": 0,
    "claims": 3,
    "audit --level 0": 20,
    "audit --level 1": 20,
    "audit HOME --level 0": 20,
    "audit HOME --level 1": 20,
    "release v1 --verify": 0,
    "verify": 0,
    "pull tables": 0,
    "review theirs.tar.gz": 0,
    "preview spotted": 2,
    "preview fog": 0,
    "make": 2,
    "audit --level 2": 2,
}
"""Command lines, each with how it ends; an audit is incomplete, since classes of a plugin are known when it is run."""


@pytest.fixture(scope="module")
def home(_published: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout that is not trusted, with a benchmark, what was published and sent of it, a remote, and the traps."""
    home = tmp_path_factory.mktemp("looking") / "checkout"
    shutil.copytree(_published.root, home, symlinks=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.setattr("shiftbench.base.registry.Folders.extra", ())
        plan, when = Made(home).plan(), "2026-01-01T00:00:00+00:00"
        releases.write(plan, home, home, None, when)
        about = {"name": "theirs", "scale": None, "created": when}
        submission.write(plan, home, home, about, home / "theirs.tar.gz")
    record(home, "results/tables")
    for name in traps():
        file = home / name
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("import os\nos.abort()\n")
    (home / ".numba_config.yaml").write_text("cache_dir: nb\n")
    return home


def traps() -> list[str]:
    return [*SETTINGS, *(f"{name}.py" for name in MODULES), *LIBRARIES]


def record(home: Path, folder: str) -> None:
    """Put a folder on a remote, and its name into dvc.lock."""
    rows = [
        {"md5": kept(home, file.read_bytes()), "relpath": file.relative_to(home / folder).as_posix()}
        for file in sorted((home / folder).rglob("*"))
        if file.is_file()
    ]
    digest = kept(home, json.dumps(rows).encode(), ".dir")
    out = f"    outs:\n    - path: {folder}\n      md5: {digest}.dir\n      hash: md5\n"
    (home / "dvc.lock").write_text(f"schema: '2.0'\nstages:\n  s:\n    cmd: x\n{out}")
    (home / "dvc.yaml").write_text(f"stages:\n  s:\n    cmd: x\n    outs:\n    - {folder}\n")
    (home / ".dvc").mkdir()
    remotes = "['remote \"r\"']\nurl = ../../remote\n['remote \"s\"']\nurl = ssh://me@127.0.0.1:1/s\n"
    (home / ".dvc/config").write_text(f"[core]\nremote = r\n{remotes}")  # ssh's client starts ld


def kept(home: Path, data: bytes, end: str = "") -> str:
    digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
    file = home.parent / "remote/files/md5" / digest[:2] / f"{digest[2:]}{end}"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    return digest


@pytest.fixture(scope="module")
def steps(home: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What each step said, and which traps were opened meanwhile."""
    scratch = tmp_path_factory.mktemp("home")
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{isolation.ROOT}/src:{isolation.ROOT}/tests",
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "SHIFTBENCH_TRUSTED": str(scratch / "trusted"),
    }
    words = [line.replace("HOME", str(home)) for line in LOOKS]
    command = [sys.executable, "-P", "-m", "makers.looking_around", json.dumps(words)]
    said = scratch / "stderr"
    watch = OpenedNames(sorted({(home / name).parent for name in traps()}))
    with (
        said.open("w") as errors,
        subprocess.Popen(
            command, cwd=home, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as process,
    ):
        found = dict(told(process, watch, home))
    watch.close()
    assert process.returncode == 0, said.read_text()
    return found


def told(process: subprocess.Popen[str], watch: OpenedNames, home: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each step with what was opened until it was done."""
    stdin, stdout = process.stdin, process.stdout
    assert stdin is not None
    assert stdout is not None
    names = {home / name for name in traps()}
    for line in stdout:
        step = json.loads(line)
        opened = sorted(str(file.relative_to(home)) for file in watch.since() & names)
        yield step["step"].replace(str(home), "HOME"), {**step, "opened": opened}
        stdin.write("\n")
        stdin.flush()


@pytest.mark.parametrize("step", ["start", "import modules", "import libraries", *LOOKS])
def test_no_trap_is_opened(steps: dict[str, dict[str, Any]], step: str) -> None:
    assert steps[step]["opened"] == []
    if step in LOOKS:
        assert steps[step]["code"] == LOOKS[step], steps[step]["said"]


@pytest.mark.parametrize("step", ["import modules", "import libraries"])
def test_imports_change_no_variable_that_leads_a_child(steps: dict[str, dict[str, Any]], step: str) -> None:
    """What libraries set for themselves stays: two words for OpenMP, one for an allocator, an absolute folder."""
    assert set(steps[step]["changed"]) <= {
        "KMP_DUPLICATE_LIB_OK",
        "KMP_INIT_AT_FORK",
        "TORCHINDUCTOR_CACHE_DIR",
        "_RJEM_MALLOC_CONF",
    }


def test_whoever_opens_a_file_is_seen(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    for name in ("one", "two", "below/three"):
        (tmp_path / name).touch()
    watch = OpenedNames([tmp_path, tmp_path / "below"])
    subprocess.run(["cat", "one", "below/three"], cwd=tmp_path, check=True)
    list(tmp_path.rglob("*"))
    assert watch.since() == {tmp_path / "one", tmp_path / "below/three"}
    assert watch.since() == set()
    watch.close()
