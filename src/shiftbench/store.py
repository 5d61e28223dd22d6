"""The store: DVC keeps the bytes; here they are pulled, checked, repaired and pinned."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from shiftbench import recipe, shards
from shiftbench.errors import ChecksumError, DataError, ParamsError, near
from shiftbench.plan import Plan
from shiftbench.prune import OUTS
from shiftbench.recipe import Cell


def paths_of(plan: Plan, asked: str) -> list[str]:
    """Return the planned paths that a user's word asks for.

    A word is a stage of the store (`records`), a dataset, shift or severity of shards
    (`fashion_mnist/test/fog/3`), weights, or any path; nothing else is guessed.

    Raises:
        ParamsError: nothing planned has that name.
    """
    outs = [out for outs in OUTS.values() for out in outs]
    if asked in OUTS:
        shown = ("results/previews",) if asked == "tables" else ()  # the report needs them
        return [out for out in (*OUTS[asked], *shown) if out != "data/local"]
    planned = [cell.ref for cell in plan.cells.values()]
    homes = [f"{out}/{asked}" for out in outs] + [asked.rstrip("/")]
    hits = {
        home
        for home in homes
        for ref in planned
        if (ref.path + "/").startswith((home + "/", home + "."))
    }
    if not hits:
        known = [*OUTS, *{ref.parts[0] for ref in planned}]
        raise ParamsError(f"nothing planned is called {asked!r}; {near(asked, known)}")
    return sorted(hits)


def pull(
    plan: Plan, root: Path, asked: list[str], remote: str | None = None
) -> tuple[int, list[str]]:
    """Pull what is asked (default: everything that may be passed on), and check every digest.

    Returns:
        How many receipts were checked, and what else is planned but not here.

    Raises:
        DataError: DVC could not pull.
        ChecksumError: a pulled file is not what its receipt says.
    """
    words = asked or [stage for stage in OUTS if stage != "features"]
    targets = list(dict.fromkeys(path for word in words for path in paths_of(plan, word)))
    command = [
        sys.executable,
        "-m",
        "dvc",
        "pull",
        "--force",
        *(["--remote", remote] if remote else []),
    ]
    done = subprocess.run([*command, *(str(root / target) for target in targets)], check=False)
    if done.returncode:
        raise DataError(
            "dvc pull failed (its words are above); is the remote reachable and was it pushed to?"
        )
    checked = [
        cell
        for cell in plan.cells.values()
        if _is_under(cell, targets) and recipe.receipt(root, cell.ref)
    ]
    problems = [problem for cell in checked for problem in verify(root, cell)]
    if problems:
        raise ChecksumError("\n".join(problems))
    missing = [cell.ref.path for cell in plan.cells.values() if not (root / cell.ref.path).exists()]
    plan.write(root)
    return len(checked), missing


def _is_under(cell: Cell, targets: list[str]) -> bool:
    return any((cell.ref.path + "/").startswith((target + "/", target + ".")) for target in targets)


def verify(root: Path, cell: Cell) -> list[str]:
    """Return what is wrong with the bytes of an output, one line each; tars down to the sample."""
    content = recipe.receipt(root, cell.ref)
    if content is None:
        return [f"{cell.ref.path}: the output or its receipt is missing"]
    folder = (root / cell.ref.path).parent
    problems = []
    for name, digest in content["made"].items():
        file = folder / name
        if not file.is_file():
            problems.append(f"{file}: missing, but its receipt names it")
        elif recipe.sha256(file) != digest:
            problems.append(f"{file}: sha256 is {recipe.sha256(file)}, the receipt says {digest}")
    if problems and cell.ref.kind == "shards":
        problems = shards.damaged(folder) or problems
    return problems


def repair(plan: Plan, root: Path, path: str) -> list[str]:
    """Drop the receipts of damaged outputs below `path`, so that the next run makes them again.

    Returns:
        The outputs to make again.

    Raises:
        ParamsError: no planned output lies there.
    """
    name = (
        Path(path).resolve().relative_to(root.resolve()).as_posix() if Path(path).exists() else path
    )
    cells = [
        cell
        for cell in plan.cells.values()
        if name in cell.ref.path or cell.ref.path.startswith(name) or _beside(cell, name)
    ]
    if not cells:
        raise ParamsError(f"no planned output lies at {path!r}; `shiftbench plan` lists them")
    damaged = [cell for cell in cells if verify(root, cell)]
    for cell in damaged:
        recipe.receipt_path(root, cell.ref).unlink(missing_ok=True)
        (root / cell.ref.path).unlink(missing_ok=True)
    return [cell.ref.path for cell in damaged]


def _beside(cell: Cell, name: str) -> bool:
    """Tell whether a file (a tar, an index) belongs to a cell."""
    return cell.ref.kind == "shards" and str(Path(name).parent) == str(Path(cell.ref.path).parent)


def disk_free(root: Path) -> int:
    """Return the free bytes where outputs are written."""
    return shutil.disk_usage(root).free
