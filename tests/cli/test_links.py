"""Looking at a checkout of somebody else's writes nothing outside of it, wherever its symbolic links lead.

Trees of links and output roots are drawn; whatever a command answers, all around the checkout is as before, and no
command ends with a traceback.
"""

import hashlib
import json
import os
import random  # noqa: TID251 - of paths, and seeded
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from makers import planned_benchmark
from shiftbench import cli
from shiftbench.base import registry
from shiftbench.provenance import trust
from shiftbench.workflow.plan import plan as plans

_CACHE = ".dvc .dvc/cache .dvc/cache/files .dvc/cache/files/md5 .dvc/cache/files/md5/{oid} .dvc/tmp"
_SHARDS = "{root} data data/shards data/shards/left data/shards/sub data/shards/package.json"
_RECIPES = "{root} recipes recipes/shift recipes/shift/shapes recipes/report recipes/report/index.json"
COMMANDS = {
    "pull shards": f"{_CACHE} {_CACHE} {_SHARDS} {_SHARDS} {_RECIPES}",
    "pull": f"{_CACHE} {_SHARDS} {_RECIPES} checkpoints results results/report",
    "plan --write": f"{_RECIPES} {_RECIPES} data/shards results/report/index.html",
    "prune shards": f"{_SHARDS} .trash .trash/data .trash/data/shards data/local results results/previews",
    "prune checkpoints tables": "{root} checkpoints checkpoints/w results results/report results/tables .trash "
    ".trash/checkpoints",
    "doctor --unlock": "{root} checkpoints checkpoints/w data data/w logs logs/locks logs/locks/train-a .dvc .dvc/tmp "
    ".dvc/tmp/lock .snakemake .snakemake/locks",
    "doctor --remotes": f"{_CACHE} {_SHARDS}",
    "audit --level 0 --only parameters": "{root} results results/report results/report/audit.html",
    "audit --level 0 --only parameters --json docs/found.json": "docs docs/found.json results/report",
    "outside audit {checkout} --level 0 --only parameters": "{root} results results/report results/report/audit.json",
    "submit sent": "sent.tar.gz .sent.tar.gz.part results data",
    "pin params.yaml": "sources.lock",
    "preview brightness": "brightness.png",
    "new shift fogged --into mine/own": "mine/own mine/own/shifts mine/own/shifts/fogged.py",
    "release 1.0 --unsigned": "releases releases/1.0",
    "publish": "published published/default published/default/results",
}
"""What may write, and where: links are put there."""
TARGETS = (
    "victim victim victim/project victim/project victim/project/sub victim/project/package.json victim/.ssh "
    "victim/.ssh victim/.ssh/authorized_keys victim/w victim/lock victim/missing victim/missing/deep . checkout "
    "checkout/.git checkout/.git/hooks checkout/mine checkout/data checkout/.dvc checkout/.dvc/cache"
).split()
"""Where a link leads, from the folder around the checkout; or to another link, or to itself."""
DRAWS = 4
"""Of each command."""
_OF_ROOT = "data checkpoints results recipes logs .trash".split()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a stranger's checkout, its remote, and files that are nobody's business; to be copied."""
    around = tmp_path_factory.mktemp("made")
    checkout, victim = around / "checkout", around / "victim"
    checkout.mkdir()
    planned_benchmark.make(checkout)
    signed = f"{_gone()}@{socket.gethostname()}"
    texts = {
        victim / "project/package.json": "{}",
        victim / "project/sub/data.json": "[]",
        victim / ".ssh/authorized_keys": "mine",
        victim / ".ssh/id": "secret",
        victim / f"w/.a.safetensors.{signed}.part": "half",
        victim / f"w/.part-b.{signed}-x_1/file": "half",
        victim / "lock": f"{signed}\n",
        checkout / f"checkpoints/.a.safetensors.{signed}.part": "half",
        checkout / "logs/locks/train-a": f"{signed}\n",
        checkout / ".dvc/tmp/lock": f"{signed.partition('@')[0]}\n",
        **{checkout / root / "data/shards/left/over.json": "{}" for root in ("", "build")},
        **{checkout / root / "results/report/index.html": "<html>" for root in ("", "build")},
        checkout / ".dvc/config": "[core]\nremote = r\n['remote \"r\"']\nurl = ../../remote\n",
    }
    for file, text in texts.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    _record(around)
    for words in ("init -q", "add -A", "-c user.name=a -c user.email=a@b commit -qm x"):
        subprocess.run(["git", *words.split()], cwd=checkout, check=True)
    return around


def _gone() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def _record(around: Path) -> None:
    """Put a folder of shards on the remote that is named as a victim's files are, and its name into dvc.lock."""
    names = ("authorized_keys", "package.json", "sub/data.json", "left/over.json")
    listing = [{"relpath": name, "md5": _stored(around, b"theirs")} for name in names]
    digest = _stored(around, json.dumps(listing).encode(), ".dir")
    paths = ("data/shards", "build/data/shards")
    outs = [{"path": path, "md5": f"{digest}.dir", "hash": "md5"} for path in paths]
    stages = {"s": {"cmd": "x", "outs": outs}}
    home = around / "checkout"
    (home / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}))
    (home / "dvc.yaml").write_text("stages:\n  s:\n    cmd: x\n    outs:\n    - data/shards\n    - build/data/shards\n")


def _stored(around: Path, data: bytes, end: str = "") -> str:
    digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
    file = around / "remote/files/md5" / digest[:2] / f"{digest[2:]}{end}"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    return digest


def drawn(draw: random.Random, around: Path, command: str) -> list[str]:
    """Set an output root and put links into a checkout; returns what was drawn."""
    checkout, root = around / "checkout", draw.choice([".", "build"])
    (checkout / "params.yaml").write_text(yaml.safe_dump({**planned_benchmark.PARAMS, "root": root}))
    oid = draw.choice(sorted(path.name for path in (around / "remote/files/md5").iterdir()))
    links: list[Path] = []
    for place in draw.choices(COMMANDS[command].split(), k=draw.choice([1, 1, 2, 2, 3])):
        below = checkout if place.startswith(".dvc") or place.partition("/")[0] not in _OF_ROOT else checkout / root
        link = Path(os.path.normpath(below / place.format(oid=oid, root=root)))
        above = [folder for folder in link.parents if checkout in folder.parents]
        if link == checkout or any(one.is_symlink() or one.is_file() for one in above):
            continue
        others = [*map(str, links), str(link)] if draw.random() < 0.2 else []
        target = draw.choice(others or [str(around / one) for one in TARGETS])
        shutil.rmtree(link, ignore_errors=True)
        link.unlink(missing_ok=True)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(target, link.parent) if draw.random() < 0.7 else target)
        links.append(link)
    return [f"root: {root}", *(f"{link} -> {link.readlink()}" for link in links if link.is_symlink())]


def all_around(around: Path) -> dict[str, tuple[object, ...]]:
    """Return what lies around the checkout, and of git's own folder: names, kinds, modes, times, bytes."""
    found = {}
    for folder, folders, names in os.walk(around):
        if Path(folder) == around:
            folders.remove("checkout")
        for path in (Path(folder, name) for name in ("", *folders, *names)):
            stat = path.lstat()
            data = path.read_bytes() if path.is_file() else path.is_symlink() and path.readlink()
            when = 0 if path == around else stat.st_mtime_ns
            found[str(path.relative_to(around))] = (stat.st_mode, when, data)
    git = around / "checkout/.git"
    kept = [git / "config", *(git / "hooks").rglob("*"), *git.glob("*")]
    found |= {str(path): () for path in kept if path.name != "index"}
    return found


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_writes_nothing_outside_and_ends_in_words(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv(trust.VARIABLE, str(tmp_path / "trusted"))
    monkeypatch.setenv("SHIFTBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "dvc"))
    draw = random.Random(command)
    for number in range(DRAWS):
        around = tmp_path / str(number)
        shutil.copytree(made, around, symlinks=True)
        (around / "auditor").mkdir()
        said = drawn(draw, around, command)
        before = all_around(around)
        assert ended(monkeypatch, command, around) in (0, 2, 3, 4, 20, 30)
        after = all_around(around)
        if command.startswith("outside"):
            after = {name: what for name, what in after.items() if not name.startswith("auditor/audit.")}
            before["auditor"] = after["auditor"]
        assert after == before, said


def ended(monkeypatch: pytest.MonkeyPatch, command: str, around: Path) -> int:
    """Run a command as the shell does in the checkout, or outside; returns its exit code."""
    words = command.format(checkout=around / "checkout").split()
    outside = words[0] == "outside"
    monkeypatch.chdir(around / ("auditor" if outside else "checkout"))
    monkeypatch.setattr(sys, "argv", ["shiftbench", *words[outside:]])
    registry.Folders.use(())
    plans._code.cache_clear()
    try:
        cli.main()
    except SystemExit as error:
        return int(error.code or 0)
    return 0


def test_without_links_the_same_commands_do_their_work(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(trust.VARIABLE, str(tmp_path / "trusted"))
    shutil.copytree(made, tmp_path / "a", symlinks=True)
    checkout = tmp_path / "a/checkout"
    (checkout / "params.yaml").write_text(yaml.safe_dump({**planned_benchmark.PARAMS, "root": "."}))
    assert ended(monkeypatch, "doctor --unlock", tmp_path / "a") == 0
    assert list(checkout.glob("checkpoints/.*.part")) == []
    assert ended(monkeypatch, "pull shards", tmp_path / "a") == 0
    assert (checkout / "data/shards/sub/data.json").read_bytes() == b"theirs"
    assert (checkout / "recipes/report/index.json").is_file()
    assert ended(monkeypatch, "prune shards", tmp_path / "a") == 0
    assert (checkout / ".trash/data/shards/sub/data.json").is_file()
