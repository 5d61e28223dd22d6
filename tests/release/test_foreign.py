"""A manifest of somebody else's leads its reader nowhere but to files of the checkout."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from makers.released_benchmark import call, problems
from shiftbench.base.errors import DataError
from shiftbench.base.files import stays_below
from shiftbench.release import manifest, signing, verify

DIGEST = "0" * 64
PARTS = ("..", ".", "", "a", "data", "~", "-x", "\n", "\0", "\x1b[2J", "é", "C:", "\\..\\")


def content(**over: Any) -> dict[str, Any]:
    artefact = {"path": "params.yaml", "sha256": DIGEST, "kind": "params", "stage": "repository"}
    volatile = {"created": "now", "commit": "0" * 40, "files": []}
    made = {"format": manifest.FORMAT, "name": "1.0", "scale": None, "previous": None}
    return made | {"root": DIGEST, "artefacts": [artefact | over], "volatile": volatile}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A git repository with a file above it that nobody may touch or read."""
    (tmp_path / "secret").write_text("secret")
    home = tmp_path / "checkout"
    (home / "releases/1.0").mkdir(parents=True)
    call("git", "init", "-q", str(home))
    return home


def write(home: Path, what: object) -> None:
    (home / "releases/1.0/manifest.json").write_text(json.dumps(what))


def test_a_commit_that_is_an_option_overwrites_no_file(home: Path) -> None:
    forged = content(path="../secret", sha256="1" * 64)
    forged["volatile"]["commit"] = "--output=a"
    (home / "a:.").mkdir()
    write(home, forged)
    assert set(problems(home)) == {"manifest"}
    assert (home.parent / "secret").read_text() == "secret"


@pytest.mark.parametrize(
    "over",
    [
        {"name": "../1.0"},
        {"name": ["1.0"]},
        {"previous": "--output=a"},
        {"previous": 0},
        {"root": "f"},
        {"scale": "../../params"},
        {"scale": 7},
        {"artefacts": {}},
        {"artefacts": [1]},
        {"volatile": []},
        {"volatile": {"commit": "HEAD", "files": []}},
        {"volatile": {"commit": "0" * 40, "files": [{"path": "/etc/passwd", "sha256": DIGEST}]}},
        {"volatile": {"commit": "0" * 40, "files": [{"path": "a", "sha256": None}]}},
    ],
)
def test_what_is_no_manifest_is_a_failed_release(home: Path, over: dict[str, Any]) -> None:
    write(home, content())
    assert "manifest" in problems(home)  # its root is not that of its entries
    assert manifest.read(home, "1.0")
    write(home, content() | over)
    with pytest.raises(DataError, match="not a manifest"):
        manifest.read(home, "1.0")
    assert set(problems(home)) == {"manifest"}


def test_drawn_paths_stay_below_the_checkout_or_are_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    kept = 0
    for _ in range(2000):
        path = "/".join(rng.choice(PARTS, rng.integers(1, 5)).tolist())
        if stays_below(path):
            kept += 1
            assert (tmp_path / path).resolve().is_relative_to(tmp_path)
            assert (tmp_path / path).resolve() != tmp_path
            assert path.isprintable()
    assert 200 < kept < 1800


def test_a_release_without_a_signature_does_not_pass_for_signed(home: Path, tmp_path: Path) -> None:
    write(home, content())
    signers = tmp_path / "signers"
    signers.write_text("")
    assert "unsigned" not in problems(home)
    found = verify.verify(home, home, "1.0", signers=signers)
    assert [p.verdict for p in found if p.kind == "unsigned"] == ["failed"]


def test_the_checkouts_own_signers_are_nobodys(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "key"))
    statement = home / "releases/1.0/statement.intoto.json"
    statement.write_text("{}")
    signing.sign(statement, signing.Key("ssh", str(tmp_path / "key")))
    (home / "none").write_text("")
    call("git", "-C", str(home), "config", "gpg.ssh.allowedSignersFile", str(home / "none"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    assert [verdict.state for _, verdict in verify.verdicts(home, "1.0")] == ["good"]
    (tmp_path / ".gitconfig").write_text(f"[gpg.ssh]\n  allowedSignersFile = {home / 'none'}\n")
    assert [verdict.state for _, verdict in verify.verdicts(home, "1.0")] == ["bad"]


def test_a_statement_with_other_ends_of_lines_is_another(tmp_path: Path) -> None:
    call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "key"))
    file = tmp_path / "statement"
    file.write_bytes(b"{\n}\n")
    signature = signing.sign(file, signing.Key("ssh", str(tmp_path / "key")))
    assert signing.check(file, signature).state == "good"
    file.write_bytes(b"{\r\n}\r\n")
    assert signing.check(file, signature).state == "bad"
