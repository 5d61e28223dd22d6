"""No file of a release changes unnoticed: each fault alone, with the file and the kind of problem that it must give."""

from collections.abc import Callable
from pathlib import Path

import pytest

from makers.released_benchmark import METRICS, OWN, RECORD, SECRET, STATEMENT, TAR, call, edit, flip, problems
from shiftbench.base.errors import DataError
from shiftbench.release import signing

pytestmark = pytest.mark.workflow


def test_a_copy_without_changes_is_exact(copy: Path, keys: Path) -> None:
    assert problems(copy, signers=keys / "signers") == {}


ENTRY = f"{RECORD}.receipt.json"
RUN = f"{RECORD}.run.json"
CROISSANT = "releases/1.0/croissant/tiny.json"
BILL = "releases/1.0/sbom.cdx.json"
FIRST = "checkpoints/tiny/convnet-erm-s0.safetensors"
"""The first of the manifest's artefacts."""
FAULTS: dict[str, tuple[Callable[[Path], None], dict[str, set[str]]]] = {
    "a byte of a shard": (lambda home: flip(home / TAR), {"artefact": {TAR}}),
    "a byte of a table": (lambda home: flip(home / METRICS), {"artefact": {METRICS}}),
    "a byte of what is withheld": (lambda home: flip(home / SECRET), {"artefact": {SECRET}}),
    "a receipt": (lambda home: edit(home / ENTRY, lambda it: it["consumed"].clear()), {"artefact": {ENTRY}}),
    "the lock": (
        lambda home: (home / "requirements.lock").write_text("numpy==1.0\n"),
        {"missing": {"requirements.lock"}},  # without git, nobody knows what it was
    ),
    "a record is lost": (lambda home: (home / RECORD).unlink(), {"missing": {RECORD}}),
    "a run file": (lambda home: edit(home / RUN, lambda it: it.update(seconds=0)), {"run": {RUN}}),
    "a digest in the manifest": (
        lambda home: edit(home / OWN, lambda it: it["artefacts"][0].update(sha256="0" * 64)),
        {"manifest": {OWN}, "artefact": {FIRST}, "statement": {OWN, FIRST}},
    ),
    "an artefact struck from the manifest": (
        lambda home: edit(home / OWN, lambda it: it["artefacts"].pop(0)),
        {"manifest": {OWN}, "statement": {OWN, FIRST}},
    ),
    "the commit in the manifest": (
        lambda home: edit(home / OWN, lambda it: it["volatile"].update(commit="0" * 40)),
        {"statement": {OWN, STATEMENT}},
    ),
    "the root in the manifest": (
        lambda home: edit(home / OWN, lambda it: it.update(root="0" * 64)),
        {"manifest": {OWN}, "statement": {OWN, STATEMENT}},
    ),
    "no manifest any more": (lambda home: (home / OWN).write_text("{}"), {"manifest": {OWN}}),
    "a subject of the statement": (
        lambda home: edit(home / STATEMENT, lambda it: it["subject"].pop(0)),
        {"statement": {FIRST}, "signature": {f"{STATEMENT}.sig"}},
    ),
    "a parameter in the statement": (
        lambda home: edit(
            home / STATEMENT, lambda it: it["predicate"]["buildDefinition"]["externalParameters"].update(params={})
        ),
        {"signature": {f"{STATEMENT}.sig"}},
    ),
    "a description": (
        lambda home: edit(home / CROISSANT, lambda it: it.update(license="none")),
        {"statement": {CROISSANT}},
    ),
    "a package struck from the bill of materials": (
        lambda home: edit(home / BILL, lambda it: it["components"].pop(0)),
        {"statement": {BILL}},
    ),
    "no bill of materials any more": (lambda home: (home / BILL).unlink(), {"statement": {BILL}}),
    "a file slipped in": (
        lambda home: (home / "releases/1.0/more.json").write_text("{}"),
        {"statement": {"releases/1.0/more.json"}},
    ),
    "the signature": (
        lambda home: (home / f"{STATEMENT}.sig").write_text("-----BEGIN SSH SIGNATURE-----\n"),
        {"signature": {f"{STATEMENT}.sig"}},
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_change_is_caught_and_named(copy: Path, fault: str) -> None:
    change, expected = FAULTS[fault]
    change(copy)
    assert problems(copy) == expected


def test_a_release_from_before_bills_of_materials_verifies(copy: Path) -> None:
    (copy / BILL).unlink()
    (copy / f"{STATEMENT}.sig").unlink()
    edit(copy / STATEMENT, lambda it: it.update(subject=[one for one in it["subject"] if one["name"] != BILL]))
    assert problems(copy) == {}


def test_what_was_made_again_by_another_recipe_is_told_apart(copy: Path) -> None:
    edit(copy / f"{METRICS}.receipt.json", lambda it: it.update(fingerprint="0" * 64))
    flip(copy / METRICS)
    assert problems(copy) == {"moved": {METRICS, f"{METRICS}.receipt.json"}}


def test_a_key_of_nobody_known_is_refused(copy: Path, tmp_path: Path) -> None:
    call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "forged"))
    (copy / f"{STATEMENT}.sig").unlink()
    signing.sign(copy / STATEMENT, signing.Key("ssh", str(tmp_path / "forged")))
    assert problems(copy) == {}  # sound, and whose it is nobody asked
    (tmp_path / "signers").write_text("a@b.c ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA== other\n")
    assert problems(copy, signers=tmp_path / "signers") == {"signature": {f"{STATEMENT}.sig"}}


@pytest.mark.needs("gpg")
def test_a_gpg_key_signs_and_its_keyring_verifies(
    copy: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    keyring, empty = (tmp_path_factory.mktemp("gpg") for _ in range(2))
    monkeypatch.setenv("GNUPGHOME", str(keyring))
    make_key = ("gpg", "--batch", "--passphrase", "", "--quick-generate-key")
    call(*make_key, "tests@example.org", "ed25519", "sign", "never")
    (copy / f"{STATEMENT}.sig").unlink()
    signature = signing.sign(copy / STATEMENT, signing.Key("gpg", "tests@example.org"))
    assert call("gpg", "--verify", str(signature), str(copy / STATEMENT)).returncode == 0
    assert problems(copy) == {}
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("GNUPGHOME", str(empty))
        assert problems(copy) == {"key": {f"{STATEMENT}.asc"}}
    edit(copy / STATEMENT, lambda it: it["subject"].pop(0))
    assert problems(copy)["signature"] == {f"{STATEMENT}.asc"}
    call("gpgconf", "--kill", "all")


def test_gits_own_signing_key_is_the_default(tmp_path: Path) -> None:
    call("git", "init", "-q", str(tmp_path))
    assert signing.key_of(tmp_path, None) is None
    for name, value in {"user.signingkey": "~/.ssh/id.pub", "gpg.format": "ssh"}.items():
        call("git", "-C", str(tmp_path), "config", name, value)
    assert signing.key_of(tmp_path, None) == signing.Key("ssh", "~/.ssh/id.pub")
    call("git", "-C", str(tmp_path), "config", "gpg.format", "openpgp")
    assert signing.key_of(tmp_path, None) == signing.Key("gpg", "~/.ssh/id.pub")
    with pytest.raises(DataError, match=r"could not sign.*--unsigned"):
        signing.sign(tmp_path / "nothing", signing.Key("ssh", str(tmp_path / "nokey")))
