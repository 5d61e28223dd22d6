"""The manifest of a release: every artefact with its sha256, under one Merkle root that chains in the last one.

What the root stands above is equal wherever the same params, code and data give the same bytes: digests of
outputs, of their receipts (which hold recipes, code digests and what was consumed), of params and locks, and
the root before it. Time, commit, machine, user and the place of the clone are in `volatile`, which the
signature covers (see statement.py) and the root does not.

What may not be passed on, and originals, which are fetched from where they were published, are present as the
digest that the receipts consumed, `withheld`; the shards' manifest behind such a digest names index, tars and
pixels in turn. Features are left out: a cache, missed by nobody.
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
"""Of what an entry states; the rest is text."""

Content = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Artefact:
    """One file of a release: where, what bytes, what it is, and by which recipe it was made."""

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
        """Return the entry of a manifest: what the Merkle leaf is made of."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return {name: value for name, value in values.items() if value not in (None, False)}

    def file(self, root: Path, home: Path) -> Path:
        """Return where the file stands, or would."""
        return (home if self.stage == REPOSITORY else root) / self.path


def folder(home: Path, name: str) -> Path:
    """Return the folder of a release."""
    return home / FOLDER / name


def names(home: Path) -> list[str]:
    """Return the releases of a repository, sorted by name."""
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
    return parsed(file.read_bytes(), file)


def parsed(data: bytes, file: Path) -> Content:
    """Return a manifest from the bytes of a file.

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
        raise DataError(f"{file} is not a manifest of format {FORMAT} ({flaw}); take it from git again")
    return content


def _flaw(content: Content) -> str | None:
    """Return what in a manifest would lead its reader elsewhere: each word in it becomes a path or a word of git's."""
    scale, before = content["scale"], content["previous"]
    named = [
        ("name", content["name"], is_name(content["name"])),
        ("scale", scale, scale is None or stays_below(scale)),
        ("previous", before, before is None or _is_hex(before, 64)),
        ("root", content["root"], _is_hex(content["root"], 64)),
    ]
    commit = content["volatile"]["commit"]
    named.append(("commit", commit, _is_hex(commit, 40) or _is_hex(commit, 64)))
    entries, files = content["artefacts"], content["volatile"]["files"]
    named += [("list", type(one), isinstance(one, list)) for one in (entries, files)]
    for entry in [*entries, *files]:
        named.append(("path", entry["path"], stays_below(entry["path"])))
        named.append(("sha256", entry["sha256"], _is_hex(entry["sha256"], 64)))
        named += [(key, one, type(one) is _TYPES.get(key, str)) for key, one in entry.items()]
    return next((f"{key} {shorten(repr(value))}" for key, value, right in named if not right), None)


def is_name(name: object) -> bool:
    """Tell whether a release can be called so: letters, digits, `.`, `_` and `-`."""
    return isinstance(name, str) and re.fullmatch(_NAME, name) is not None


def _is_hex(value: object, digits: int) -> bool:
    return isinstance(value, str) and re.fullmatch(rf"[0-9a-f]{{{digits}}}", value) is not None


def artefacts(content: Content) -> list[Artefact]:
    """Return the artefacts of a manifest."""
    return [Artefact.read(entry) for entry in content["artefacts"]]


# --- the tree ------------------------------------------------------------------------------------


def root_of(content: Content) -> str:
    """Return the Merkle root of a manifest as its entries give it, hexadecimal."""
    return merkle.root(_leaves(content)).hex()


def prove(content: Content, path: str) -> Content:
    """Return the proof that a file is in a release: its leaf, and the hashes that lead to the root.

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
    """Return the hashed leaves: the header (name, scale, previous root), then artefacts in the order of their paths."""
    header = {key: content[key] for key in _HEADER}
    return [merkle.leaf(canonical(data).encode()) for data in (header, *_sorted(content))]


def _sorted(content: Content) -> list[Content]:
    return sorted(content["artefacts"], key=lambda entry: str(entry["path"]))


def newest(home: Path) -> Content | None:
    """Return the manifest of the newest release, the one that no other names as the one before it; None without any.

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
            "take the one that is missing from git again, or move the odd one away"
        )
    return last[0] if last else None


# --- what is released ----------------------------------------------------------------------------


def is_withheld(ref: Ref) -> bool:
    """Tell whether the bytes are not passed on: a licence forbids it, or they are originals."""
    return ref.local or ref.kind == "sources"


def released(plan: Plan) -> list[Artifact]:
    """Return the artifacts whose bytes are released, in plan order."""
    return [artifact for ref, artifact in plan.artifacts.items() if not is_withheld(ref) and ref.kind != "features"]


@dataclass(frozen=True, slots=True)
class Head:
    """What a manifest is called, of which scale and after which root, when and at which commit it was made."""

    name: str
    scale: str | None
    previous: str | None
    created: str
    commit: str


def of(plan: Plan, root: Path, home: Path, head: Head) -> Content:
    """Return the manifest of what was made.

    Raises:
        DataError: as `gather`.
    """
    content = {
        "format": FORMAT,
        "name": head.name,
        "scale": head.scale,
        "previous": head.previous,
        "artefacts": [a.entry() for a in gather(plan, root, home, head.scale)],
        "volatile": {"created": head.created, "commit": head.commit, "files": volatile(plan, root, home)},
    }
    return content | {"root": root_of(content)}


def gather(plan: Plan, root: Path, home: Path, scale: str | None) -> list[Artefact]:
    """Return what a release is made of, sorted by path.

    Raises:
        DataError: two receipts consumed different bytes under one name.
    """
    found = [artefact for artifact in released(plan) for artefact in _of_cell(root, artifact)]
    tracked = {"params.yaml": "params", **dict.fromkeys(LOCKS, "lock")}
    if scale:
        tracked[f"params/{scale}.yaml"] = "params"
    for path, kind in tracked.items():
        if (home / path).is_file():
            found.append(_of_file(home / path, path, kind, REPOSITORY))
    return sorted([*found, *_withheld(plan, root)], key=lambda artefact: artefact.path)


def volatile(plan: Plan, root: Path, home: Path) -> list[Content]:
    """Return the files that tell how and when: run files and the lock of DVC, with their digests."""
    runs = [f"{artifact.ref.path}.run.json" for artifact in released(plan)]
    files = {path: root / path for path in runs if (root / path).is_file()}
    if (home / DVC).is_file():
        files[DVC] = home / DVC
    return [{"path": path, "sha256": sha256(file)} for path, file in sorted(files.items())]


def _of_cell(root: Path, artifact: Artifact) -> Iterator[Artefact]:
    """Yield the files of one output and its receipt."""
    content = recipe.receipt(root, artifact.ref) or {"made": {}}
    place = Path(artifact.ref.path).parent
    stage = artifact.recipe["verb"]
    for name, digest in content["made"].items():
        path = (place / name).as_posix()
        size = (root / path).stat().st_size
        yield Artefact(path, digest, artifact.ref.kind, stage, size, artifact.fingerprint)
    path = f"{artifact.ref.path}.receipt.json"
    yield _of_file(root / path, path, "receipt", stage, artifact.fingerprint)


def _of_file(file: Path, path: str, kind: str, stage: str, by: str | None = None) -> Artefact:
    return Artefact(path, sha256(file), kind, stage, file.stat().st_size, by)


def _withheld(plan: Plan, root: Path) -> Iterable[Artefact]:
    """Return what is not passed on, as what is passed on consumed it."""
    found: dict[str, Artefact] = {}
    for artifact in released(plan):
        consumed = (recipe.receipt(root, artifact.ref) or {"consumed": {}})["consumed"]
        for ref in filter(is_withheld, artifact.inputs):
            digest = consumed.get(ref.path)
            stage = plan.artifacts[ref].recipe["verb"]
            artefact = Artefact(ref.path, str(digest), ref.kind, stage, withheld=True)
            if digest is None or found.setdefault(ref.path, artefact) != artefact:
                raise DataError(
                    f"{ref.path}: the outputs made from it read other bytes "
                    f"({artifact.ref.path} read {digest}); make them again from the same ones"
                )
    return found.values()
