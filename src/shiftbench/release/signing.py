"""Detached signatures by SSH keys (`ssh-keygen -Y`) or GPG keys, next to the signed file.

Source: the SSHSIG format (PROTOCOL.sshsig of OpenSSH), with the namespace `shiftbench`; RFC 9580 for GPG.
A signature does not contain the owner of its key, but `signers` (ssh-keygen's allowed_signers) or GPG's keyring does.
"""

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from shiftbench.base.errors import DataError, ParamsError
from shiftbench.provenance import child_environment
from shiftbench.release import git

NAMESPACE = "shiftbench"
_STATUS = "[GNUPG:] "
_GONE = {"REVKEYSIG", "EXPSIG"}
"""States in which GPG succeeds although the key was revoked or the signature has expired."""


@dataclass(frozen=True, slots=True)
class Key:
    """A signing key: `ssh` with a file or a literal public key, or `gpg` with a key id."""

    kind: str
    value: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """Verdict on a signature: `good`, `bad`, or `unknown` (its key is not here), and the tool's message."""

    state: str
    words: str


def key_of(home: Path, requested: str | None) -> Key | None:
    """Key to sign with: the requested one, else git's `user.signingkey`, else None.

    Args:
        home: the repository.
        requested: a file with an SSH key, or the id of a GPG key.
    """
    if requested:
        return Key("ssh" if Path(requested).expanduser().is_file() else "gpg", requested)
    value = git.config(home, "user.signingkey")
    if not value:
        return None
    return Key("ssh" if git.config(home, "gpg.format") == "ssh" else "gpg", value)


def sign(file: Path, key: Key) -> Path:
    """Sign a file; gives the signature next to it (`.sig` by SSH, `.asc` by GPG).

    Raises:
        DataError: the tool is missing or refuses.
    """
    file = file.absolute()  # the programs are started elsewhere
    if key.kind == "gpg":
        output = file.with_name(f"{file.name}.asc")
        command = ["gpg", "--batch", "--yes", "--armor", "--local-user", key.value]
        _run([*command, "--output", str(output), "--detach-sign", str(file)])
        return output
    with tempfile.TemporaryDirectory() as folder:
        literal = key.value.removeprefix("key::")
        key_file, agent = str(Path(key.value).expanduser().absolute()), []
        if literal.startswith(("ssh-", "ecdsa-", "sk-")):  # as git allows: the agent has the key
            Path(folder, "key.pub").write_text(literal + "\n")
            key_file, agent = f"{folder}/key.pub", ["-U"]
        _run(["ssh-keygen", "-Y", "sign", "-n", NAMESPACE, "-f", key_file, *agent, str(file)])
    return file.with_name(f"{file.name}.sig")


def check(file: Path, signature: Path, signers: Path | None = None) -> Verdict:
    """Check a signature with the tool that made it.

    Args:
        file: the signed file.
        signature: `.sig` or `.asc`.
        signers: ssh-keygen's allowed_signers; without it, an SSH signature of any key is good.

    Raises:
        ParamsError: there is no such file of signers.
    """
    file, signature = file.absolute(), signature.absolute()  # the programs are started elsewhere
    if signature.suffix == ".asc":
        return _check_gpg(file, signature)
    command = ["ssh-keygen", "-Y", "check-novalidate", "-n", NAMESPACE, "-s", str(signature)]
    if signers:
        if not signers.is_file():
            raise ParamsError(f"no file of signers {signers}; ssh-keygen(1), ALLOWED SIGNERS, has its format")
        signers = signers.absolute()
        principals = _call(["ssh-keygen", "-Y", "find-principals", "-s", str(signature), "-f", str(signers)])
        if principals.returncode:
            validity = _call(command, file)
            return Verdict("bad", _words(validity) if validity.returncode else f"its key is not in {signers}")
        principal = principals.stdout.splitlines()[0]
        command = ["ssh-keygen", "-Y", "verify", "-f", str(signers), "-I", principal, *command[3:]]
    process = _call(command, file)
    return Verdict("bad" if process.returncode else "good", _words(process))


def _check_gpg(file: Path, signature: Path) -> Verdict:
    process = _call(["gpg", "--batch", "--status-fd", "1", "--verify", str(signature), str(file)])
    words = " ".join(process.stderr.split())
    stated = {line.split()[1] for line in process.stdout.splitlines() if line.startswith(_STATUS)}
    if process.returncode:
        return Verdict("unknown" if "NO_PUBKEY" in stated else "bad", words)
    return Verdict("bad" if stated & _GONE else "good", words)


def _words(process: subprocess.CompletedProcess[str]) -> str:
    return " ".join((process.stdout + process.stderr).split())


def _run(command: list[str]) -> None:
    process = _call(command)
    if process.returncode:
        raise DataError(
            f"`{' '.join(command[:3])}` could not sign: {_words(process)}; "
            "is the key right? `--sign KEY` names another, `--unsigned` signs nothing"
        )


def _call(command: list[str], stdin: Path | None = None) -> subprocess.CompletedProcess[str]:
    content = stdin.read_bytes() if stdin else None  # as text, CRLF would be read as LF
    try:
        process = subprocess.run(
            command,
            cwd=child_environment.NOWHERE,
            env=child_environment.build(child_environment.LIBRARIES),
            input=content,
            capture_output=True,
            check=False,
        )
    except FileNotFoundError:
        raise DataError(f"{command[0]} is not installed; Debian has it in openssh-client or gnupg") from None
    out, err = (output.decode(errors="replace") for output in (process.stdout, process.stderr))
    return subprocess.CompletedProcess(command, process.returncode, out, err)
