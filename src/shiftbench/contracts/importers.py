"""Every importer reads its example, tells where each cell is, and refuses what it cannot read with a clear error."""

import contextlib

import numpy as np
import pytest

from shiftbench.base import registry
from shiftbench.base.errors import DataError
from shiftbench.contracts import names
from shiftbench.data import releases
from shiftbench.data.releases import Line


def read(name: str, content: bytes) -> list[Line]:
    """The lines of a file, with the default options."""
    return releases.lines_of(name, content, registry.defaults(registry.find("importers", name)), "file")


@pytest.mark.parametrize("name", names("importers"))
def test_an_importer_reads_its_example(name: str) -> None:
    example = registry.find("importers", name).EXAMPLE
    lines = read(name, example)
    assert lines, "the example has no line"
    assert lines == read(name, example)
    text = example.decode().splitlines()
    for line in lines:
        assert line.row >= 1
        assert line.cells, f"line {line.row} has no cell"
        assert all(isinstance(cell, str) for cell in line.cells.values()), "a cell is text, as it was printed"
        if not line.file:
            printed = text[line.row - 1]
            assert any(cell and cell in printed for cell in line.cells.values()), f"line {line.row} is another line"
    assert len({(line.file, line.row) for line in lines}) == len(lines)


@pytest.mark.parametrize("name", names("importers"))
def test_an_importer_refuses_what_it_cannot_read(name: str) -> None:
    """Drawn damages of the example: bytes that are changed, left out or put in; and drawn bytes."""
    example = registry.find("importers", name).EXAMPLE
    draw = np.random.default_rng(0)
    for _ in range(200):
        damaged = bytearray(example)
        for _ in range(draw.integers(1, 4)):
            at = int(draw.integers(0, len(damaged) + 1))
            damaged[at : at + int(draw.integers(0, 3))] = draw.bytes(int(draw.integers(0, 3)))
        with contextlib.suppress(DataError):
            assert all(isinstance(line, Line) for line in read(name, bytes(damaged)))
        with contextlib.suppress(DataError):
            read(name, draw.bytes(int(draw.integers(0, 60))))
