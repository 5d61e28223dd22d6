"""Drawn paths in a stranger's params and entries: looking starts no program and asks no address."""

import contextlib
import random  # noqa: TID251 - of paths, and seeded
from pathlib import Path
from typing import Any

import pytest
import yaml

from makers import attacks, planned_benchmark, started
from makers.command_line import ends
from makers.opened_names import OpenedNames
from shiftbench.base import registry
from shiftbench.base.errors import ParamsError
from shiftbench.data.places import is_address, places
from shiftbench.provenance import trust
from shiftbench.workflow.plan import plan as plans

BEGINS = (
    *("pipe:", " pipe:", "\tpipe:", "PIPE:", "Pipe:", "pipe :", "pipe://", "pi{p,q}e:", "{pipe:,}"),
    *("file:pipe:", "file://pipe:", "file:///", "file:", "http:", "http://", "HTTP://", "https:/"),
    *("gs:", "gs://", "s3://", "ssh://", "ftp://", "ftps:", "data:,", "jar:file:", "cache:pipe:"),
    *("\u0440ipe:", "\uff50ipe:", "pipe\u200b:", "pipe\uff1a", "\ufeffpipe:", "pipe\u2236", "|", "!", "-", "$(", "`"),
    *("hdfs://", "ais://", "gopipe:", "exec:", "zip://", "\\\\host\\", "//host/", "~/", "$HOME/", ""),
)
MIDDLES = (
    *("touch {ran}", "{{touch,sh}} {ran}", "touch${{IFS}}{ran}", "sh -c 'touch {ran}'", "x.tar"),
    *("x-{{00..03}}.tar", "127.0.0.1:9/x.tar", "a@127.0.0.1:9/x", "../../secret", "secret", "*", "**"),
    *("x" * 300, "a/" * 3_000, "[", "]", "?", "%s%n", "\0", "\u202etar.x", "x.py:y", ".py:os.system"),
)
COMMANDS = (
    *("plan", "list --json", "doctor --json", "why results/report/index.html", "cite"),
    *("audit --level 0 --only parameters", "describe datasets theirs", "plan --estimate"),
)
NAMED = {"classes": ["a", "b", "c"]}


def drawn(draw: random.Random, ran: Path) -> str:
    parts = [draw.choice(BEGINS) + draw.choice(MIDDLES).format(ran=ran) for _ in range(draw.choice((1, 1, 2, 3)))]
    return draw.choice(("", " ", "\n", "::")) + draw.choice(("::", ":: ", "::::")).join(parts)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout that is not trusted; a file above it is nobody's business."""
    monkeypatch.setenv(trust.VARIABLE, str(tmp_path / "trusted"))
    monkeypatch.setenv("SHIFTBENCH_CACHE", str(tmp_path / "cache"))
    (tmp_path / "secret").write_text("secret")
    home = tmp_path / "checkout"
    planned_benchmark.make(home)
    monkeypatch.chdir(home)
    return home


def test_drawn_paths_name_files_or_addresses_of_http_or_are_refused(tmp_path: Path) -> None:
    named = 0
    for draw in attacks.draws(1_500, "places"):
        path = drawn(draw, tmp_path / "ran")
        found: list[str] = []
        with contextlib.suppress(ParamsError):
            found = places(path)
            named += 1
        for one in found:
            assert not one.startswith("pipe:"), path
            assert is_address(one) or "://" not in one.partition("/")[0], path
    assert 300 < named < 1_400


def asked(draw: random.Random, home: Path) -> str:
    """Write params.yaml, and perhaps an entry, that ask for files; returns their path."""
    path = drawn(draw, home.parent / "ran")
    use, named = draw.choice((("webdataset", NAMED), ("webdataset", NAMED), ("image_folder", {})))
    theirs: dict[str, Any] = {"use": use, **named, draw.choice(("path", "path", "root")): path}
    content: dict[str, Any] = {**planned_benchmark.PARAMS}
    entries = home / "mine/datasets/variants.yaml"
    is_entry = draw.random() < 0.5
    entries.write_text(yaml.safe_dump({"theirs": theirs} if is_entry else {}))
    content["datasets"] = {"shapes": {}, "theirs": {} if is_entry else theirs}
    if draw.random() < 0.3:
        content["models"] = {"own": {"use": "checkpoint", "path": path}}
    small = content["benchmarks"]["small"]
    content["benchmarks"] = {"small": {**small, "dataset": draw.choice(("shapes", "theirs"))}}
    (home / "params.yaml").write_text(yaml.safe_dump(content))
    return path


def test_drawn_paths_start_nothing_while_one_looks(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran = home.parent / "ran"
    watch = OpenedNames([home.parent])
    for number, draw in enumerate(attacks.draws(16, "looks")):
        path = asked(draw, home)
        registry.Folders.use(())
        plans._code.cache_clear()
        with started.programs() as begun:
            code = ends(monkeypatch, *COMMANDS[number % len(COMMANDS)].split())
        assert code in (0, 2, 3, 20, 30), (path, code)
        assert started.foreign(begun) == [], path
        assert not ran.exists(), path
        assert watch.since() == set(), path
        said = capsys.readouterr()
        assert "Traceback" not in said.err, path
        assert len(said.err.splitlines()) <= 12, path
    watch.close()
