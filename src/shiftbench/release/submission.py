"""Submissions: what somebody's run gave, in one archive that a maintainer can audit and show.

a checkout that was run -> NAME.tar.gz -> unpacked: a checkout without tars, nets and originals -> `shiftbench audit`

An archive holds params, locks and plugins as git has them, and of each output its receipt, its run file and its bytes,
but those of shards' tars, weights, originals, features and previews, which the receipts name by their digests. Rows are
there, so that tables follow from them; data are the published ones where the digests say so (`shards`).
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from shiftbench.errors import DataError, ParamsError
from shiftbench.files import scratch, stays_below, write_bytes
from shiftbench.plan.plan import Plan
from shiftbench.provenance import git as repository
from shiftbench.provenance import recipe, trust
from shiftbench.provenance.recipe import Artifact
from shiftbench.refs import Ref
from shiftbench.release import git, make, manifest
from shiftbench.release.published import Published
from shiftbench.release.text import lined

FORMAT = "shiftbench-submission/1"
ABOUT, BOARD = "submission.json", "leaderboard.csv"
ACCEPTED = Path("published/submissions")
LARGEST = 8 << 30
"""Bytes that an archive may unpack to."""
_KEYS = {"format", "name", "scale", "root", "commit", "created"}
_LEFT_OUT = {"sources", "features", "previews", "weights"}
_OF_THE_PROJECT = ("src/", "tests/", "docs/", "benchmarks/", "published/", ".github/", ".ci/")


def write(plan: Plan, root: Path, home: Path, about: dict[str, Any], target: Path) -> int:
    """Write the archive of a run, the same bytes for the same run; returns how many files are in it.

    Args:
        plan: of the run.
        root: its output root, below `home`.
        home: the checkout.
        about: `name`, `scale` and `created`.
        target: the archive.

    Raises:
        ParamsError: a name that is none.
        StaleError: an output is stale.
        DataError: an output is missing or damaged, there is no commit, or the archive cannot be written.
    """
    if not manifest.is_name(about["name"]):
        raise ParamsError(
            f"{about['name']!r} is no name for a submission: letters, digits, `.`, `_` and `-` only"
        )
    make.check_outputs(plan, root)
    head = manifest.Head(about["name"], about["scale"], None, about["created"], git.commit(home))
    content = manifest.of(plan, root, home, head)
    stated = {**about, "format": FORMAT, "root": content["root"], "commit": head.commit}
    below = root.resolve().relative_to(home.resolve())
    names = {(below / path).as_posix(): root / path for path in _outputs(plan, root)}
    names |= {path: home / path for path in _tracked(home)}
    with scratch(target) as temporary:
        with (
            gzip.GzipFile(temporary, "wb", mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w") as archive,
        ):
            _add(archive, ABOUT, lined(stated))
            for name, file in sorted(names.items()):
                _add(archive, name, file.read_bytes())
        temporary.replace(target)
    return len(names) + 1


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    archive.addfile(member, io.BytesIO(data))


def _outputs(plan: Plan, root: Path) -> Iterator[str]:
    """Yield the files of outputs that are sent, relative to the output root."""
    for artifact in plan.artifacts.values():
        for file in (recipe.receipt_path(root, artifact.ref), recipe.run_path(root, artifact.ref)):
            if file.is_file():
                yield file.relative_to(root).as_posix()
        yield from _bytes(artifact, root)


def _bytes(artifact: Artifact, root: Path) -> Iterator[str]:
    content = recipe.receipt(root, artifact.ref)
    if content is None or leaves_out(artifact.ref):
        return
    place = PurePosixPath(artifact.ref.path).parent
    for name in content["made"]:
        if not name.endswith(".tar"):
            yield (place / name).as_posix()


def leaves_out(ref: Ref) -> bool:
    """Tell whether an output is known by its receipt alone."""
    return ref.local or ref.kind in _LEFT_OUT


def _tracked(home: Path) -> Iterator[str]:
    """Yield what git tracks of the user's: params, locks, plugins."""
    listed = (repository.says("ls-files", "-z", home=home) or "").split("\0")
    return (path for path in listed if path and not path.startswith(_OF_THE_PROJECT))


def unpack(archive: Path, folder: Path) -> dict[str, Any]:
    """Unpack an archive of a stranger into an empty folder; returns what it says of itself.

    Raises:
        DataError: it is none of this format, has too many bytes, or members that are no plain files below the folder.
    """
    try:
        with tarfile.open(archive, "r:*") as opened:
            members = opened.getmembers()
            _check(archive, members)
            for member in members:
                _write(opened, member, folder / member.name)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise DataError(f"{archive} cannot be unpacked: {error}") from error
    return read(folder)


def _check(archive: Path, members: list[tarfile.TarInfo]) -> None:
    odd = [
        one.name
        for one in members
        if not (one.isfile() or one.isdir()) or not stays_below(one.name)
    ]
    if odd:
        raise DataError(
            f"{archive} has {odd[0]!r}, which is no plain file below its folder; it is refused"
        )
    size = sum(one.size for one in members)
    if size > LARGEST:
        raise DataError(f"{archive} unpacks to {size} bytes; at most {LARGEST} are taken")


def _write(opened: tarfile.TarFile, member: tarfile.TarInfo, place: Path) -> None:
    """Write the bytes of a plain file, or make a folder: no mode, owner or time of the archive's.

    `extractall` has a filter for that from Python 3.11.4 on.
    """
    source = opened.extractfile(member)
    if source is None:
        place.mkdir(parents=True, exist_ok=True)
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    with source, place.open("wb") as file:
        shutil.copyfileobj(source, file)


def read(folder: Path) -> dict[str, Any]:
    """Return what a submission says of itself.

    Raises:
        DataError: it is none of this format.
    """
    try:
        about: dict[str, Any] = json.loads((folder / ABOUT).read_bytes())
        fits = about.keys() >= _KEYS and about["format"] == FORMAT
        fits = fits and manifest.is_name(about["name"])
        fits = fits and (about["scale"] is None or stays_below(about["scale"]))
    except (OSError, ValueError, AttributeError, RecursionError):
        fits = False
    if not fits:
        raise DataError(f"{folder / ABOUT} is not there, or not of format {FORMAT}: no submission")
    return about


def unlike(plan: Plan, root: Path, there: Published) -> list[str]:
    """Return the shards and tables of a submission that cannot be held beside the published ones, sorted.

    Shards are the same set with the same bytes, since a mean over fewer or easier ones is another number; tables have
    the same metrics, draws and seed.

    Args:
        plan: of the submission.
        root: its output root.
        there: what is published of its scale.
    """
    outputs = {path: made for path, made in there.outputs().items() if path.startswith("data/")}
    receipts = {ref.path: recipe.receipt(root, ref) or {} for ref in plan.artifacts}
    shards = {ref.path for ref in plan.artifacts if ref.kind == "shards" and not ref.local}
    found = {path: _digests(path, receipts[path].get("made", {})) for path in shards}
    other = [path for path in outputs.keys() | found.keys() if found.get(path) != outputs.get(path)]
    for path in sorted(ref.path for ref in plan.artifacts if ref.kind == "tables"):
        text = there.texts.get(f"{path}.receipt.json")
        if text is None or _rules(receipts[path]) != _rules(json.loads(text)):
            other.append(path)
    return sorted(other)


def _rules(receipt: dict[str, Any]) -> list[Any]:
    """Return what of a table's recipe says how numbers are computed, whatever they are of."""
    made_by = receipt.get("recipe", {})
    return [made_by.get(name) for name in ("task", "metrics", "draws", "seed")]


def _digests(path: str, made: dict[str, str]) -> dict[str, str]:
    place = PurePosixPath(path).parent
    return {(place / name).as_posix(): digest for name, digest in made.items()}


def accept(home: Path, about: dict[str, Any], board: bytes) -> Path:
    """Keep what the leaderboard shows of a submission, in place of an earlier one of its name; returns the folder."""
    folder = home / ACCEPTED / str(about["name"])
    trust.refuse_links(folder, home=home)
    write_bytes(folder / ABOUT, lined(about))
    write_bytes(folder / BOARD, board)
    return folder


def accepted(home: Path) -> list[tuple[dict[str, Any], list[dict[str, str]]]]:
    """Return what is kept of submissions, sorted by name: what each says of itself, and the rows of its leaderboard."""
    folders = sorted(file.parent for file in (home / ACCEPTED).glob(f"*/{ABOUT}"))
    return [
        (read(one), list(csv.DictReader((one / BOARD).read_text().splitlines()))) for one in folders
    ]
