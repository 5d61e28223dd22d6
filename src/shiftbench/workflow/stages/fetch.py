"""Stage fetch: source files -> data/sources/NAME, checked by sha256.

Tried in order: the existing folder, the user's folders (with files or downloaded packages), the cache that all runs on
this machine share, the providers of the source. Every byte is checked before use. A folder appears whole or not at
all. Its manifest.json does not depend on the provider.
"""

import contextlib
import gzip
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from shiftbench.base import files
from shiftbench.base.errors import DataError, FetchError
from shiftbench.base.progress import Screen
from shiftbench.data import providers
from shiftbench.data.source_files import Provider, Source, SourceFile, cache_home, load_source, original_folder, verify
from shiftbench.provenance import locks
from shiftbench.provenance.recipe import Artifact, Run

Bring = Callable[[Path], None]


@dataclass(frozen=True, slots=True)
class FetchResult:
    """The files of a source and their provider; only the run file states the provider.

    Attributes:
        provider: `folder PATH`, `cache`, or the label of a provider.
        refused: the errors of the providers that were tried before.
    """

    name: str
    folder: Path
    files: dict[str, SourceFile]
    provider: str
    refused: tuple[str, ...] = ()


def keep(name: str) -> FetchResult:
    """Download a source into the cache of this machine, for use without a benchmark.

    Raises:
        ParamsError: no such source.
        FetchError: no provider has it.
    """
    original_folder(name).parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache_home()) as scratch:
        return fetch(name, Path(scratch) / name, [])


def fetch(name: str, folder: Path, folders: list[Path], *, offline: bool = False) -> FetchResult:
    """Download the source `name` into `folder`, which is replaced as a whole.

    Args:
        name: its card is `sources/<name>.yaml`.
        folder: the target (`data/sources/NAME`); its parent is made.
        folders: the user's own folders, tried first.
        offline: use only these and the cache.

    Raises:
        ParamsError: no such source, or a wrong key in its card.
        FetchError: no provider has it; the message lists their errors and the commands by hand.
    """
    source = load_source(name)
    refused: list[str] = []
    files.sweep(folder, owns_folder=False)
    chain = _chain(name, source, [folder, *folders], offline=offline)
    for label, bring in chain:
        try:
            with _scratch(folder) as work, _spinner(f"fetching {name}: {label}"):
                bring(work)
                verified = verify(source, work)
                _install(name, source, verified, work, folder)
        except (DataError, OSError) as error:
            refused.append(f"{label}: {error}")
        else:
            return FetchResult(name, folder, verified, label, tuple(refused))
    raise FetchError(_failure(name, source, refused, offline=offline))


def _failure(name: str, source: Source, refused: list[str], *, offline: bool) -> str:
    errors = "".join(f"\n  {line}" for line in refused)
    outcome = "no provider was asked (offline)" if offline else "no provider could bring it"
    commands = " or ".join(f"`{provider.command}`" for provider in source.providers)
    return (
        f"source {name!r} ({source.title}): {outcome}{errors}\n  by hand: {commands}; "
        f"put the package, or its files under {name}/, into a folder listed in params.yaml under fetch.folders"
    )


# --- providers, in order -------------------------------------------------------------------------


def _chain(name: str, source: Source, folders: list[Path], *, offline: bool) -> Iterator[tuple[str, Bring]]:
    """Yield (label, function that puts the wanted files into an empty folder)."""
    folder, *user_folders = folders
    if folder.is_dir():
        yield "already there", partial(_link_tree, source, folder)
    for user_folder in user_folders:
        yield f"folder {user_folder}", partial(_from_folder, name, source, user_folder)
    yield "cache", partial(_from_cache, source, original_folder(name))
    if not offline:
        for provider in source.providers:
            yield provider.label, partial(_from_provider, provider, source, original_folder(name))


def _from_folder(name: str, source: Source, home: Path, work: Path) -> None:
    """Take the files in home/NAME or (single files) in home, else from a package in home."""
    if not home.is_dir():
        raise FetchError("is not a folder")
    if _copy_tree(source, home / name, work) or _copy_files(source, (home / name, home), work):
        return
    for provider in source.providers:
        for package in sorted(home.glob(provider.archive)) if provider.archive else ():
            providers.unpack(package, provider, source, work)
            return
    raise FetchError(f"holds neither {name}/ nor its files nor its package")


def _copy_tree(source: Source, home: Path, work: Path) -> bool:
    """Copy a collection; returns whether it has any file."""
    if source.tree is None:
        return False
    for path in home.rglob("*"):
        relative = path.relative_to(home).as_posix()
        if path.is_file() and source.wants(relative):
            (work / relative).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, work / relative)
    return any(work.iterdir())


def _copy_files(source: Source, homes: tuple[Path, ...], work: Path) -> bool:
    """Copy single files from the first folder that has them, gzipped or not; returns whether there were any."""
    for name in source.files:
        for path in (folder / name for folder in homes):
            gzipped = path.with_name(f"{path.name}.gz")
            target = work / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if path.is_file():
                shutil.copyfile(path, target)
                break
            if gzipped.is_file():
                with gzip.open(gzipped) as stream, target.open("wb") as file:
                    shutil.copyfileobj(stream, file)
                break
    return any(path.is_file() for path in work.rglob("*"))


def _from_cache(source: Source, kept: Path, work: Path) -> None:
    """Hard-link from the cache; the caller checks the bytes again."""
    if not kept.is_dir():
        raise FetchError("not there")
    _link_tree(source, kept, work)


def _from_provider(provider: Provider, source: Source, kept: Path, work: Path) -> None:
    """Download and unpack next to the cache, check, move into the cache, link from there; one process at a time."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    with locks.hold(kept.with_name(f".{kept.name}.lock")):
        files.sweep(kept, owns_folder=False)
        with _scratch(kept) as unpacked, _scratch(kept) as packages:
            package = providers.download(provider, packages, cache_home())
            providers.unpack(package, provider, source, unpacked)
            verify(source, unpacked)
            _replace(unpacked, kept)
        _link_tree(source, kept, work)


def _link_tree(source: Source, home: Path, work: Path) -> None:
    for path in home.rglob("*"):
        relative = path.relative_to(home).as_posix()
        if path.is_file() and source.wants(relative):
            (work / relative).parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(path, work / relative)
            except OSError:  # another file system
                shutil.copyfile(path, work / relative)


# --- whole or not at all -----------------------------------------------------------------------


@contextlib.contextmanager
def _scratch(beside: Path) -> Iterator[Path]:
    """Yield an empty folder on the same file system, with the permissions of `beside`; it is removed afterwards."""
    with files.scratch_folder(beside) as parent:
        folder = parent / beside.name
        folder.mkdir()
        yield folder


def manifest_text(name: str, source: Source, files: dict[str, SourceFile]) -> str:
    """The manifest of a folder of source files; it does not depend on the provider."""
    content = {
        "name": name,
        "licence": source.licence,
        "redistribute": source.redistribute,
        "files": {path: original.model_dump() for path, original in sorted(files.items())},
    }
    return json.dumps(content, indent=1, sort_keys=True) + "\n"


def _install(name: str, source: Source, files: dict[str, SourceFile], work: Path, folder: Path) -> None:
    (work / "manifest.json").write_text(manifest_text(name, source, files), encoding="utf-8")
    _replace(work, folder)


def _replace(new: Path, folder: Path) -> None:
    """Move a complete folder into place; another process that does the same has the same bytes."""
    for path in sorted(new.rglob("*")):
        if path.is_dir() or path.stat().st_nlink == 1:  # a hard link is on the disk since its first name
            files.sync(path)
    files.sync(new)
    if folder.exists():
        with _scratch(folder) as old:
            folder.rename(old)
            new.rename(folder)
    else:
        new.rename(folder)
    files.sync(folder.parent)


def _spinner(text: str) -> contextlib.AbstractContextManager[object]:
    """A spinner with a text on a terminal."""
    console = Screen(stderr=True)
    return console.status(text) if console.is_terminal else contextlib.nullcontext()


def run(run: Run, todo: list[Artifact]) -> None:
    """Download one source; its recipe file has the folders and `offline`."""
    settings = run.job.settings
    for artifact in todo:
        folder = run.path(artifact.ref).parent
        folders = [Path(path).expanduser() for path in settings["folders"]]
        result = fetch(artifact.ref.name, folder, folders, offline=settings["offline"])
        run.note(provider=result.provider, refused=list(result.refused))
        run.commit(artifact, {"manifest.json": folder / "manifest.json"})
