"""The store: bytes from a remote, damaged ones made again, files of the user's own pinned."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from shiftbench import plan as plans
from shiftbench.cli.app import Scale, app, out
from shiftbench.errors import ShiftbenchError

PANEL = "The store"


@app.command(rich_help_panel=PANEL)
def pull(
    what: Annotated[
        list[str] | None,
        typer.Argument(help="records, fashion_mnist/test/fog/3, ...; default: all"),
    ] = None,
    remote: Annotated[str | None, typer.Option(help="DVC remote; default: the default one")] = None,
    scale: Scale = None,
) -> None:
    """Pull outputs from a DVC remote, check every digest, and settle what is left to do."""
    from shiftbench import store

    planned, root = plans.load(scale)
    planned.write(root)
    checked, missing = store.pull(planned, root, what or [], remote)
    out.print(
        f"{checked} outputs pulled and checked against their receipts; {len(missing)} planned outputs are not here"
    )


@app.command(rich_help_panel=PANEL)
def repair(path: str, scale: Scale = None) -> None:
    """Check outputs below PATH and make the damaged ones again."""
    from shiftbench import store

    planned, root = plans.load(scale)
    again = store.repair(planned, root, path)
    for name in again:
        out.print(f"damaged: {name}")
    if not again:
        out.print("all bytes are as recorded; nothing to repair")
        return
    planned.write(root)
    command = [sys.executable, "-m", "snakemake", *(str(root / name) for name in again)]
    overlay = ["--config", f"scale={scale}"] if scale else []
    if subprocess.run([*command, *overlay], check=False).returncode:
        raise ShiftbenchError(
            "the damaged outputs were dropped, but making them again failed; see the log above"
        )
    out.print(f"repaired {len(again)} output(s)")


@app.command(rich_help_panel=PANEL)
def pin(paths: list[Path]) -> None:
    """Record the sha256 of files of yours in sources.lock, so that results can be traced to them."""
    from shiftbench import pins

    out.print(f"pinned {pins.pin(paths)} file(s) in {pins.LOCK}")
