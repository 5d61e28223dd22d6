"""Submissions: the results of somebody's run, in one archive that a maintainer can audit and show.

a checkout with results -> NAME.tar.gz -> a checkout without tars, checkpoints and originals -> `shiftbench audit`

An archive contains params, locks and plugins as git has them, and of each output its receipt, its run file and its
bytes. Bytes of tars, checkpoints, originals, features and previews are left out: receipts have their digests. Rows are
included, so that tables follow from them. Data are the published ones if the digests are equal (`shards`).
"""

import csv
import gzip
import io
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from shiftbench.base.errors import DataError, ParamsError
from shiftbench.base.files import from_json, scratch, stays_below, write_bytes
from shiftbench.base.refs import Ref
from shiftbench.data import archives
from shiftbench.provenance import git as repository
from shiftbench.provenance import recipe, trust
from shiftbench.provenance.recipe import Artifact
from shiftbench.release import git, make, manifest
from shiftbench.release.published import Published, parameters
from shiftbench.workflow.plan.plan import Plan

FORMAT = "shiftbench-submission/1"
ABOUT, BOARD = "submission.json", "leaderboard.csv"
ACCEPTED = Path("published/submissions")
LARGEST = 8 << 30
"""Largest unpacked size of an archive in bytes."""
_MEMBERS = 200_000
"""Largest number of files in an archive."""
_KEYS = {"format", "name", "scale", "root", "commit", "created"}
_BEFORE = {"campaign": "benchmark", "weights": "model"}
"""Column names of version 0.1, in leaderboards that were published then -> names now."""
_LEFT_OUT = {"sources", "features", "previews", "checkpoints"}
_OF_THE_PROJECT = ("src/", "tests/", "docs/", "benchmarks/", "published/", ".github/", ".ci/")


def write(plan: Plan, root: Path, home: Path, about: dict[str, Any], target: Path) -> int:
    """Write the archive of a run, with the same bytes for the same run; gives the number of its files.

    Args:
        plan: of the run.
        root: its output root, below `home`.
        home: the checkout.
        about: `name`, `scale` and `created`.
        target: the archive.

    Raises:
        ParamsError: the name is not valid.
        StaleError: an output is stale.
        DataError: an output is missing or damaged, a file is a link or lies outside of the checkout, there is no
            commit, or the archive cannot be written.
    """
    if not manifest.is_name(about["name"]):
        raise ParamsError(
            f"{about['name']!r} is no valid name for a submission; use letters, digits, `.`, `_` and `-` only"
        )
    make.check_outputs(plan, root)
    head = manifest.Head(about["name"], about["scale"], None, about["created"], git.commit(home))
    content = manifest.build(plan, root, home, head)
    head_facts = {"format": FORMAT, "root": content["root"], "commit": head.commit}
    description = {**about, **head_facts, "parameters": parameters(plan, root)}
    names = _files_by_name(plan, root, home)
    with scratch(target) as temporary:
        with gzip.GzipFile(temporary, "wb", mtime=0) as packed, tarfile.open(fileobj=packed, mode="w") as archive:
            _add(archive, ABOUT, manifest.lined(description))
            for name, file in sorted(names.items()):
                _add(archive, name, file.read_bytes())
        temporary.replace(target)
    return len(names) + 1


def _files_by_name(plan: Plan, root: Path, home: Path) -> dict[str, Path]:
    """Files that are sent, by name.

    Raises:
        DataError: one is no plain file, or is behind a link, which could lead to private files.
    """
    top = home.resolve()
    here = top / root
    if not here.is_relative_to(top):
        raise DataError(f"{root} is outside of the checkout {top}; nothing was packed")
    below = here.relative_to(top)
    names = {(below / path).as_posix(): here / path for path in _outputs(plan, root)}
    names |= {path: top / path for path in _tracked(home)}
    for name, file in sorted(names.items()):
        if not file.is_file() or not (file.resolve() == file or trust.is_stored(file, top)):
            raise DataError(
                f"{name} is a link, is behind one or is no file; nothing was packed. Put the file itself there, or "
                "remove it from git"
            )
    return names


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
    """Whether only the receipt of an output is sent."""
    return ref.local or ref.kind in _LEFT_OUT


def _tracked(home: Path) -> Iterator[str]:
    """Yield the user's files that git tracks: params, locks, plugins."""
    paths = (repository.says("ls-files", "-z", home=home) or "").split("\0")
    return (path for path in paths if path and not path.startswith(_OF_THE_PROJECT))


def unpack(archive: Path, folder: Path) -> dict[str, Any]:
    """Unpack an untrusted archive into an empty folder; gives its description.

    Raises:
        DataError: it has another format, too many bytes, or members that are no plain files in the folder.
    """
    try:
        with gzip.open(archive) as packed:
            _unpack(archive, archives.Counted(packed, DataError), folder)
    except (tarfile.TarError, OSError, EOFError, ValueError, RecursionError, zlib.error) as error:
        raise DataError(f"{archive} cannot be unpacked: {error}") from error
    return read(folder)


def _unpack(archive: Path, stream: archives.Counted, folder: Path) -> None:
    """Write the members one after another, within limits."""
    total = 0
    with tarfile.open(fileobj=cast("IO[bytes]", stream), mode="r|") as archive_file:
        for count, member in enumerate(archive_file):
            is_plain = (member.isfile() and not member.issparse()) or member.isdir()
            if not is_plain or not stays_below(member.name):
                raise DataError(
                    f"{archive} has {member.name!r}, which is no plain file in its folder; the archive is refused"
                )
            total += max(member.size, 0)
            if total > LARGEST or count >= _MEMBERS:
                raise DataError(
                    f"{archive} unpacks to {total} bytes in {count + 1} files or more; the limit is {LARGEST} bytes in "
                    f"{_MEMBERS} files"
                )
            stream.allowed = archives.HEADER + member.size
            _write(archive_file, member, folder / member.name)
            stream.allowed = archives.HEADER


def _write(archive_file: tarfile.TarFile, member: tarfile.TarInfo, place: Path) -> None:
    """Write the bytes of a plain file, or make a folder, without mode, owner or time of the archive.

    `extractall` has a filter for that from Python 3.11.4 on.
    """
    source = archive_file.extractfile(member)
    if source is None:
        place.mkdir(parents=True, exist_ok=True)
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    with source, place.open("wb") as file:
        shutil.copyfileobj(source, file)


def read(folder: Path) -> dict[str, Any]:
    """Description of a submission (`ABOUT`).

    Raises:
        DataError: it has another format.
    """
    try:
        about: dict[str, Any] = from_json((folder / ABOUT).read_bytes())
        fits = about.keys() >= _KEYS and about["format"] == FORMAT
        fits = fits and manifest.is_name(about["name"])
        fits = fits and (about["scale"] is None or stays_below(about["scale"]))
        fits = fits and isinstance(about.get("parameters", {}), dict)
    except (OSError, ValueError, AttributeError):
        fits = False
    if not fits:
        raise DataError(f"{folder / ABOUT} is missing or not of format {FORMAT}, so that this is no submission")
    return about


def incomparable_outputs(plan: Plan, root: Path, there: Published) -> list[str]:
    """Shards and tables of a submission that cannot be compared with the published ones, sorted.

    Comparable shards are the same set with the same bytes, since a mean over fewer or easier samples is another number.
    Comparable tables have the same metrics, resamples and seed.

    Args:
        plan: of the submission.
        root: its output root.
        there: the published results of its configuration.
    """
    outputs = {path: made for path, made in there.outputs().items() if path.startswith("data/")}
    receipts = {ref.path: recipe.receipt(root, ref) or {} for ref in plan.artifacts}
    shards = {ref.path for ref in plan.artifacts if ref.kind == "shards" and not ref.local}
    digests_here = {path: _digests(path, receipts[path].get("made", {})) for path in shards}
    incomparable = [
        path for path in outputs.keys() | digests_here.keys() if digests_here.get(path) != outputs.get(path)
    ]
    for path in sorted(ref.path for ref in plan.artifacts if ref.kind == "tables"):
        text = there.texts.get(f"{path}.receipt.json")
        if text is None or _rules(receipts[path]) != _rules(from_json(text)):
            incomparable.append(path)
    return sorted(incomparable)


def _rules(receipt: dict[str, Any]) -> list[Any]:
    """Part of a table's recipe that decides how numbers are computed."""
    made_by = receipt.get("recipe", {})
    return [made_by.get(name) for name in ("task", "metrics", "draws", "seed")]


def _digests(path: str, made: dict[str, str]) -> dict[str, str]:
    place = PurePosixPath(path).parent
    return {(place / name).as_posix(): digest for name, digest in made.items()}


def accept(home: Path, about: dict[str, Any], board: bytes) -> Path:
    """Store the leaderboard's part of a submission, instead of an earlier one of its name; returns the folder."""
    folder = home / ACCEPTED / str(about["name"])
    trust.refuse_links(folder, home=home)
    write_bytes(folder / ABOUT, manifest.lined(about))
    write_bytes(folder / BOARD, board)
    return folder


def accepted_submissions(home: Path) -> list[tuple[dict[str, Any], list[dict[str, str]]]]:
    """Kept submissions, sorted by name: description, and rows of the leaderboard."""
    folders = sorted(file.parent for file in (home / ACCEPTED).glob(f"*/{ABOUT}"))
    return [(read(folder), board(folder / BOARD)) for folder in folders]


def board(file: Path) -> list[dict[str, str]]:
    """Rows of a leaderboard's CSV; names may contain line ends."""
    with file.open(newline="") as lines:
        rows = csv.DictReader(lines)
        return [{_BEFORE.get(name, name): value for name, value in row.items()} for row in rows]
