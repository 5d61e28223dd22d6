"""Makes a release: refused unless all planned outputs are here, fresh and undamaged, in a clean tree."""

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from shiftbench.base.errors import DataError, ParamsError, StaleError
from shiftbench.base.files import scratch_folder, sha256, write_bytes
from shiftbench.provenance import recipe
from shiftbench.release import bill_of_materials, crate, croissant, git, manifest, signing, statement
from shiftbench.workflow.plan.plan import Plan
from shiftbench.workflow.storage import pull

_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Request:
    """Name, configuration, time and signing key of a release."""

    name: str
    configuration: str | None
    created: str
    key: signing.Key | None


def release_time(stated: str | None) -> str:
    """Time of a release: the stated one, SOURCE_DATE_EPOCH, or now; UTC, in seconds.

    Raises:
        ParamsError: it is no time.
    """
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    try:
        if stated:
            time = datetime.fromisoformat(stated)
        else:
            time = datetime.fromtimestamp(int(epoch), UTC) if epoch else datetime.now(UTC)
    except ValueError:
        raise ParamsError(
            f"{stated or epoch!r} is no time; write 2026-01-31T12:00:00+00:00, or seconds in SOURCE_DATE_EPOCH"
        ) from None
    aware = time if time.tzinfo else time.replace(tzinfo=UTC)
    return aware.astimezone(UTC).isoformat(timespec="seconds")


def make(plan: Plan, root: Path, home: Path, request: Request) -> manifest.Content:
    """Write the folder of a release, whole or not at all; returns its manifest.

    Raises:
        ParamsError: the name is taken or not valid.
        StaleError: the tree is dirty, or an output is stale.
        DataError: an output is missing or damaged, there is no commit, or signing failed.
    """
    _check_name(home, request.name)
    commit = git.commit(home)
    check_tree(home)
    check_outputs(plan, root)
    before = manifest.newest(home)
    previous = before["root"] if before else None
    head = manifest.Head(request.name, request.configuration, previous, request.created, commit)
    content = manifest.build(plan, root, home, head)
    target = manifest.folder(home, request.name)
    with scratch_folder(target) as folder:
        _write(folder / manifest.FILE, content)
        _write(folder / crate.FILE, crate.document(plan, root, home, content))
        bill = bill_of_materials.document(plan, root, home, content)
        _write(folder / bill_of_materials.FILE, bill)
        for name, document in croissant.documents(plan, root, home, content).items():
            _write(folder / "croissant" / f"{name}.json", document)
        files = {
            f"{manifest.FOLDER}/{request.name}/{file.relative_to(folder).as_posix()}": sha256(file)
            for file in folder.rglob("*")
            if file.is_file()
        }
        params = plan.params.model_dump(mode="json")
        _write(folder / statement.FILE, statement.build(content, files, params))
        if request.key:
            signing.sign(folder / statement.FILE, request.key)
        folder.chmod(0o755)
        folder.rename(target)
    return content


def _write(file: Path, content: manifest.Content) -> None:
    write_bytes(file, manifest.lined(content))


def _check_name(home: Path, name: str) -> None:
    if not manifest.is_name(name):
        raise ParamsError(f"{name!r} is no valid name for a release; use letters, digits, `.`, `_` and `-` only")
    if manifest.folder(home, name).exists():
        raise ParamsError(
            f"{manifest.folder(home, name)} exists, and a release is never overwritten; "
            "`--verify` checks it; choose another name for a new one"
        )


def check_tree(home: Path, but: str | None = None) -> None:
    """Refuse a tree that differs from the commit.

    Args:
        home: the checkout.
        but: prefix of the files that may differ.

    Raises:
        StaleError: a file differs.
    """
    files = [file for file in git.dirty(home) if but is None or not file.startswith(but)]
    if files:
        raise StaleError(
            f"{len(files)} file(s) differ from the commit, or git does not know them; "
            f"commit or remove them first:\n{_listing(files)}"
        )


def check_outputs(plan: Plan, root: Path) -> None:
    """Refuse outputs that are stale, missing, or different from their receipt.

    Raises:
        StaleError: an output is stale.
        DataError: an output is missing or damaged.
    """
    artifacts = [artifact for ref, artifact in plan.artifacts.items() if ref.kind != "features"]
    states = {artifact.ref.path: recipe.status(root, artifact) for artifact in artifacts}
    stale = [f"{path}: {state}" for path, state in states.items() if state not in ("fresh", "missing")]
    if stale:
        raise StaleError(f"{len(stale)} output(s) are stale; `make run` makes them again:\n{_listing(stale)}")
    released = manifest.released_artifacts(plan)
    missing = [artifact.ref.path for artifact in released if states[artifact.ref.path] == "missing"]
    if missing:
        raise DataError(
            f"{len(missing)} output(s) are missing; `shiftbench pull` fetches them, `make run` makes them:\n"
            f"{_listing(missing)}"
        )
    damaged = [line for artifact in released for line in pull.verify(root, artifact)]
    if damaged:
        raise DataError(
            f"{len(damaged)} file(s) are damaged; `shiftbench repair {root}` makes them again:\n{_listing(damaged)}"
        )


def _listing(lines: list[str]) -> str:
    rest = [f"and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
    return "\n".join(f"  {line}" for line in [*lines[:_SHOWN], *rest])
