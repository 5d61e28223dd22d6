"""The store: outputs are pulled from DVC's remotes, checked against their receipts, and repaired."""

import contextlib
import shutil
import subprocess
import sys
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from shiftbench.base.errors import ChecksumError, DataError, ParamsError, suggest
from shiftbench.base.files import sha256
from shiftbench.base.refs import Ref
from shiftbench.data import shards
from shiftbench.data.dataset_card import CARD
from shiftbench.provenance import child_environment, receipts, recipe, trust
from shiftbench.provenance.recipe import Artifact
from shiftbench.workflow.plan.plan import Plan
from shiftbench.workflow.plan.prune import OUTS
from shiftbench.workflow.storage import dvc_config, dvc_lock, remotes

MANIFESTS = "manifests"
"""The word for all shards without their tars, for streaming."""


def paths_of(plan: Plan, word: str) -> list[str]:
    """The planned paths that a word of the user names.

    A word is a stage of the store (`records`), a data set, shift or severity of shards (`fashion_mnist/test/fog/3`), a
    model, or any path. `manifests` are the manifests of all shards, with their indexes and receipts.

    Raises:
        ParamsError: no planned output has that name.
    """
    outs = [out for outs in OUTS.values() for out in outs]
    if word in OUTS:
        previews = ("results/previews",) if word == "tables" else ()  # the report needs them
        return [out for out in (*OUTS[word], *previews) if out != "data/local"]
    planned = [artifact.ref for artifact in plan.artifacts.values()]
    if word == MANIFESTS:
        return [name for ref in planned for name in _without_tars(ref)]
    candidates = [f"{out}/{word}" for out in outs] + [word.rstrip("/")]
    paths = {candidate for candidate in candidates for ref in planned if dvc_lock.lies_at(ref.path, candidate)}
    if not paths:
        known = [*OUTS, MANIFESTS, *{ref.parts[0] for ref in planned}]
        raise ParamsError(f"nothing planned is called {word!r}; {suggest(word, known)}")
    return sorted(paths)


@dataclass(frozen=True, slots=True)
class Pulled:
    """The result of a pull.

    Attributes:
        checked: number of outputs that were compared with their receipts.
        manifest_only: folders of shards among them of which only manifest and index were requested.
        missing: planned outputs that are not here.
        brought: objects per remote, and the faults of remotes.
    """

    checked: int
    manifest_only: list[str]
    missing: list[Ref]
    brought: remotes.Download


def pull(plan: Plan, root: Path, asked: list[str], remote: str | None = None) -> Pulled:
    """Pull outputs, and check every digest.

    Args:
        plan: the plan with these outputs.
        root: the output root.
        asked: words, see `paths_of`; empty: everything that may be redistributed.
        remote: the only remote to use; default: all remotes, the default one first.

    Raises:
        ParamsError: an unknown word or remote.
        UntrustedError: links of a checkout that is not trusted lead elsewhere, or its configuration of DVC does.
        DataError: the remotes lack some of it, or it cannot be written.
        ChecksumError: a pulled file differs from its receipt.
    """
    words = asked or [stage for stage in OUTS if stage != "features"]
    targets = list(dict.fromkeys(path for word in words for path in paths_of(plan, word)))
    trust.refuse_links(root / "recipes", *(root / target for target in targets))
    home = dvc_config.home_of(root)
    prefix = root.resolve().relative_to(home)
    stored = [(prefix / target).as_posix() for target in targets]
    outs = [out.path for out in dvc_lock.outputs(home) if out.meets(stored)]
    trust.refuse_links(".dvc", *outs, home=home)
    result = remotes.bring(home, stored, remote)
    _check_out(home, result.targets)
    if not asked:
        with contextlib.suppress(DataError):  # recorded before recipes were stored
            remotes.bring(home, [(prefix / "recipes").as_posix()], remote)  # for DVC; written below
    checked = [
        artifact
        for artifact in plan.artifacts.values()
        if _is_under(artifact, targets) and recipe.receipt(root, artifact.ref)
    ]
    without_tars = {
        artifact.ref for artifact in checked if artifact.ref.path in targets and receipts.is_hollow(root, artifact.ref)
    }
    problems = [line for artifact in checked for line in verify(root, artifact, tars=artifact.ref not in without_tars)]
    if problems:
        raise ChecksumError("\n".join(problems))
    missing = [artifact.ref for artifact in plan.artifacts.values() if not (root / artifact.ref.path).exists()]
    plan.write(root)
    return Pulled(len(checked), sorted(ref.path for ref in without_tars), missing, result)


def missing_lines(missing: list[Ref]) -> list[str]:
    """The missing planned outputs, one line for each kind with advice."""
    lines = []
    for (kind, local), refs in groupby(sorted(missing), key=lambda ref: (ref.kind, ref.local)):
        names = [ref.name for ref in refs]
        rest = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        outputs = f"{len(names)} {kind} ({', '.join(names[:_SHOWN])}{rest})"
        lines.append(f"  {outputs}: {_FORBIDDEN if local else _WHY.get(kind, _NOT_RECORDED)}")
    return ["planned, and not here:", *lines] if lines else []


_SHOWN = 3
_FORBIDDEN = "may not be redistributed, so a run makes them if it needs them"
_WHY = {
    "sources": "never stored; a run downloads them if it needs them",
    "features": "never stored; `shiftbench make PATH` makes them",
    "samples": "not in every dvc.lock; a run makes them if it makes their page",
}
_NOT_RECORDED = "not requested, or not recorded in dvc.lock: `shiftbench pull`, else `make run`"


def _check_out(home: Path, targets: list[str]) -> None:
    """Place files from the cache, with `dvc checkout`.

    Raises:
        DataError: DVC failed.
    """
    command = [sys.executable, "-P", "-m", "dvc", "--cd", str(home.absolute()), "checkout", "--force"]
    process = subprocess.run(
        [*command, "--", *(f"./{target}" for target in targets)],  # a bare name may be that of a stage
        cwd=child_environment.NOWHERE,
        env=child_environment.build(child_environment.DVC),
        capture_output=True,
        text=True,
        check=False,
    )
    if process.returncode:
        reason = _too_large(home, targets) or remotes.redacted(process.stderr.strip(), home)
        raise DataError(f"the pulled files are in the cache, but DVC could not place them: {reason}")


def _too_large(home: Path, targets: list[str]) -> str | None:
    """The message on a full disk, which DVC does not give; None if the missing files fit."""
    cache = dvc_config.cache_of(home)
    missing: dict[int, list[tuple[str, int]]] = {}  # by the free bytes of their disk
    for path, oid in dvc_lock.recorded(home).items():
        file, cached = home / path, cache / dvc_lock.place(oid)
        if file.exists() or not any(dvc_lock.lies_at(path, target) for target in targets):
            continue
        existing = next(folder for folder in file.parents if folder.exists())
        if cached.is_file():
            missing.setdefault(disk_free(existing), []).append((path, cached.stat().st_size))
    for free, files in missing.items():
        size = sum(size for _, size in files)
        if size > free:
            names = f"{files[0][0]} and {len(files) - 1} more files"
            return f"No space left on device for {names}: {size} bytes, {free} are free"
    return None


def _is_under(artifact: Artifact, targets: list[str]) -> bool:
    return any(dvc_lock.lies_at(artifact.ref.path, target) for target in targets)


def _without_tars(ref: Ref) -> list[str]:
    """The files of shards without their tars; none for shards that may not be redistributed."""
    if ref.kind != "shards" or ref.local:
        return []
    other_files = [Path(ref.path).with_name(name).as_posix() for name in (shards.INDEX, CARD)]
    return [ref.path, f"{ref.path}.receipt.json", f"{ref.path}.run.json", *other_files]


def manifest_only(plan: Plan, root: Path) -> list[str]:
    """The planned shards with a manifest but without tars here."""
    return sorted(ref.path for ref in plan.artifacts if receipts.is_hollow(root, ref))


def require_tars(plan: Plan, root: Path) -> None:
    """Refuse to record shards without tars.

    Raises:
        DataError: names some of them.
    """
    names = manifest_only(plan, root)
    if names:
        raise DataError(
            f"{len(names)} folders of shards have a manifest and no tars ({', '.join(names[:3])}): DVC would "
            "record them without; `shiftbench pull shards` first, or `dvc repro -s` a later stage alone"
        )


def verify(root: Path, artifact: Artifact, *, tars: bool = True) -> list[str]:
    """The faults in the bytes of an output, one line each; of tars the damaged samples.

    Args:
        root: the output root.
        artifact: the output.
        tars: whether to check the tars of shards.
    """
    content = recipe.receipt(root, artifact.ref)
    if content is None:
        return [f"{artifact.ref.path}: the output or its receipt is missing"]
    folder = (root / artifact.ref.path).parent
    problems = []
    for name, digest in content["made"].items():
        file = folder / name
        if file.suffix == ".tar" and not tars:
            continue
        if not file.is_file():
            problems.append(f"{file}: missing, but its receipt names it")
        elif sha256(file) != digest:
            problems.append(f"{file}: sha256 is {sha256(file)}, the receipt says {digest}")
    if problems and artifact.ref.kind == "shards":
        problems = shards.find_damage(folder) or problems
    return problems


def repair(plan: Plan, root: Path, path: str) -> dict[str, list[str]]:
    """Remove damaged outputs below `path` and their receipts, so that the next run makes them again.

    Returns:
        The outputs to make again, each with its faults from `verify`.

    Raises:
        ParamsError: no planned output is there.
    """
    place, home = Path(path).resolve(), root.resolve()
    is_inside = place.exists() and place.is_relative_to(home)  # else a part of a name, or of a path in the root
    name = place.relative_to(home).as_posix() if is_inside else path
    artifacts = [
        artifact
        for artifact in plan.artifacts.values()
        if name in artifact.ref.path or artifact.ref.path.startswith(name) or _belongs_to(artifact, name)
    ]
    if not artifacts:
        raise ParamsError(f"no planned output is at {path!r}; `shiftbench plan --list all` lists them")
    damaged = {}
    for artifact in artifacts:
        problems = verify(root, artifact, tars=not receipts.is_hollow(root, artifact.ref))
        if problems:
            damaged[artifact.ref.path] = problems
            recipe.receipt_path(root, artifact.ref).unlink(missing_ok=True)
            (root / artifact.ref.path).unlink(missing_ok=True)
    return damaged


def _belongs_to(artifact: Artifact, name: str) -> bool:
    """Whether a file (a tar, an index) belongs to an artifact."""
    return artifact.ref.kind == "shards" and str(Path(name).parent) == str(Path(artifact.ref.path).parent)


def disk_free(root: Path) -> int:
    """Free bytes on the disk of the outputs."""
    return shutil.disk_usage(root).free
