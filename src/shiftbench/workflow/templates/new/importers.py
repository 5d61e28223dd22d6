"""Importers of your own; each decorated function is an importer."""

import re
from typing import Annotated

from pydantic import Field

from shiftbench.data.releases import Line
from shiftbench.plugins import declare


@declare.importer(example=b"epoch 90 model=resnet50 top1: 76.1\n")
def NAME(
    content: bytes, only: Annotated[str, Field(description="lines without this name are left out")] = "top1"
) -> list[Line]:
    """NAME: a log with `name: number` or `name=text` in its lines."""
    lines = []
    for row, text in enumerate(content.decode().splitlines(), start=1):
        cells = dict(re.findall(r"([\w.-]+) *[:=] *([^\s,;]+)", text))
        if only in cells:
            lines.append(Line(row, cells))
    return lines
