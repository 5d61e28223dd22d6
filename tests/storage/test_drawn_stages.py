"""Stages of a stranger that are called as what one pulls: a pull puts in place what was asked for, and nothing else."""

import contextlib
import hashlib
import json
import subprocess
from pathlib import Path

import pytest
import yaml

from makers import attacks, planned_benchmark
from shiftbench.base.errors import ShiftbenchError
from shiftbench.provenance import trust
from shiftbench.workflow.storage import pull

OTHERS = ("link/authorized_keys", "link/new", "Snakefile", "mine/shifts/bright.py", "other/x")
"""Outputs that nobody asks for; `link` leads out of the checkout."""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with a benchmark, an empty remote beside it and a file that is nobody's business; not trusted."""
    monkeypatch.setenv(trust.VARIABLE, str(tmp_path / "trusted"))
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "dvc"))
    home = tmp_path / "checkout"
    (home / ".dvc").mkdir(parents=True)
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim/authorized_keys").write_text("mine")
    planned_benchmark.make(home)
    (home / ".dvc/config").write_text("[core]\nremote = r\n['remote \"r\"']\nurl = ../../remote\n")
    (home / "link").symlink_to("../victim")
    subprocess.run(["git", "init", "-q"], cwd=home, check=True)
    monkeypatch.chdir(home)
    return home


def stored(home: Path, data: bytes, end: str = "") -> str:
    digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
    file = home.parent / "remote/files/md5" / digest[:2] / f"{digest[2:]}{end}"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    return f"{digest}{end}"


def files(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def test_a_stage_that_is_called_as_an_output_is_not_checked_out(home: Path) -> None:
    planned = planned_benchmark.plan(home)
    theirs = stored(home, b"theirs")
    listing = stored(home, json.dumps([{"relpath": "w", "md5": theirs}]).encode(), ".dir")
    for draw in attacks.draws(2, "stages of theirs"):
        others = draw.sample(OTHERS, 2)
        outs = {"checkpoints": others, "t": ["checkpoints"]}
        stages = {name: {"cmd": "x", "outs": paths} for name, paths in outs.items()}
        (home / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
        lock = {
            name: {"cmd": "x", "outs": [{"path": one, "md5": oid, "hash": "md5"} for one in paths]}
            for (name, paths), oid in zip(outs.items(), (theirs, listing), strict=True)
        }
        (home / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": lock}))
        before = [files(home.parent / "victim"), *(files(home / one) for one in ("mine", "other"))]
        with contextlib.suppress(ShiftbenchError):
            pull.pull(planned, home, ["checkpoints"])
        now = [files(home.parent / "victim"), *(files(home / one) for one in ("mine", "other"))]
        assert now == before, others
        assert not (home / "Snakefile").exists()
        assert (home / "checkpoints/w").read_bytes() == b"theirs"
