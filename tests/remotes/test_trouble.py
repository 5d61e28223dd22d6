"""Around remotes: secrets that stay secret, a disk that is full, what the doctor and the audit say."""

import configparser
import hashlib
import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from makers.repositories import HOME, Repository
from remotes.conftest import Mirror, Reader
from remotes.servers import HOST, free_port
from shiftbench import cli
from shiftbench.audit.case import Case
from shiftbench.audit.checks import sharing
from shiftbench.audit.finding import Finding
from shiftbench.base.errors import DataError
from shiftbench.data import shards
from shiftbench.workflow.plan import plan
from shiftbench.workflow.storage import dvc_lock, remotes, streaming
from shiftbench.workflow.tools import doctor

pytestmark = [pytest.mark.workflow, pytest.mark.needs("sshd", "ssh-keygen", "nginx")]
Make = Callable[..., Reader]

CONTRAST = "data/shards/tiny/test/contrast/3"
KINDS = ("password", "in the url", "signature", "access key", "secret key", "token")
SECRETS = {kind: hashlib.sha256(kind.encode()).hexdigest()[:24] for kind in KINDS}
SECRETS["access key"] = f"AKIA{SECRETS['access key'][:16].upper()}"
"""Made here, so that no file of a clone holds them."""


def test_no_secret_is_told_or_stored(
    published: dict[str, Mirror], reader: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = SECRETS
    dead = f"https://me:{secrets['in the url']}@{HOST}:{free_port()}/a?X-Amz-Signature={secrets['signature']}"
    clone = reader(
        dead=Mirror(dead, {}),
        bucket=Mirror(
            "s3://bucket/store",
            {"endpointurl": f"http://{HOST}:{free_port()}"},
            {
                "access_key_id": secrets["access key"],
                "secret_access_key": secrets["secret key"],
                "session_token": secrets["token"],
            },
        ),
        web=Mirror(published["http"].url, {"auth": "basic"}, {"user": "me", "password": secrets["password"]}),
    )
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secrets["secret key"])
    monkeypatch.setattr(plan, "load", lambda *_: (clone.planned, clone.path))
    monkeypatch.chdir(clone.path)
    said = [
        _told("pull", "tiny/test/contrast/3"),
        _told("pull", "checkpoints", "--remote", "dead"),
        _told("pull", "checkpoints", "--remote", "bucket"),
        _told("doctor", "--remotes"),
        _told("doctor", "--remotes", "--json"),
    ]
    for tar in (clone.path / CONTRAST).glob("*.tar"):
        tar.unlink()
    for name in ("dead", "bucket"):
        monkeypatch.setattr(streaming, "TRIES", 1)
        streaming.use(clone.path, name)
        with pytest.raises(DataError) as refused:
            list(shards.read(clone.path / CONTRAST))
        said.append(str(refused.value))
        streaming.stop()
    assert "remote web served 9 objects" in said[0]
    assert "https://***@127.0.0.1" in said[3]
    files = [file for file in clone.path.rglob("*") if file.is_file()]
    private = {clone.path / ".dvc/config.local", clone.path / ".dvc/config"}  # where the user put them
    texts = {str(file): file.read_bytes() for file in files if file not in private}
    texts |= {f"output {number}": text.encode() for number, text in enumerate(said)}
    for what, secret in secrets.items():
        found = [name for name, text in texts.items() if secret.encode() in text]
        assert not found, what


def _told(*words: str) -> str:
    done = CliRunner().invoke(cli.app, list(words))
    return f"{done.output}{done.exception or ''}"


@contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[None]:
    """Put a file system of some kilobytes at a folder."""
    folder.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "none", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("needs permission to mount a file system")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.needs("mount")
@pytest.mark.parametrize("full", [".dvc/cache", "results"])
def test_a_full_disk_is_said_and_leaves_nothing_half_written(
    full: str, author: Repository, published: dict[str, Mirror], reader: Make
) -> None:
    clone = reader(mirror=published["http"], second=published["folder"])
    with small_disk(clone.path / full, 200):
        with pytest.raises(DataError, match="No space left on device"):
            clone.pull("tables")
        for name in clone.files():
            assert (clone.path / name).read_bytes() == (author.path / name).read_bytes(), name
        assert not [name for name in clone.cached() if "part" in name or "tmp" in name]
    if full == "results":
        assert clone.pull("tables").brought.served == {}  # all is in the cache


def test_the_doctor_tells_what_each_remote_holds(
    published: dict[str, Mirror], reader: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = Mirror(f"http://{HOST}:{free_port()}", {})
    clone = reader(dead=dead, **published)
    monkeypatch.chdir(clone.path)
    monkeypatch.setattr(plan, "load", lambda *_: (clone.planned, clone.path))
    held = {one["name"]: one for one in json.loads(_told("doctor", "--remotes", "--json"))}
    assert held["dead"]["error"].startswith("Cannot connect to host")
    counts = {(one["objects"], one["there"]) for name, one in held.items() if name != "dead"}
    assert len(counts) == 1
    assert all(objects == there > 100 for objects, there in counts)
    assert {name: one["read_only"] for name, one in held.items()} == {
        "dead": None, "folder": False, "ssh": None, "s3": None, "http": True,
    }  # fmt: skip
    (clone.path / ".dvc/config").write_text(f"['remote \"dead\"']\nurl = {dead.url}\n")
    (clone.path / ".dvc/config.local").unlink()
    assert "no remote answers" in _told("doctor", "--remotes")


def _audited(clone: Reader, tmp_path: Path) -> tuple[set[str], str]:
    case = Case(clone.planned, clone.path, 1, 1, "seed", "2030-01-01", tmp_path)
    said = list(sharing.availability(case))
    verdicts = {one.verdict for one in said if isinstance(one, Finding)}
    return verdicts, " ".join(str(one) for one in said)


def test_the_audit_asks_every_remote(published: dict[str, Mirror], reader: Make, tmp_path: Path) -> None:
    dead = Mirror(f"http://{HOST}:{free_port()}", {})
    clone = reader(folder=published["folder"], http=published["http"], dead=dead)
    clone.pull("tiny/test/contrast/3")
    verdicts, said = _audited(clone, tmp_path)
    assert verdicts == set()
    assert "remote dead (http://127.0.0.1" in said
    oid = clone.oid("data/shards/tiny/test/contrast/3/000000.tar")
    both = [published[kind] for kind in ("folder", "http")]
    good = both[0].read(oid)
    try:
        both[0].remove(oid)
        assert _audited(clone, tmp_path)[0] == set()  # the other has it
        both[1].remove(oid)
        assert _audited(clone, tmp_path)[0] == {"incomplete"}
        both[1].write(oid, good[:-1])
        verdicts, said = _audited(clone, tmp_path)
        assert verdicts == {"failed"}
        assert "contrast/3/000000.tar: object files/md5/" in said
    finally:
        for mirror in both:
            mirror.write(oid, good)
    (clone.path / "dvc.lock").unlink()
    assert "nothing was recorded" in _audited(clone, tmp_path)[1]


@pytest.mark.parametrize("file", [".dvc/config", "src/shiftbench/workflow/templates/benchmark/dot_dvc/config"])
def test_every_remote_that_comes_with_a_repository_is_verified(file: str) -> None:
    config = configparser.ConfigParser()
    config.read(HOME / file)
    found = [name for name in config.sections() if "remote" in name]
    assert found
    assert all(config[name].getboolean("verify") for name in found)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("s3://bucket/store", "s3://bucket/store"),
        ("ssh://me@host/store", "ssh://me@host/store"),
        ("ssh://me:word@host/store", "ssh://***@host/store"),
        ("https://token@host/a b", "https://***@host/a b"),
        ("(http://host/a?sig=1&x=2) said no", "(http://host/a?***) said no"),
        ("for AKIAIOSFODNN7EXAMPLE: no", "for ***: no"),
        ("https://me:pa/ss@host/a", "https://***@host/a"),
        ("'https://me:p'a\"ss@host/a' is down", "'https://***@host/a' is down"),
        ("https://me:p@s/s?x@host/a", "https://***@host/a"),
        ("https://host:8080/a@b", "https://host:8080/a@b"),
        ("s3://bucket/a@b", "s3://bucket/a@b"),
    ],
)
def test_what_of_a_url_is_shown(text: str, shown: str) -> None:
    assert remotes.redacted(text) == shown


def test_without_dvc_or_a_record_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not in a DVC repository"):
        doctor.remote_states(tmp_path)
    (tmp_path / ".dvc").mkdir()
    with pytest.raises(DataError, match="nothing was recorded here"):
        dvc_lock.outputs(tmp_path)
