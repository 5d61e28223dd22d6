"""Checking a release: its manifest, its chain, the artefacts that are here, its statement, its signature.

Whoever edits a file is met by the digest in the manifest; whoever edits the manifest by its root and by the
statement; whoever edits all three by the signature, and by the next release, which names the root of this one.
Without a signature, and without a copy of a root elsewhere, the whole chain can be forged.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shiftbench.base.errors import DataError
from shiftbench.base.files import from_json, sha256, shortened
from shiftbench.provenance.git import yours
from shiftbench.release import git, manifest, signing, statement
from shiftbench.release.manifest import Artefact
from shiftbench.workflow.plan import configurations

_MEANINGS = {
    "manifest": "the manifest was edited",
    "chain": "the release before it is not the one that it names",
    "artefact": "other bytes than were released",
    "moved": "made again since the release, by another recipe",
    "missing": "not here",
    "run": "the run file is another: edited, or the output was made again",
    "statement": "the statement says otherwise",
    "signature": "the signature does not hold",
    "key": "the signature's key is not here",
    "unsigned": "signers were asked for, and none signed",
}

_SHOWN = 400
"""Characters that a problem repeats of a path or a fact."""
_VERDICTS = {"missing": "incomplete", "moved": "incomplete", "key": "incomplete", "run": "exact"}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a release: a kind of `_MEANINGS`, where, and two digests or facts."""

    kind: str
    path: str
    expected: str
    found: str

    @property
    def verdict(self) -> str:
        """`failed`: contradicted; `incomplete`: the released bytes are not here; `exact`: worth knowing only."""
        return _VERDICTS.get(self.kind, "failed")

    @property
    def meaning(self) -> str:
        """What is wrong, in words."""
        return _MEANINGS[self.kind]

    def __str__(self) -> str:
        path, expected, found = (shortened(one, _SHOWN) for one in (self.path, self.expected, self.found))
        return f"{path}: {self.meaning} (expected {expected}, found {found})"


def verify(
    root: Path, home: Path, name: str, *, largest: int | None = None, signers: Path | None = None
) -> list[Problem]:
    """Return what is wrong with a release; empty when all of it is here and as it was.

    Args:
        root: the output root.
        home: the repository.
        name: of the release.
        largest: of files above so many bytes, only the size is compared; default: all are read.
        signers: ssh-keygen's allowed_signers, one of whom must have signed; default: `gpg.ssh.allowedSignersFile` of
            the user's git (not of the repository's, which comes from whom it would prove), where it is set.

    Raises:
        ParamsError: there is no such release, or no such file of signers.
    """
    content = _read(home, name)
    if isinstance(content, Problem):
        return [content]
    return [
        *tampered(home, name),
        *artefacts(root, home, content, largest),
        *runs(root, content),
        *attested(home, name, signers),
    ]


def output_root(home: Path, scale: str | None) -> Path:
    """Return the output root of a scale.

    Raises:
        ParamsError: there is no params.yaml, or it is wrong.
    """
    return home / configurations.load(scale, home).root


def tampered(home: Path, name: str) -> Iterator[Problem]:
    """Yield what is wrong with the manifest of a release, and with its place in the chain."""
    content = _read(home, name)
    if isinstance(content, Problem):
        yield content
        return
    path = _own(name)
    found = manifest.root_of(content)
    if found != content["root"]:
        yield Problem("manifest", path, f"root {content['root']}", f"root {found}")
    if content["name"] != name:
        yield Problem("manifest", path, f"name {name}", f"name {content['name']}")
    paths = Counter(entry["path"] for entry in content["artefacts"])
    for twice in (path for path, count in paths.items() if count > 1):
        yield Problem("manifest", path, f"{twice} once", f"{paths[twice]} times")
    yield from _chain(home, content)


def artefacts(root: Path, home: Path, content: manifest.Content, largest: int | None = None) -> Iterator[Problem]:
    """Yield the artefacts that are other than released or not here; arguments as `verify`."""
    for artefact in manifest.artefacts(content):
        problem = _artefact(artefact, root, home, content, largest)
        if problem:
            yield problem


def attested(home: Path, name: str, signers: Path | None = None) -> Iterator[Problem]:
    """Yield where statement and signatures of a release do not hold; arguments as `verify`."""
    content = _read(home, name)
    if not isinstance(content, Problem):
        yield from _statement(home, content, name)
    yield from _signature(home, name, signers)


def _own(name: str, file: str = manifest.FILE) -> str:
    """Return the path of a file of a release, relative to the repository."""
    return f"{manifest.FOLDER}/{name}/{file}"


def _read(home: Path, name: str) -> manifest.Content | Problem:
    try:
        return manifest.read(home, name)
    except DataError as error:
        return Problem("manifest", _own(name), manifest.FORMAT, str(error))


def _chain(home: Path, content: manifest.Content) -> Iterator[Problem]:
    """Yield that the release before is not here, or is not what it was."""
    before = content["previous"]
    if before is None:
        return
    others = (_read(home, name) for name in manifest.names(home))
    found = [other for other in others if not isinstance(other, Problem) and other["root"] == before]
    if not found:
        yield Problem("chain", _own(content["name"]), f"root {before}", "no release with this root")
    elif manifest.root_of(found[0]) != before:
        yield Problem("chain", _own(found[0]["name"]), f"root {before}", "another root")


def _artefact(
    artefact: Artefact, root: Path, home: Path, content: manifest.Content, largest: int | None
) -> Problem | None:
    file = artefact.file(root, home)
    if not file.is_file():
        return _absent(artefact, home, content)
    size = file.stat().st_size
    if artefact.size is not None and size != artefact.size:
        expected, found = f"{artefact.size} bytes", f"{size} bytes"
    elif largest is not None and size > largest:
        return None
    else:
        expected, found = artefact.sha256, sha256(file)
    if expected == found or _is_in_commit(artefact, home, content):
        return None
    return Problem(_kind(artefact, root, home, content), artefact.path, expected, found)


def _absent(artefact: Artefact, home: Path, content: manifest.Content) -> Problem | None:
    if artefact.withheld or _is_in_commit(artefact, home, content):
        return None
    return Problem("missing", artefact.path, artefact.sha256, "no file")


def _is_in_commit(artefact: Artefact, home: Path, content: manifest.Content) -> bool:
    """Tell whether a tracked file has the released bytes in the release's commit: the tree may have moved on."""
    if artefact.stage != manifest.REPOSITORY:
        return False
    data = git.show(home, content["volatile"]["commit"], artefact.path)
    if data is None or artefact.size not in (None, len(data)):
        return False
    return hashlib.sha256(data).hexdigest() == artefact.sha256


def _kind(artefact: Artefact, root: Path, home: Path, content: manifest.Content) -> str:
    """Tell other bytes of the same recipe (`artefact`) from an output that was made by another one since."""
    if artefact.stage == manifest.REPOSITORY:
        return "artefact" if git.knows(home, content["volatile"]["commit"]) else "missing"
    for entry in content["artefacts"]:
        if entry["kind"] == "receipt" and entry.get("fingerprint") == artefact.fingerprint:
            now = _json(root / entry["path"]).get("fingerprint", artefact.fingerprint)
            return "artefact" if now == artefact.fingerprint else "moved"
    return "artefact"


def runs(root: Path, content: manifest.Content) -> Iterator[Problem]:
    """Yield run files that are others than at the release; one that is not here is not missed."""
    for entry in content["volatile"]["files"]:
        file = root / entry["path"]
        if entry["path"] == manifest.DVC:
            continue  # git has it, and it moves with every `dvc repro`
        if file.is_file() and (found := sha256(file)) != entry["sha256"]:
            yield Problem("run", entry["path"], entry["sha256"], found)


def _statement(home: Path, content: manifest.Content, name: str) -> Iterator[Problem]:
    """Yield where the statement's subjects differ from the manifest and the release's files."""
    file = manifest.folder(home, name) / statement.FILE
    path = _own(name, statement.FILE)
    try:
        said = from_json(file.read_bytes())
        stated = {str(one["name"]): one["digest"]["sha256"] for one in said["subject"]}
        build = said["predicate"]["buildDefinition"]
        facts = {
            "type": said["_type"],
            "predicate type": said["predicateType"],
            "root": build["internalParameters"]["root"],
            "previous": build["internalParameters"]["previous"],
            "release": build["externalParameters"]["release"],
            "commit": build["resolvedDependencies"][0]["digest"]["gitCommit"],
        }
    except (OSError, ValueError, LookupError, TypeError) as error:
        yield Problem("statement", path, "an in-toto statement", type(error).__name__)
        return
    wanted = {
        "type": statement.TYPE,
        "predicate type": statement.PREDICATE,
        "root": content["root"],
        "previous": content["previous"],
        "release": name,
        "commit": content["volatile"]["commit"],
    }
    for fact, value in wanted.items():
        if facts[fact] != value:
            yield Problem("statement", path, f"{fact} {value}", f"{fact} {facts[fact]}")
    actual = statement.subjects(content, statement.own_files(home, name))
    for subject in sorted(stated.keys() | actual.keys()):
        if stated.get(subject) != actual.get(subject):
            expected = stated.get(subject, "no such subject")
            yield Problem("statement", subject, expected, actual.get(subject, "no such file"))


def _signature(home: Path, name: str, signers: Path | None) -> Iterator[Problem]:
    """Yield what is wrong with the signatures; a release without one is unsigned, which contradicts only `signers`."""
    if signers and not (manifest.folder(home, name) / statement.SSH).is_file():
        yield Problem("unsigned", _own(name, statement.SSH), f"signed by one of {signers}", "no file")
    for signature, verdict in verdicts(home, name, signers):
        if verdict.state != "good":
            kind = "key" if verdict.state == "unknown" else "signature"
            yield Problem(kind, _own(name, signature), "a good signature", verdict.words)


def verdicts(home: Path, name: str, signers: Path | None = None) -> list[tuple[str, signing.Verdict]]:
    """Return each signature of a release with its verdict; none where it is unsigned."""
    folder = manifest.folder(home, name)
    configured = yours("gpg.ssh.allowedSignersFile")
    known = signers or (Path(configured).expanduser() if configured else None)
    return [
        (signature, signing.check(folder / statement.FILE, folder / signature, known))
        for signature in statement.SIGNATURES
        if (folder / signature).is_file()
    ]


def _json(file: Path) -> dict[str, Any]:
    try:
        content = from_json(file.read_bytes())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
