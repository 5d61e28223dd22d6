"""Tables and evidence of another git revision, copied into a scratch folder.

The receipts of the tables name the outputs that are needed, and the receipts of these name further ones. The files
come from this repository's DVC cache or from its remotes. Its work tree, index and dvc.lock are not changed.
"""

import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from shiftbench.base.errors import DataError, ParamsError
from shiftbench.base.files import from_json
from shiftbench.base.refs import Ref
from shiftbench.provenance import git, trust
from shiftbench.workflow.storage import dvc_config, dvc_lock, remotes

_TABLES = "results/tables"
_BESIDE = (".receipt.json", ".run.json")


@contextmanager
def checked_out(root: Path, revision: str) -> Iterator[Path]:
    """A temporary output root with the tables, receipts and run files of a revision (a branch, tag or commit).

    Raises:
        ParamsError: it is no revision.
        DataError: nothing was recorded there, or its bytes are neither in the cache nor on a remote.
    """
    commit = _commit(root, revision)
    home = dvc_config.home_of(root)
    with tempfile.TemporaryDirectory(prefix="shiftbench-against-") as scratch:
        there = Path(scratch)
        _configure(home, there)
        for name in ("dvc.lock", "dvc.yaml"):
            (there / name).write_text(_show(home, commit, name, revision))
        yield there / _bring(there, revision)


def _commit(folder: Path, revision: str) -> str:
    home = next(path for path in (folder, *folder.resolve().parents) if path.is_dir())
    words = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    commit = git.says(*words, home=home)
    if commit is None:
        raise ParamsError(
            f"{revision!r} is neither a folder nor a revision of this git repository (in a shallow clone, "
            "`git fetch --unshallow` brings the older ones); give a checkout, an output root, a branch, tag or commit"
        )
    return commit


def _show(home: Path, commit: str, name: str, revision: str) -> str:
    text = git.says("show", f"{commit}:./{name}", home=home)
    if text is None:
        raise DataError(
            f"{revision} has no {name}: no results were recorded at that revision; compare with one after `make record`"
        )
    return text


def _configure(home: Path, scratch: Path) -> None:
    """Let a scratch repository use the cache and the remotes of another."""
    from dvc.config import Config

    dvc_config.check(home)
    trust.made(scratch)
    (scratch / ".dvc").mkdir()
    with Config(str(scratch / ".dvc")).edit("local") as own:
        own.update(dvc_config.load(home))
        own.setdefault("cache", {})["dir"] = str(dvc_config.cache_of(home).parents[1])


def _bring(home: Path, revision: str) -> str:
    """Follow the receipts from the tables upstream; returns the output root, relative to `home`."""
    below = _root(home, revision)
    report = f"{below}{Ref('report', 'index').path}"
    targets, seen = {f"{below}{_TABLES}", f"{report}.receipt.json"}, set[str]()
    while targets:
        seen |= targets
        here = _fetch(home, targets)
        upstream = {name for file in here if file.suffix == ".json" for name in _consumed(file)}
        targets = {f"{below}{name}{end}" for name in upstream for end in _BESIDE} - seen
    return below


def _root(home: Path, revision: str) -> str:
    for output in dvc_lock.outputs(home):
        if output.path == _TABLES or output.path.endswith(f"/{_TABLES}"):
            return output.path.removesuffix(_TABLES)
    raise DataError(f"dvc.lock of {revision} records no {_TABLES}, so there is nothing to compare")


def _consumed(file: Path) -> Iterable[str]:
    if not file.name.endswith(".receipt.json"):
        return ()
    try:
        names: Iterable[str] = from_json(file.read_bytes())["consumed"]
    except (ValueError, KeyError, TypeError):
        return ()  # the comparison says that it is not whole
    return names


def _fetch(home: Path, paths: set[str]) -> list[Path]:
    """Put recorded files that lie at or below some paths in place; returns them."""
    outputs = {output.path for output in dvc_lock.outputs(home)}
    targets = sorted(path for path in paths if _is_under(path, outputs))
    objects = _objects(home, targets)
    if targets and (objects is None or not all(kept.is_file() for kept in objects.values())):
        remotes.bring(home, targets)
        objects = _objects(home, targets)
    for name, kept in (objects or {}).items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(kept, home / name)
    return [home / name for name in objects or ()]


def _objects(home: Path, targets: list[str]) -> dict[str, Path] | None:
    """Objects in the cache of the files at or below some paths; None: the listing of a folder is not here."""
    cache, objects, paths = dvc_config.cache_of(home), dict[str, Path](), set(targets)
    for output in dvc_lock.outputs(home):
        if not any(_is_under(target, {output.path}) for target in targets):
            continue
        listing = cache / dvc_lock.place(output.oid)
        if output.is_folder and not listing.is_file():
            return None
        files = output.files(listing.read_bytes() if output.is_folder else None)
        objects |= {name: cache / dvc_lock.place(oid) for name, oid in files.items() if _is_under(name, paths)}
    return objects


def _is_under(path: str, tops: set[str]) -> bool:
    return path in tops or any(str(above) in tops for above in PurePosixPath(path).parents)
