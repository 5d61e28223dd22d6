"""The manifest of a release: every artefact with its sha256, and one Merkle root that includes the previous root.

The root covers what is equal on every machine that gives the same bytes from the same params, code and data: digests of
outputs, of their receipts (with recipes, code digests and consumed files), of params and locks, and the previous
root. Time, commit, machine, user and the place of the clone are in `volatile`, which the
signature covers (see statement.py) and the root does not.

Files that may not be shared, and originals, which are fetched from their publishers, are present as the
digest that the receipts consumed, `withheld`; the shards' manifest behind such a digest names index, tars and
pixels in turn. Features are left out, since they are a cache.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shiftbench.base.errors import DataError, ParamsError, suggest
from shiftbench.base.files import from_json, sha256, shorten, stays_below
from shiftbench.base.refs import Ref
from shiftbench.provenance import recipe
from shiftbench.provenance.recipe import Artifact, canonical
from shiftbench.release import merkle
from shiftbench.workflow.plan.plan import Plan

FORMAT = "shiftbench-release/1"
FOLDER = "releases"
FILE = "manifest.json"
REPOSITORY = "repository"
"""Stage of files that git tracks: their paths are relative to the repository, others to the output root."""
LOCKS = ("requirements.lock", "sources.lock")
DVC = "dvc.lock"
_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}"
_HEADER = ("format", "name", "scale", "previous")
_KEYS = {*_HEADER, "root", "artefacts", "volatile"}
_TYPES = {"size": int, "withheld": bool}
"""Types of the values of an entry; the others are text."""

Content = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Artefact:
    """One file of a release: path, sha256, kind, and the recipe that made it."""

    path: str
    sha256: str
    kind: str
    stage: str
    size: int | None = None
    fingerprint: str | None = None
    withheld: bool = False

    @classmethod
    def read(cls, entry: Content) -> Artefact:
        """Read an entry of a manifest."""
        return cls(**entry)

    def entry(self) -> Content:
        """Entry of a manifest, from which the Merkle leaf is computed."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return {name: value for name, value in values.items() if value not in (None, False)}

    def file(self, root: Path, home: Path) -> Path:
        """Path of the file, which may be missing."""
        return (home if self.stage == REPOSITORY else root) / self.path


def folder(home: Path, name: str) -> Path:
    """Folder of a release."""
    return home / FOLDER / name


def names(home: Path) -> list[str]:
    """Releases of a repository, sorted by name."""
    return sorted(file.parent.name for file in (home / FOLDER).glob(f"*/{FILE}"))


def read(home: Path, name: str) -> Content:
    """Read the manifest of a release.

    Raises:
        ParamsError: there is no such release.
        DataError: it is not a manifest of this format.
    """
    file = folder(home, name) / FILE
    if not file.is_file():
        raise ParamsError(f"no release {name!r}: {file} does not exist; {suggest(name, names(home))}")
    return parse(file.read_bytes(), file)


def parse(data: bytes, file: Path) -> Content:
    """A manifest from the bytes of a file.

    Raises:
        DataError: it is not a manifest of this format.
    """
    try:
        content: Content = from_json(data)
        artefacts(content)
        flaw = None if content.keys() >= _KEYS and content["format"] == FORMAT else "keys"
        flaw = flaw or _flaw(content)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        flaw = type(error).__name__
    if flaw:
        raise DataError(f"{file} is not a manifest of format {FORMAT} ({flaw}); restore it from git")
    return content


def _flaw(content: Content) -> str | None:
    """First value of a manifest that is not safe to use as a path or as an argument of git; None: all are safe."""
    configuration, before = content["scale"], content["previous"]
    facts = [
        ("name", content["name"], is_name(content["name"])),
        ("scale", configuration, configuration is None or stays_below(configuration)),
        ("previous", before, before is None or _is_hex(before, 64)),
        ("root", content["root"], _is_hex(content["root"], 64)),
    ]
    commit = content["volatile"]["commit"]
    facts.append(("commit", commit, _is_hex(commit, 40) or _is_hex(commit, 64)))
    entries, files = content["artefacts"], content["volatile"]["files"]
    facts += [("list", type(one), isinstance(one, list)) for one in (entries, files)]
    for entry in [*entries, *files]:
        facts.append(("path", entry["path"], stays_below(entry["path"])))
        facts.append(("sha256", entry["sha256"], _is_hex(entry["sha256"], 64)))
        facts += [(key, one, type(one) is _TYPES.get(key, str)) for key, one in entry.items()]
    return next((f"{key} {shorten(repr(value))}" for key, value, is_valid in facts if not is_valid), None)


def is_name(name: object) -> bool:
    """Whether this is a valid name of a release: letters, digits, `.`, `_` and `-`."""
    return isinstance(name, str) and re.fullmatch(_NAME, name) is not None


def _is_hex(value: object, digits: int) -> bool:
    return isinstance(value, str) and re.fullmatch(rf"[0-9a-f]{{{digits}}}", value) is not None


def artefacts(content: Content) -> list[Artefact]:
    """Artefacts of a manifest."""
    return [Artefact.read(entry) for entry in content["artefacts"]]


# --- the tree ------------------------------------------------------------------------------------


def root_of(content: Content) -> str:
    """Merkle root of the entries of a manifest, hexadecimal."""
    return merkle.root(_leaves(content)).hex()


def prove(content: Content, path: str) -> Content:
    """Proof that a file is in a release: its leaf, and the hashes that lead to the root.

    Raises:
        ParamsError: the release has no such file.
    """
    entries = _sorted(content)
    paths = [entry["path"] for entry in entries]
    if path not in paths:
        raise ParamsError(f"release {content['name']} has no {path!r}; {suggest(path, paths)}")
    index = paths.index(path) + 1
    leaves = _leaves(content)
    return {
        "leaf": canonical(entries[index - 1]),
        "index": index,
        "size": len(leaves),
        "proof": [other.hex() for other in merkle.proof(leaves, index)],
        "root": content["root"],
    }


def _leaves(content: Content) -> list[bytes]:
    """Hashed leaves: the header (name, scale, previous root), then artefacts in the order of their paths."""
    header = {key: content[key] for key in _HEADER}
    return [merkle.leaf(canonical(data).encode()) for data in (header, *_sorted(content))]


def _sorted(content: Content) -> list[Content]:
    return sorted(content["artefacts"], key=lambda entry: str(entry["path"]))


def newest(home: Path) -> Content | None:
    """Manifest of the newest release, which no other names as its previous one; None if there are none.

    Raises:
        DataError: the releases are no single chain.
    """
    contents = [read(home, name) for name in names(home)]
    before = [content["previous"] for content in contents]
    last = [content for content in contents if content["root"] not in before]
    if contents and (len(last) != 1 or len(set(before)) < len(before)):
        raise DataError(
            f"{home / FOLDER} holds no single chain of releases "
            f"(newest: {', '.join(content['name'] for content in last) or 'none'}); "
            "restore the missing one from git, or move the odd one away"
        )
    return last[0] if last else None


# --- what is released ----------------------------------------------------------------------------


def is_withheld(ref: Ref) -> bool:
    """Whether the bytes are not shared: a licence forbids it, or they are originals."""
    return ref.local or ref.kind == "sources"


def released_artifacts(plan: Plan) -> list[Artifact]:
    """Artifacts whose bytes are released, in plan order."""
    return [artifact for ref, artifact in plan.artifacts.items() if not is_withheld(ref) and ref.kind != "features"]


@dataclass(frozen=True, slots=True)
class Head:
    """Name, configuration, previous root, time and commit of a release."""

    name: str
    configuration: str | None
    previous: str | None
    created: str
    commit: str


def build(plan: Plan, root: Path, home: Path, head: Head) -> Content:
    """Manifest of the outputs of a plan.

    Raises:
        DataError: as `gather`.
    """
    content = {
        "format": FORMAT,
        "name": head.name,
        "scale": head.configuration,
        "previous": head.previous,
        "artefacts": [a.entry() for a in gather(plan, root, home, head.configuration)],
        "volatile": {"created": head.created, "commit": head.commit, "files": volatile(plan, root, home)},
    }
    return content | {"root": root_of(content)}


def gather(plan: Plan, root: Path, home: Path, configuration: str | None) -> list[Artefact]:
    """Artefacts of a release, sorted by path.

    Raises:
        DataError: two receipts consumed different bytes under one name.
    """
    artefacts_here = [
        artefact for artifact in released_artifacts(plan) for artefact in _output_artefacts(root, artifact)
    ]
    tracked = {"params.yaml": "params", **dict.fromkeys(LOCKS, "lock")}
    if configuration:
        tracked[f"params/{configuration}.yaml"] = "params"
    for path, kind in tracked.items():
        if (home / path).is_file():
            artefacts_here.append(_file_artefact(home / path, path, kind, REPOSITORY))
    return sorted([*artefacts_here, *_withheld(plan, root)], key=lambda artefact: artefact.path)


def volatile(plan: Plan, root: Path, home: Path) -> list[Content]:
    """Run files and the lock of DVC, with their digests."""
    runs = [f"{artifact.ref.path}.run.json" for artifact in released_artifacts(plan)]
    files = {path: root / path for path in runs if (root / path).is_file()}
    if (home / DVC).is_file():
        files[DVC] = home / DVC
    return [{"path": path, "sha256": sha256(file)} for path, file in sorted(files.items())]


def _output_artefacts(root: Path, artifact: Artifact) -> Iterator[Artefact]:
    """Yield the files of one output and its receipt."""
    content = recipe.receipt(root, artifact.ref) or {"made": {}}
    place = Path(artifact.ref.path).parent
    stage = artifact.recipe["verb"]
    for name, digest in content["made"].items():
        path = (place / name).as_posix()
        size = (root / path).stat().st_size
        yield Artefact(path, digest, artifact.ref.kind, stage, size, artifact.fingerprint)
    path = f"{artifact.ref.path}.receipt.json"
    yield _file_artefact(root / path, path, "receipt", stage, artifact.fingerprint)


def _file_artefact(file: Path, path: str, kind: str, stage: str, by: str | None = None) -> Artefact:
    return Artefact(path, sha256(file), kind, stage, file.stat().st_size, by)


def _withheld(plan: Plan, root: Path) -> Iterable[Artefact]:
    """Withheld artefacts, with the digests that released outputs consumed."""
    artefacts_here: dict[str, Artefact] = {}
    for artifact in released_artifacts(plan):
        consumed = (recipe.receipt(root, artifact.ref) or {"consumed": {}})["consumed"]
        for ref in filter(is_withheld, artifact.inputs):
            digest = consumed.get(ref.path)
            stage = plan.artifacts[ref].recipe["verb"]
            artefact = Artefact(ref.path, str(digest), ref.kind, stage, withheld=True)
            if digest is None or artefacts_here.setdefault(ref.path, artefact) != artefact:
                raise DataError(
                    f"{ref.path}: the outputs made from it read other bytes "
                    f"({artifact.ref.path} read {digest}); make them again from the same ones"
                )
    return artefacts_here.values()


def lined(content: dict[str, Any]) -> bytes:
    """Write a document as JSON: keys are sorted, each element of a list has a line, which keeps diffs legible."""
    parts = [f"{canonical(key)}:{_lined_value(value)}" for key, value in sorted(content.items())]
    return ("{\n" + ",\n".join(parts) + "\n}\n").encode()


def _lined_value(value: object) -> str:
    if not isinstance(value, list) or not value:
        return canonical(value)
    return "[\n" + ",\n".join(f" {canonical(element)}" for element in value) + "\n]"
