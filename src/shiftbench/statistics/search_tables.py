"""The searches behind a benchmark's scores, side by side: each grid, what was chosen, and which options mattered."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from shiftbench.data import formats, schema
from shiftbench.data.formats import Column, Format

_WHO = ("benchmark", "model", "method", "detector")

SEARCHED = Format(
    "tables/searches",
    "What each point of the detectors' grids gave on validation OOD, for all searches of a benchmark.",
    (*_WHO, "number"),
    (
        *(
            Column(name, pa.string(), "", formats.METRICS.column(name).meaning)
            for name in _WHO
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
    found: list[dict[str, object]] = []
    for name, file in searches.items():
        weights, method, detector = name.rsplit("/", 2)
        rows = schema.read(file, form=formats.SEARCHES).to_pylist()
        who = dict(zip(_WHO, (benchmark, weights, method, detector), strict=True))
        mattered = ",".join(option for option, changed in effect(rows).items() if changed)
        found += [{**who, **row, "effect": mattered} for row in rows]
    return schema.table(found, SEARCHED)


def effect(rows: Sequence[Mapping[str, Any]]) -> dict[str, bool]:
    """Tell for each option whether it changed the AUROC at all while the others stood as chosen.

    Args:
        rows: of one search: options, auroc, chosen. Points whose options do not fit say nothing.
    """
    points: list[dict[str, Any]] = [json.loads(row["options"]) for row in rows]
    chosen = next(point for point, row in zip(points, rows, strict=True) if row["chosen"])
    areas = [row["auroc"] for row in rows]
    return {
        option: _differ(
            area for point, area in zip(points, areas, strict=True) if {**point, option: chosen[option]} == chosen
        )
        for option in chosen
    }


def _differ(areas: Iterable[float | None]) -> bool:
    return len({area for area in areas if area is not None}) > 1
