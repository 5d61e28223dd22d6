"""Drawn configurations of DVC in a stranger's checkout: looking starts no program and writes nothing outside."""

import contextlib
import os
import random  # noqa: TID251 - of settings, and seeded
import re
from pathlib import Path

import pytest
import yaml
from dvc.config_schema import REMOTE_SCHEMAS, SCHEMA

from makers import attacks, planned_benchmark, started
from makers.command_line import ends
from shiftbench.base import registry
from shiftbench.base.errors import DataError, UntrustedError
from shiftbench.provenance import trust
from shiftbench.workflow.plan import plan as plans
from shiftbench.workflow.storage import dvc_config

OF_SECTIONS = sorted(
    (str(section), str(key))
    for section, keys in SCHEMA.items()
    if isinstance(keys, dict) and section not in ("remote", "machine", "db")
    for key in keys
)
MADE_UP = "cmd command hook plugins include extends init_script ssh_command proxy_command path".split()
SHIMS = "ssh az gcloud aws hadoop klist sh hdfs krb5-config rclone touch java docker".split()
URLS = (
    *("../../remote", "../../victim", "/proc/self/cwd", "file://../../victim", "~/.ssh", "$HOME"),
    *("ssh://-oProxyCommand=touch/x", "ssh://me@127.0.0.1:9/x", "remote://o/x", "remote://r/x"),
    *("http://127.0.0.1:9/x", "https://a:b@127.0.0.1:9", "ext::sh -c touch", "pipe:touch ran"),
    *("hdfs://127.0.0.1:9/x", "webdav://127.0.0.1:9", "s3://b/x", "gs://b/x", "x" * 3_000, "\u202e"),
    *("fsspec::file:///etc", "github://a:b@/", "reference://x", "simplecache::file://x", "memory://"),
)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout that is not trusted; programs that a client may start by name leave the file `ran`."""
    home, programs = tmp_path / "checkout", tmp_path / "programs"
    for folder in (home / ".dvc", programs, tmp_path / "remote", tmp_path / "victim"):
        folder.mkdir(parents=True)
    for name in SHIMS:
        (programs / name).write_text(f"#!/usr/bin/python3\nopen({str(tmp_path / 'ran')!r}, 'w')\n")
        (programs / name).chmod(0o755)
    (tmp_path / "victim/authorized_keys").write_text("mine")
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv(trust.VARIABLE, str(tmp_path / "trusted"))
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    planned_benchmark.make(home)
    (home / "params.yaml").write_text(yaml.safe_dump(planned_benchmark.PARAMS))
    (home / "dvc.lock").write_text("schema: '2.0'\nstages: {}\n")
    monkeypatch.chdir(home)
    return home


def spelled(draw: random.Random, name: str) -> str:
    """Return a name as it may be written too."""
    return draw.choice((name, name, name.upper(), name.title(), f'"{name}"', f" {name} "))


def harmful(draw: random.Random) -> tuple[str, str, str]:
    """Return an address, a section and a key of it that no stranger may set: of DVC's own, or one of tomorrow."""
    schemes = [
        (f"{scheme}://host/x", "remote", str(key))
        for scheme, keys in REMOTE_SCHEMAS.items()
        for key in keys
        if scheme not in ("", "remote") and str(key) not in dvc_config._HARMLESS["remote"]
    ]
    sections = [
        ("../../victim", section, key)
        for section, key in OF_SECTIONS
        if key not in dvc_config._HARMLESS.get(section, ())
    ]
    section = draw.choice(("core", "cache", "exp", "hooks", "alias", "remote"))
    made_up = ("../../victim", section, draw.choice(MADE_UP))
    return draw.choice((draw.choice(schemes), draw.choice(sections), made_up))


def written(draw: random.Random, home: Path, more: tuple[str, str, str] | None) -> None:
    """Write .dvc/config and .dvc/config.local with harmless settings, and one more."""
    url, section, key = more or (draw.choice(URLS), "core", "remote")
    lines: dict[str, list[str]] = {"core": ["remote = r"], "'remote \"r\"'": [f"url = '''{url}'''"]}
    if not more and draw.random() < 0.5:
        one = draw.choice(sorted(dvc_config._HARMLESS["remote"] - {"url"}))
        lines["'remote \"r\"'"].append(f"{one} = {draw.choice(('true', '1', 'x'))}")
    own: dict[str, list[str]] = {}
    if more:
        named = "'remote \"r\"'" if section == "remote" else section
        value = draw.choice((f"touch {home.parent}/ran", "true", "true", "../../victim", "mine", "1"))
        own = draw.choice((own, lines))
        own.setdefault(named, []).append(f"{spelled(draw, key)} = {value}")
    files = {"config": lines, "config.local": {} if own is lines else own}
    for name, content in files.items():
        text = "".join(f"[{one}]\n" + "".join(f"{x}\n" for x in all_) for one, all_ in content.items())
        (home / ".dvc" / name).write_text(text)


def all_around(home: Path) -> set[tuple[str, int, int]]:
    """Return what lies around a checkout, without the folders of DVC's own that it is told."""
    found = ((path, path.lstat()) for path in home.parent.rglob("*"))
    return {
        (str(path), stat.st_size, 0 if path.is_dir() else stat.st_mtime_ns)
        for path, stat in found
        if not path.is_relative_to(home) and path.relative_to(home.parent).parts[0] != "site"
    }


def test_no_drawn_setting_that_may_harm_is_followed(home: Path) -> None:
    refusals = []
    for draw in attacks.draws(80, "settings"):
        more = harmful(draw)
        written(draw, home, more)
        texts = [(home / ".dvc" / name).read_text() for name in ("config", "config.local")]
        with pytest.raises((UntrustedError, DataError)) as refused:
            dvc_config.check(home)
        told = str(refused.value)
        assert "\n" not in told.strip(), texts
        assert more[2].lower() in told.lower() or "DVC cannot read" in told, (texts, told)
        refusals.append(type(refused.value))
    assert refusals.count(UntrustedError) > 30
    assert not (home.parent / "ran").exists()


def test_no_setting_that_names_a_file_or_a_program_counts_as_harmless() -> None:
    """But a key that a client of SSH reads, and the name of a profile of your own."""
    known = {key for keys in dvc_config._HARMLESS.values() for key in keys}
    odd = re.compile("path|file|dir|command|cmd|cert|plugin|hook|script|module|template|proxy")
    assert {key for key in known if odd.search(key)} == {"keyfile", "profile"}


def test_drawn_configurations_start_no_program_while_one_looks(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commands = ("doctor --remotes", "pull shards", "plan --write", "audit --level 0 --only parameters")
    for number, draw in enumerate(attacks.draws(4, "looks")):
        written(draw, home, harmful(draw) if draw.random() < 0.6 else None)
        registry.Folders.use(())
        plans._code.cache_clear()
        before = all_around(home)
        with started.programs() as ran, contextlib.chdir(home):
            code = ends(monkeypatch, *commands[number % len(commands)].split())
        texts = [(home / ".dvc" / name).read_text() for name in ("config", "config.local")]
        assert code in (0, 2, 3, 4, 20, 30), texts
        assert started.foreign(ran) == [], texts
        assert not (home.parent / "ran").exists(), texts
        assert all_around(home) == before, texts
        assert "Traceback" not in capsys.readouterr().err
