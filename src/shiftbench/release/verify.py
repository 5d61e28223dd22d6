"""Checks of a release: its manifest, its chain, the artefacts that are here, its statement, its signature.

The digest in the manifest detects an edited file. The Merkle root and the statement detect an edited manifest. The
signature detects edits of all three, and so does the next release, which names the root of this one.
Without a signature, and without a copy of a root elsewhere, the whole chain can be forged.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from shiftbench.base.errors import DataError
from shiftbench.base.files import from_json, read_object, sha256, shorten
from shiftbench.provenance.git import is_known, yours
from shiftbench.release import git, manifest, signing, statement
from shiftbench.release.manifest import Artefact
from shiftbench.workflow.plan import configurations

_MEANINGS = {
    "manifest": "the manifest was edited",
    "chain": "the previous release is not the one that it names",
    "artefact": "the bytes differ from the release",
    "moved": "made again since the release, with another recipe",
    "missing": "not here",
    "run": "the run file differs: it was edited, or the output was made again",
    "statement": "the statement differs",
    "signature": "the signature is not valid",
    "key": "the signature's key is not here",
    "unsigned": "signers were requested, and none of them signed",
}

_SHOWN = 400
"""Largest number of characters of a path or a fact in a problem."""
_VERDICTS = {"missing": "incomplete", "moved": "incomplete", "key": "incomplete", "run": "exact"}


@dataclass(frozen=True, slots=True)
class Problem:
    """A flaw of a release: its kind (a key of `_MEANINGS`), its path, and two digests or facts."""

    kind: str
    path: str
    expected: str
    found: str

    @property
    def verdict(self) -> str:
        """`failed`: contradicted; `incomplete`: the released bytes are not here; `exact`: only worth noting."""
        return _VERDICTS.get(self.kind, "failed")

    @property
    def meaning(self) -> str:
        """The flaw in words."""
        return _MEANINGS[self.kind]

    def __str__(self) -> str:
        path, expected, actual = (shorten(text, _SHOWN) for text in (self.path, self.expected, self.found))
        return f"{path}: {self.meaning} (expected {expected}, found {actual})"


def verify(
    root: Path, home: Path, name: str, *, largest: int | None = None, signers: Path | None = None
) -> list[Problem]:
    """Problems of a release; empty if all of it is here and unchanged.

    Args:
        root: the output root.
        home: the repository.
        name: of the release.
        largest: for files above this number of bytes, only the size is compared; default: all are read.
        signers: ssh-keygen's allowed_signers, one of whom must have signed; default: `gpg.ssh.allowedSignersFile` in
            the user's git settings, never in those of the repository.

    Raises:
        ParamsError: there is no such release, or no such file of signers.
    """
    content = _read(home, name)
    if isinstance(content, Problem):
        return [content]
    return [
        *chain_problems(home, name),
        *artefact_problems(root, home, content, largest),
        *run_file_problems(root, content),
        *attestation_problems(home, name, signers),
    ]


def output_root(home: Path, configuration: str | None) -> Path:
    """Output root of a configuration.

    Raises:
        ParamsError: there is no params.yaml, or it is wrong.
    """
    return home / configurations.load(configuration, home).root


def chain_problems(home: Path, name: str) -> Iterator[Problem]:
    """Yield problems of a release's manifest and of its place in the chain."""
    content = _read(home, name)
    if isinstance(content, Problem):
        yield content
        return
    path = _path_of(name)
    root = manifest.root_of(content)
    if root != content["root"]:
        yield Problem("manifest", path, f"root {content['root']}", f"root {root}")
    if content["name"] != name:
        yield Problem("manifest", path, f"name {name}", f"name {content['name']}")
    paths = Counter(entry["path"] for entry in content["artefacts"])
    for duplicate in (path for path, count in paths.items() if count > 1):
        yield Problem("manifest", path, f"{duplicate} once", f"{paths[duplicate]} times")
    yield from _chain(home, content)


def artefact_problems(
    root: Path, home: Path, content: manifest.Content, largest: int | None = None
) -> Iterator[Problem]:
    """Yield the artefacts that differ from the release or are not here; arguments as `verify`."""
    for artefact in manifest.artefacts(content):
        problem = _artefact(artefact, root, home, content, largest)
        if problem:
            yield problem


def attestation_problems(home: Path, name: str, signers: Path | None = None) -> Iterator[Problem]:
    """Yield problems of a release's statement and signatures; arguments as `verify`."""
    content = _read(home, name)
    if not isinstance(content, Problem):
        yield from _statement(home, content, name)
    yield from _signature(home, name, signers)


def _path_of(name: str, file: str = manifest.FILE) -> str:
    """Path of a file of a release, relative to the repository."""
    return f"{manifest.FOLDER}/{name}/{file}"


def _read(home: Path, name: str) -> manifest.Content | Problem:
    try:
        return manifest.read(home, name)
    except DataError as error:
        return Problem("manifest", _path_of(name), manifest.FORMAT, str(error))


def _chain(home: Path, content: manifest.Content) -> Iterator[Problem]:
    """Yield a problem if the previous release is not here or was changed."""
    before = content["previous"]
    if before is None:
        return
    others = (_read(home, name) for name in manifest.names(home))
    matches = [other for other in others if not isinstance(other, Problem) and other["root"] == before]
    if not matches:
        yield Problem("chain", _path_of(content["name"]), f"root {before}", "no release with this root")
    elif manifest.root_of(matches[0]) != before:
        yield Problem("chain", _path_of(matches[0]["name"]), f"root {before}", "another root")


def _artefact(
    artefact: Artefact, root: Path, home: Path, content: manifest.Content, largest: int | None
) -> Problem | None:
    file = artefact.file(root, home)
    if not file.is_file():
        return _absent(artefact, home, content)
    size = file.stat().st_size
    if artefact.size is not None and size != artefact.size:
        expected, actual = f"{artefact.size} bytes", f"{size} bytes"
    elif largest is not None and size > largest:
        return None
    else:
        expected, actual = artefact.sha256, sha256(file)
    if expected == actual or _is_in_commit(artefact, home, content):
        return None
    return Problem(_kind(artefact, root, home, content), artefact.path, expected, actual)


def _absent(artefact: Artefact, home: Path, content: manifest.Content) -> Problem | None:
    if artefact.withheld or _is_in_commit(artefact, home, content):
        return None
    return Problem("missing", artefact.path, artefact.sha256, "no file")


def _is_in_commit(artefact: Artefact, home: Path, content: manifest.Content) -> bool:
    """Whether a tracked file has the released bytes in the release's commit; the tree may be newer."""
    if artefact.stage != manifest.REPOSITORY:
        return False
    data = git.show(home, content["volatile"]["commit"], artefact.path)
    if data is None or artefact.size not in (None, len(data)):
        return False
    return hashlib.sha256(data).hexdigest() == artefact.sha256


def _kind(artefact: Artefact, root: Path, home: Path, content: manifest.Content) -> str:
    """Kind of a difference: other bytes of the same recipe (`artefact`), or an output of a later recipe (`moved`)."""
    if artefact.stage == manifest.REPOSITORY:
        return "artefact" if is_known(content["volatile"]["commit"], home) else "missing"
    for entry in content["artefacts"]:
        if entry["kind"] == "receipt" and entry.get("fingerprint") == artefact.fingerprint:
            now = (read_object(root / entry["path"]) or {}).get("fingerprint", artefact.fingerprint)
            return "artefact" if now == artefact.fingerprint else "moved"
    return "artefact"


def run_file_problems(root: Path, content: manifest.Content) -> Iterator[Problem]:
    """Yield run files that differ from the release; missing ones are no problem."""
    for entry in content["volatile"]["files"]:
        file = root / entry["path"]
        if entry["path"] == manifest.DVC:
            continue  # git has it, and it moves with every `dvc repro`
        if file.is_file() and (digest := sha256(file)) != entry["sha256"]:
            yield Problem("run", entry["path"], entry["sha256"], digest)


def _statement(home: Path, content: manifest.Content, name: str) -> Iterator[Problem]:
    """Yield differences between the statement and the manifest or the release's files."""
    file = manifest.folder(home, name) / statement.FILE
    path = _path_of(name, statement.FILE)
    try:
        document = from_json(file.read_bytes())
        digests = {str(one["name"]): one["digest"]["sha256"] for one in document["subject"]}
        build = document["predicate"]["buildDefinition"]
        facts = {
            "type": document["_type"],
            "predicate type": document["predicateType"],
            "root": build["internalParameters"]["root"],
            "previous": build["internalParameters"]["previous"],
            "release": build["externalParameters"]["release"],
            "commit": build["resolvedDependencies"][0]["digest"]["gitCommit"],
        }
    except (OSError, ValueError, LookupError, TypeError) as error:
        yield Problem("statement", path, "an in-toto statement", type(error).__name__)
        return
    expected_facts = {
        "type": statement.TYPE,
        "predicate type": statement.PREDICATE,
        "root": content["root"],
        "previous": content["previous"],
        "release": name,
        "commit": content["volatile"]["commit"],
    }
    for fact, value in expected_facts.items():
        if facts[fact] != value:
            yield Problem("statement", path, f"{fact} {value}", f"{fact} {facts[fact]}")
    actual = statement.subjects(content, statement.own_files(home, name))
    for subject in sorted(digests.keys() | actual.keys()):
        if digests.get(subject) != actual.get(subject):
            expected = digests.get(subject, "no such subject")
            yield Problem("statement", subject, expected, actual.get(subject, "no such file"))


def _signature(home: Path, name: str, signers: Path | None) -> Iterator[Problem]:
    """Yield problems of the signatures; an unsigned release is a problem only with `signers`."""
    if signers and not (manifest.folder(home, name) / statement.SSH).is_file():
        yield Problem("unsigned", _path_of(name, statement.SSH), f"signed by one of {signers}", "no file")
    for signature, verdict in verdicts(home, name, signers):
        if verdict.state != "good":
            kind = "key" if verdict.state == "unknown" else "signature"
            yield Problem(kind, _path_of(name, signature), "a good signature", verdict.words)


def verdicts(home: Path, name: str, signers: Path | None = None) -> list[tuple[str, signing.Verdict]]:
    """Signatures of a release with their verdicts; empty if it is unsigned."""
    folder = manifest.folder(home, name)
    configured = yours("gpg.ssh.allowedSignersFile")
    known = signers or (Path(configured).expanduser() if configured else None)
    return [
        (signature, signing.check(folder / statement.FILE, folder / signature, known))
        for signature in statement.SIGNATURES
        if (folder / signature).is_file()
    ]
