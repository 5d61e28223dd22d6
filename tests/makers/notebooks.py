"""Notebooks without Jupyter: the code cells in order in one fresh interpreter, and what a reader sees of each.

    python -m makers.notebooks NOTEBOOK OUTPUTS

A cell is plain Python (no `!` and no `%`), so that nothing has to be installed to run it. As in Jupyter, what it
prints is one output, and the value of its last expression another, as text and in what `_repr_html_` and its like give.
"""

import ast
import base64
import contextlib
import io
import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Cell = dict[str, Any]
Output = dict[str, Any]
ADDRESS = re.compile(r" at 0x[0-9a-f]+", re.I)
RICH = {"text/html": "_repr_html_", "image/svg+xml": "_repr_svg_", "image/png": "_repr_png_"}


def read(path: Path) -> dict[str, Any]:
    """Return a notebook, each text in one piece."""
    notebook: dict[str, Any] = json.loads(path.read_text())
    for cell in notebook["cells"]:
        cell["source"] = "".join(cell["source"])
    return notebook


def write(path: Path, notebook: Mapping[str, Any], outputs: list[list[Output]]) -> None:
    """Write a notebook with new outputs, laid out as Jupyter does it."""
    cells = [dict(cell) for cell in notebook["cells"]]
    for number, (cell, given) in enumerate(zip(code(cells), outputs, strict=True), 1):
        for output in given:
            if output["output_type"] == "execute_result":
                output["execution_count"] = number
        cell |= {"execution_count": number, "outputs": given}
    for cell in cells:
        cell["source"] = cell["source"].splitlines(keepends=True)
    text = json.dumps({**notebook, "cells": cells}, indent=1, ensure_ascii=False, sort_keys=True)
    path.write_text(text + "\n")


def code(cells: list[Cell]) -> list[Cell]:
    """Return the cells that are run."""
    return [cell for cell in cells if cell["cell_type"] == "code"]


def execute(path: Path, folder: Path, environment: Mapping[str, str]) -> list[list[Output]]:
    """Return the outputs of each code cell.

    Raises:
        AssertionError: a cell fails; it and what was said are named.
    """
    there = folder / f"{path.stem}.json"
    command = [sys.executable, "-m", "makers.notebooks", str(path), str(there)]
    done = subprocess.run(command, cwd=folder, env=dict(environment), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{path.name} fails:\n{done.stderr}"
    outputs: list[list[Output]] = json.loads(there.read_text())
    return outputs


def _run(source: str, number: int, names: dict[str, Any]) -> list[Output]:
    """Run one cell."""
    statements = ast.parse(source).body
    last = statements.pop() if statements and isinstance(statements[-1], ast.Expr) else None
    where = f"<cell {number}>"
    with contextlib.redirect_stdout(io.StringIO()) as said:
        exec(compile(ast.Module(statements, []), where, "exec"), names)
        value = None
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), where, "eval"), names)  # noqa: S307 - our own cells
    printed = said.getvalue().splitlines(keepends=True)
    outputs: list[Output] = []
    if printed:
        outputs.append({"output_type": "stream", "name": "stdout", "text": printed})
    if value is not None:
        outputs.append({"output_type": "execute_result", "data": _shown(value), "metadata": {}})
    return outputs


def _shown(value: object) -> dict[str, Any]:
    """Return a value by kind of content; where an object lies in memory is left out."""
    shown: dict[str, Any] = {"text/plain": ADDRESS.sub("", repr(value)).splitlines(keepends=True)}
    for kind, method in RICH.items():
        given = getattr(value, method, lambda: None)()
        if isinstance(given, bytes):
            shown[kind] = base64.b64encode(given).decode()
        elif given is not None:
            shown[kind] = given.splitlines(keepends=True)
    return shown


def _main(path: Path, there: Path) -> None:
    names: dict[str, Any] = {"__name__": "__main__"}
    sources = [cell["source"] for cell in code(read(path)["cells"])]
    outputs = [_run(source, number, names) for number, source in enumerate(sources, 1)]
    there.write_text(json.dumps(outputs))


if __name__ == "__main__":
    _main(Path(sys.argv[1]), Path(sys.argv[2]))
