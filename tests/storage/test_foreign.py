"""What a checkout of somebody else's may not do by its DVC files: write elsewhere, start programs, learn passwords."""

import contextlib
import hashlib
import json
import string
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from makers import planned_benchmark
from shiftbench.base.errors import DataError, UntrustedError
from shiftbench.provenance import trust
from shiftbench.workflow.storage import dvc_config, dvc_lock, dvc_store, pull, remotes
from shiftbench.workflow.storage.dvc_lock import Output

FOLDER, OID = "data/shards", "0" * 32


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with a benchmark, an empty remote beside it and a file that is nobody's business; not trusted."""
    monkeypatch.setenv(trust.VARIABLE, str(tmp_path / "trusted"))
    home = tmp_path / "checkout"
    home.mkdir()
    planned_benchmark.make(home)
    (home / ".dvc").mkdir()
    configure(home, "[core]\nremote = r\n['remote \"r\"']\nurl = ../../remote\n")
    (tmp_path / "remote").mkdir()
    (tmp_path / "secret").write_text("secret")
    monkeypatch.chdir(home)
    return home


def configure(home: Path, text: str, file: str = "config") -> None:
    (home / ".dvc" / file).write_text(text)


def record(home: Path, rows: list[tuple[str, bytes]]) -> None:
    """Put a folder on the remote, and its name into dvc.lock."""
    listing = [{"relpath": name, "md5": stored(home, data)} for name, data in rows]
    digest = stored(home, json.dumps(listing).encode(), ".dir")
    outs = f"stages:\n  s:\n    cmd: x\n    outs:\n    - path: {FOLDER}\n      md5: {digest}.dir\n      hash: md5\n"
    (home / "dvc.lock").write_text(f"schema: '2.0'\n{outs}")
    (home / "dvc.yaml").write_text(f"stages:\n  s:\n    cmd: x\n    outs:\n    - {FOLDER}\n")


def stored(home: Path, data: bytes, end: str = "") -> str:
    digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
    file = home.parent / "remote/files/md5" / digest[:2] / f"{digest[2:]}{end}"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    return digest


def brought(home: Path) -> None:
    """Pull as the command does, the whole folder."""
    pull._check_out(home, remotes.bring(home, [FOLDER]).targets)


def everything(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and ".dvc" not in path.parts)
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_a_listing_that_leads_outside_writes_nothing(home: Path) -> None:
    record(home, [("fine", b"fine"), ("../../../secret", b"changed")])
    before = everything(home.parent)
    with pytest.raises(DataError, match="leads outside"):
        brought(home)
    assert everything(home.parent) == before


def listed_as(relpath: object, oid: object) -> dict[str, str]:
    listing = json.dumps([{"relpath": relpath, "md5": oid}]).encode()
    return Output(FOLDER, f"{OID}.dir", None).files(listing)


def test_drawn_listings_lead_into_their_folder_or_are_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    parts = ("..", ".", "", "a", "b.tar", "~", "-x", "\n", "\0", str(tmp_path))
    kept = 0
    for _ in range(1000):
        name = "/".join(rng.choice(parts, rng.integers(1, 5)).tolist())
        with contextlib.suppress(DataError):
            (path,) = listed_as(name, OID)
            kept += 1
            assert (tmp_path / path).resolve().is_relative_to(tmp_path / FOLDER)
    assert 100 < kept < 900


@pytest.mark.parametrize("oid", ["../secret", "0" * 31, f"{OID}\n", "A" * 32, f"{OID}.dir", 7, None])
def test_an_object_that_is_no_digest_is_refused(oid: object) -> None:
    with pytest.raises(DataError, match="no md5"):
        listed_as("fine", oid)


@pytest.mark.parametrize("listing", [b"", b"{}{", b"7", b"[7]", b'[{"relpath": "a"}]', b"\xff", b"[" * 99999])
def test_what_is_no_listing_is_refused(listing: bytes) -> None:
    with pytest.raises(DataError, match="not a listing"):
        Output(FOLDER, f"{OID}.dir", None).files(listing)


@pytest.mark.parametrize("path", ["../secret", "/etc/passwd", "a/../../secret"])
def test_a_lock_that_leads_outside_is_refused(home: Path, path: str) -> None:
    record(home, [("fine", b"fine")])
    lock = home / "dvc.lock"
    lock.write_text(lock.read_text().replace(FOLDER, path))
    with pytest.raises(DataError, match="leads outside"):
        dvc_lock.outputs(home)


@pytest.mark.parametrize("text", ["", "7", "stages: 7", "stages: [a]", "stages: {s: 7}", "a: [", "\x01"])
@pytest.mark.parametrize("name", ["dvc.lock", "dvc.yaml"])
def test_what_is_no_file_of_dvc_is_refused(home: Path, name: str, text: str) -> None:
    record(home, [("fine", b"fine")])
    (home / name).write_text(text)
    with pytest.raises(DataError, match="not a list of stages"):
        dvc_lock.outputs(home)


def test_a_pull_wants_no_trust_and_imports_nothing_of_the_current_folder(home: Path) -> None:
    record(home, [("deep/fine", b"fine")])
    subprocess.run(["git", "init", "-q"], cwd=home, check=True)
    for name in ("fsspec", "json", "shiftbench", "dvc", "configobj"):
        (home / f"{name}.py").write_text("open('ran', 'w')\nraise SystemExit(7)\n")
    brought(home)
    assert (home / FOLDER / "deep/fine").read_bytes() == b"fine"
    assert not (home / "ran").exists()


# --- DVC's configuration ---------------------------------------------------------------------------

HARMFUL = (
    "['remote \"r\"']\nconfigpath = aws\n",
    "['remote \"r\"']\ncredentialpath = aws\n",
    "['remote \"w\"']\nurl = webdav://host/x\nbearer_token_command = touch ran\n",
    "['remote \"g\"']\nurl = gdrive://x/y\ngdrive_user_credentials_file = x\n",
    "[core]\nsite_cache_dir = here\n",
    "[cache]\ndir = /tmp/elsewhere\n",
    "[state]\ndir = here\n",
    "[hydra]\nenabled = true\n",
)


@pytest.mark.parametrize("file", ["config", "config.local"])
@pytest.mark.parametrize("text", HARMFUL)
def test_a_setting_that_may_start_programs_wants_trust(home: Path, text: str, file: str) -> None:
    url = "['remote \"r\"']\nurl = s3://bucket/x\n" if "path = aws" in text else ""
    text = url + text.partition("\n")[2] if url else text
    configure(home, text, file)
    key = text.strip().rpartition("\n")[2].partition(" ")[0]
    with pytest.raises(UntrustedError, match=rf"\.dvc/{file} sets .*{key}, .*shiftbench trust"):
        remotes.listed(home)
    trust.trust(home)
    assert isinstance(remotes.listed(home), list)


def test_a_setting_that_dvc_will_know_tomorrow_wants_trust(home: Path) -> None:
    rng = np.random.default_rng(0)
    known = {key for keys in dvc_config._HARMLESS.values() for key in keys}
    for _ in range(200):
        key = "".join(rng.choice(list(string.ascii_lowercase), 8))
        level = {"remote": {"r": {"url": "x", key: "y"}}, "core": {key: "y"}, key: {"a": "b"}}
        assert key not in known
        assert list(dvc_config._harmful(level)) == [f"remote.r.{key}", f"core.{key}", f"{key}.a"]


def test_keys_and_passwords_want_no_trust(home: Path) -> None:
    configure(home, "['remote \"r\"']\nurl = s3://bucket/x\naccess_key_id = a\nsecret_access_key = b\n", "config.local")
    assert [remote.name for remote in remotes.listed(home)] == ["r"]


# --- passwords ---------------------------------------------------------------------------------------


@contextmanager
def server(answer: dict[str, str]) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Serve a redirect, or nothing found, and keep the headers of each request."""
    seen: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append({key.lower(): value for key, value in self.headers.items()})
            self.send_response(302 if answer else 404)
            for name, value in answer.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{httpd.server_port}", seen
        httpd.shutdown()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("auth", ["auth = basic\nuser = me", "auth = custom\ncustom_auth_header = X-Token"])
def test_a_password_follows_no_redirect_to_another_host(home: Path, auth: str) -> None:
    with server({}) as (other, stolen), server({"Location": f"{other}/x"}) as (first, asked):
        configure(home, f"['remote \"r\"']\nurl = {first}\n{auth}\npassword = open sesame\n")
        store = dvc_store.Store(home, "r")
        with pytest.raises(Exception, match="redirects to"):
            store.read("0" * 32)
        assert len(asked) == 1
        assert not stolen


def test_without_a_password_a_redirect_is_followed(home: Path) -> None:
    with server({}) as (other, reached), server({"Location": f"{other}/x"}) as (first, _):
        configure(home, f"['remote \"r\"']\nurl = {first}\n")
        with pytest.raises(FileNotFoundError):
            dvc_store.Store(home, "r").read("0" * 32)
        assert reached


@pytest.mark.parametrize("password", ["pa ss", "pa/ss", "p@s's", 'p"a ss', "a?b#c d", "100%/ 5"])
def test_no_password_of_a_url_is_shown(home: Path, password: str) -> None:
    configure(home, f"['remote \"r\"']\nurl = '''https://me:{password}@host/x'''\n")
    (shown,) = remotes.listed(home)
    assert shown.url == "https://***@host/x"
    told = remotes.redacted(f"cannot reach https://me:{password}@host/x/files", home)
    assert told == "cannot reach https://***@host/x/files"


# --- names -------------------------------------------------------------------------------------------

ODD = (
    *(".git/hooks/post-checkout", ".git/config", ".dvc/config", ".gitattributes", "Snakefile"),
    *("params.yaml", "dvc.lock", "CON", "nul.txt", "C:x", "a\\b", "..a", "...", "a.", "a ", " a"),
    *("A", "a", "\u00e9", "e\u0301", "x" * 255, "-rf", "~", "$(touch ran)", "`touch ran`", "a;b"),
    *("%s{0}", "*", "[a-c]", "?", "'", '"', "#", "&|>ran", "!", "dir/" * 60 + "deep"),
)
"""Names that may stand below a folder: each is that of a file there, and nothing else."""
OUTSIDE = (
    *("../x", "a/../../x", "/etc/x", "//x", "..", "a/..", "a\nb", "a\0b", "\x1b[2J", "\u202e", "\x7f"),
    *("x" * 256, "\u00e9" * 128, "", ".", "\ud800", "\u2028"),
)
"""Names that may not."""


def unchanged(home: Path, made: list[str]) -> None:
    """Nothing but some files of the folder was made, beside DVC's own."""
    git_dir = home / ".git"
    assert not (git_dir / "hooks/post-checkout").exists()
    assert not any(path.name == "ran" for path in home.parent.rglob("*"))
    found = {p.relative_to(home / FOLDER).as_posix() for p in (home / FOLDER).rglob("*") if p.is_file()}
    assert found == set(made)


@pytest.mark.parametrize("seed", range(1))
def test_odd_names_are_files_of_their_folder_and_nothing_else(home: Path, seed: int) -> None:
    subprocess.run(["git", "init", "-q"], cwd=home, check=True)
    rng = np.random.default_rng(seed)
    names = rng.choice(ODD, 24, replace=False).tolist()
    record(home, [(name, f"{seed} {name}".encode()) for name in names])
    above = {path: path.read_bytes() for path in home.iterdir() if path.is_file()}
    config = (home / ".dvc/config").read_bytes(), (home / ".git/config").read_bytes()
    brought(home)
    unchanged(home, names)
    assert {path: path.read_bytes() for path in above} == above
    assert ((home / ".dvc/config").read_bytes(), (home / ".git/config").read_bytes()) == config


@pytest.mark.parametrize("seed", range(len(OUTSIDE)))
def test_one_name_that_leads_outside_stops_the_pull(home: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    names = [*rng.choice(ODD, 3, replace=False).tolist(), OUTSIDE[seed % len(OUTSIDE)]]
    record(home, [(name, b"x") for name in rng.permutation(np.array(names, object))])
    before = everything(home.parent)
    with pytest.raises(DataError, match="leads outside|not a listing"):
        brought(home)
    assert everything(home.parent) == before


@pytest.mark.parametrize("pair", [("a", "a/b"), ("a/b", "a"), ("a", "a"), ("a/./b", "a/b"), ("a//b", "a/b")])
def test_two_files_in_one_place_end_in_words_or_one_of_them(home: Path, pair: tuple[str, str]) -> None:
    record(home, [(name, name.encode()) for name in pair])
    others = {name: data for name, data in everything(home.parent).items() if FOLDER not in name}
    with contextlib.suppress(DataError):
        brought(home)
    now = {name: data for name, data in everything(home.parent).items() if FOLDER not in name}
    assert now == others


@pytest.mark.parametrize("name", OUTSIDE)
def test_an_output_that_leads_outside_is_refused(home: Path, name: str) -> None:
    record(home, [("fine", b"fine")])
    lock = home / "dvc.lock"
    spelled = json.dumps(name) if "\ud800" not in name else '"\\ud800"'
    lock.write_text(lock.read_text().replace(f"path: {FOLDER}", f"path: {spelled}"))
    with pytest.raises(DataError, match="leads outside|not a list of stages"):
        dvc_lock.outputs(home)


@pytest.mark.parametrize("path", ["params.yaml", ".dvc/config", "mine"])
def test_an_output_that_no_plan_has_is_not_brought(home: Path, path: str) -> None:
    """A lock may name them, and a pull of what is planned leaves them alone."""
    record(home, [("fine", b"fine")])
    for file in ("dvc.lock", "dvc.yaml"):
        text = (home / file).read_text()
        (home / file).write_text(text.replace(FOLDER, path))
    before = {p: p.read_bytes() for p in home.rglob("*") if p.is_file() and "tmp" not in p.parts}
    planned = planned_benchmark.plan(home)
    before[home / "params.yaml"] = (home / "params.yaml").read_bytes()
    with pytest.raises(DataError):
        pull.pull(planned, home, [])
    now = {p: p.read_bytes() for p in before}
    assert now == before
