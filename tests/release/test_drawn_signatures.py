"""Drawn signatures and lists of signers: good is one by a key of the list, over these bytes, for shiftbench."""

import base64
import random  # noqa: TID251 - of signatures, and seeded
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from makers import attacks
from makers.released_benchmark import call
from shiftbench.release import signing
from shiftbench.release.signing import Verdict

WHO = "tests@example.org"
TEXT = b'{"_type": "https://in-toto.io/Statement/v1",\n "subject": []}\n'
JUNK = (
    *("", "#", "a", WHO, f"{WHO} ssh-ed25519", "-I ssh-ed25519 AAAA", "* ssh-ed25519 !!!!", "\0\0"),
    *("\r", "x" * 70_000, 'a namespaces="', "!* ssh-rsa AAAA", "-oProxyCommand=x ssh-rsa B"),
    *(f"{WHO} ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA==", f'{WHO} valid-after="x" ssh-rsa A'),
)


@dataclass
class Signed:
    """A file with keys, of which `mine` is known and `other` is a stranger's, and what each has signed."""

    folder: Path
    made: dict[tuple[str, str, bytes], bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("mine", "other"):
            file = str(self.folder / name)
            call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", file)

    def public(self, name: str) -> str:
        return (self.folder / f"{name}.pub").read_text().strip()

    def signature(self, name: str, data: bytes = TEXT, space: str = signing.NAMESPACE) -> bytes:
        """Return what a key signs; made once."""
        asked = (name, space, data)
        if asked not in self.made:
            file = self.folder / "data"
            file.write_bytes(data)
            file.with_name("data.sig").unlink(missing_ok=True)
            key = str(self.folder / name)
            call("ssh-keygen", "-Y", "sign", "-n", space, "-f", key, str(file))
            self.made[asked] = file.with_name("data.sig").read_bytes()
        return self.made[asked]

    def verdict(self, signature: bytes, data: bytes = TEXT, signers: bytes | None = None) -> Verdict:
        file, given = self.folder / "statement", self.folder / "signers"
        file.write_bytes(data)
        file.with_name("statement.sig").write_bytes(signature)
        if signers is not None:
            given.write_bytes(signers)
        known = given if signers is not None else None
        return signing.check(file, file.with_name("statement.sig"), known)


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Signed:
    return Signed(tmp_path_factory.mktemp("signed"))


def blob(signature: bytes) -> bytes:
    return base64.b64decode(b"".join(signature.splitlines()[1:-1]))


def armoured(data: bytes) -> bytes:
    text = base64.encodebytes(data)
    return b"-----BEGIN SSH SIGNATURE-----\n" + text + b"-----END SSH SIGNATURE-----\n"


def with_another_key(draw: random.Random, signed: Signed) -> bytes:
    """The key that is known is named, and another one has signed; or the other way about."""
    names = draw.sample(("mine", "other"), 2)
    keys = [base64.b64decode(signed.public(name).split()[1]) for name in names]
    return armoured(blob(signed.signature(names[0])).replace(*keys))


def damaged(draw: random.Random, signed: Signed) -> bytes:
    return armoured(attacks.damaged(draw, blob(signed.signature("mine"))))


def cut(draw: random.Random, signed: Signed) -> bytes:
    whole = signed.signature("mine").rstrip()
    return whole[: draw.randrange(len(whole))]


def of_other_bytes(draw: random.Random, signed: Signed) -> bytes:
    others = (b"", TEXT[:-1], TEXT + b"\n", TEXT.replace(b"\n", b"\r\n"), TEXT.upper(), b"\0" + TEXT)
    return signed.signature("mine", draw.choice(others))


def for_another_use(draw: random.Random, signed: Signed) -> bytes:
    return signed.signature("mine", space=draw.choice(("git", "file", "Shiftbench", "shiftbench ")))


def by_the_other(draw: random.Random, signed: Signed) -> bytes:
    return signed.signature("other")


def the_other_first(draw: random.Random, signed: Signed) -> bytes:
    more = (signed.signature("mine"), b"", attacks.damaged(draw, signed.signature("mine")))
    return signed.signature("other") + draw.choice(more)


def of_another_kind(draw: random.Random, signed: Signed) -> bytes:
    whole = signed.signature("mine")
    kinds = (b"PGP SIGNATURE", b"SSH2 SIGNATURE", b"OPENSSH PRIVATE KEY", b"SSH  SIGNATURE")
    texts = (signed.public("mine").encode(), (signed.folder / "mine").read_bytes(), TEXT)
    return draw.choice((whole.replace(b"SSH SIGNATURE", draw.choice(kinds)), *texts, blob(whole)))


FORGERIES: tuple[Callable[[random.Random, Signed], bytes], ...] = (
    *(with_another_key, damaged, cut, of_other_bytes, for_another_use, by_the_other),
    *(the_other_first, of_another_kind),
)


def told_in_words(verdict: Verdict) -> bool:
    return bool(verdict.words) and "\n" not in verdict.words and len(verdict.words) < 1_000


def test_no_drawn_forgery_is_good(signed: Signed) -> None:
    listed = f'{WHO} namespaces="shiftbench" {signed.public("mine")}\n'.encode()
    assert signed.verdict(signed.signature("mine"), signers=listed).state == "good"
    for draw in attacks.draws(40, "forgery"):
        forge = draw.choice(FORGERIES)
        verdict = signed.verdict(forge(draw, signed), signers=listed)
        assert verdict.state == "bad", (forge.__name__, verdict)
        assert told_in_words(verdict), (forge.__name__, verdict)


def test_without_signers_a_drawn_forgery_is_good_for_nobody_but_its_own_key(signed: Signed) -> None:
    """Whoever signs is not asked then, and the bytes and the use still are."""
    for draw in attacks.draws(15, "nobody asked"):
        forge = draw.choice([one for one in FORGERIES if "other" not in one.__name__])
        assert signed.verdict(forge(draw, signed)).state == "bad", forge.__name__
    assert signed.verdict(signed.signature("mine", b"other")).state == "bad"
    assert signed.verdict(signed.signature("other")).state == "good"


def unfit(draw: random.Random, signed: Signed) -> str:
    """Return a line that does not say that the known key may sign a release."""
    mine, other = signed.public("mine"), signed.public("other")
    kind, key, *_ = mine.split()
    cut_key = key[: draw.randrange(4, len(key) - 4)]
    lines = (
        f"{WHO} {other}",
        f'{WHO} namespaces="git,file" {mine}',
        f'{WHO} namespaces="!shiftbench,*" {mine}',
        f'{WHO} valid-before="20200101" {mine}',
        f'{WHO} valid-after="20990101" {mine}',
        f"{WHO} cert-authority {mine}",
        f"#{WHO} {mine}",
        f"{WHO} {kind} {cut_key}",
        f"{WHO} ssh-rsa {key}",
        f"{WHO} {kind} {key[:-2]}AA",
        f"{WHO} {key}",
        mine,
        f"{WHO}\n{mine}",
    )
    return draw.choice((*lines, *JUNK))


def test_no_drawn_list_of_signers_lets_an_unlisted_key_pass(signed: Signed) -> None:
    for draw in attacks.draws(40, "signers"):
        lines = [unfit(draw, signed) for _ in range(draw.randint(0, 4))]
        text = draw.choice(("\n", "\r\n")).join(lines).encode()
        verdict = signed.verdict(signed.signature("mine"), signers=text)
        assert verdict.state == "bad", (lines, verdict)
        assert told_in_words(verdict), (lines, verdict)


def test_a_key_that_is_listed_is_found_among_others(signed: Signed) -> None:
    mine, other = signed.public("mine"), signed.public("other")
    for draw in attacks.draws(8, "found"):
        fit = draw.choice((f"a@b,{WHO} {mine}", f"*@example.org {mine}", f"-x {mine}"))
        lines = draw.sample((fit, f"{WHO} {other}", "# a word", f"a@b {other}"), 4)
        text = "\n".join(lines).encode()
        assert signed.verdict(signed.signature("mine"), signers=text).state == "good", lines


@pytest.mark.needs("gpg")
def test_a_key_that_was_revoked_signs_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keyring = tmp_path / "g"
    keyring.mkdir(mode=0o700)
    monkeypatch.setenv("GNUPGHOME", str(keyring))
    call("gpg", "--batch", "--passphrase", "", "--quick-generate-key", WHO, "ed25519", "sign")
    file = tmp_path / "statement"
    file.write_bytes(TEXT)
    signature = signing.sign(file, signing.Key("gpg", WHO))
    assert signing.check(file, signature).state == "good"
    for draw in attacks.draws(4, "gpg"):
        file.write_bytes(attacks.damaged(draw, TEXT))
        assert signing.check(file, signature).state == "bad"
    file.write_bytes(TEXT)
    (revocation,) = (keyring / "openpgp-revocs.d").iterdir()
    revocation.write_text(revocation.read_text().replace(":-----BEGIN", "-----BEGIN"))
    call("gpg", "--batch", "--import", str(revocation))
    assert signing.check(file, signature).state == "bad"
    call("gpgconf", "--kill", "all")
