"""One table of the searches behind a benchmark's scores: each grid, its best point, and the options that mattered."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from shiftbench.data import formats, schema
from shiftbench.data.formats import Column, Format

_SEARCH = ("benchmark", "model", "method", "detector")

SEARCHED = Format(
    "tables/searches",
    "What each point of the detectors' grids gave on validation OOD, for all searches of a benchmark.",
    (*_SEARCH, "number"),
    (
        *(
            Column(name, pa.string(), "", formats.METRICS.column(name).meaning)
            for name in _SEARCH
            if name != "detector"
        ),
        Column("detector", pa.string(), "", "OOD detector"),
        *formats.SEARCHES.columns,
        Column("effect", pa.string(), "", "options that changed the auroc, joined with commas; see `effect`"),
    ),
)  # fmt: skip


def table(benchmark: str, searches: Mapping[str, Path]) -> pa.Table:
    """Collect the searches of a benchmark.

    Args:
        benchmark: its name.
        searches: name (dataset/model/method/detector) -> file of SEARCHES.

    Returns:
        A table of SEARCHED.
    """
    rows: list[dict[str, object]] = []
    for name, file in searches.items():
        model, method, detector = name.rsplit("/", 2)
        points = schema.read(file, form=formats.SEARCHES).to_pylist()
        identity = dict(zip(_SEARCH, (benchmark, model, method, detector), strict=True))
        mattered = ",".join(option for option, changed in effect(points).items() if changed)
        rows += [{**identity, **row, "effect": mattered} for row in points]
    return schema.table(rows, SEARCHED)


def effect(rows: Sequence[Mapping[str, Any]]) -> dict[str, bool]:
    """Whether each option changed the AUROC while the other options had their best values.

    Args:
        rows: of one search: options, auroc, chosen. Points whose options do not fit have no auroc.
    """
    points: list[dict[str, Any]] = [json.loads(row["options"]) for row in rows]
    best = next(point for point, row in zip(points, rows, strict=True) if row["chosen"])
    areas = [row["auroc"] for row in rows]
    return {
        option: _has_several_values(
            area for point, area in zip(points, areas, strict=True) if {**point, option: best[option]} == best
        )
        for option in best
    }


def _has_several_values(areas: Iterable[float | None]) -> bool:
    return len({area for area in areas if area is not None}) > 1
