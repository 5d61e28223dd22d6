"""Evidence of claims as a table: with it you can judge again, or compute the power, without a run.

`estimates.Evidence` <-> rows of format CLAIM_REPLICATES

A row is one value with its replicates: for each part of a quantified claim, each training seed that is a unit, and each
value of which the claim's value is the largest or smallest. A gate has its own row.
"""

from collections.abc import Iterator, Mapping
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np
import pyarrow as pa

from shiftbench.data import schema
from shiftbench.data.claim_formats import CLAIM_REPLICATES
from shiftbench.statistics.claims.estimates import Estimate, Evidence
from shiftbench.statistics.claims.metric_rows import Floats
from shiftbench.statistics.intervals import Units

VALUE, GATE = "value", "gate"


def table(known: Mapping[str, Evidence]) -> pa.Table:
    """Table of the evidence for claims; a claim that is not evaluable has no row."""
    return schema.table(
        (row for name, claim_evidence in known.items() for row in _rows(name, claim_evidence)), CLAIM_REPLICATES
    )


def _rows(claim: str, known: Evidence) -> Iterator[dict[str, Any]]:
    head = {"claim": claim, "part": None, "among": 0, "seed": None}
    if known.gate is not None:
        gate = Estimate(known.gate)
        yield head | _facts(gate, GATE) | _numbers(known.gate)
    for part, estimate in known.estimates.items():
        for number, value in enumerate(estimate.parts or (estimate,)):
            facts = head | {"part": part, "among": number} | _facts(value, estimate.extreme or VALUE)
            if value.by_seed is None:
                yield facts | _numbers(value.values)
                continue
            for seed, values in enumerate(value.by_seed):
                yield facts | {"seed": seed} | _numbers(values)


def _facts(estimate: Estimate, role: str) -> dict[str, Any]:
    units = {"units": estimate.units.count, "clustered": estimate.units.clustered}
    return {"role": role, "kind": estimate.kind, **units}


def _numbers(values: Floats) -> dict[str, Any]:
    value, *resamples = (None if np.isnan(one) else float(one) for one in values)
    return {"value": value, "draws": resamples}


def evidence(replicates: pa.Table) -> dict[str, Evidence]:
    """Evidence for claims, by name; the inverse of `table`."""
    return {claim: _evidence(list(rows)) for claim, rows in groupby(replicates.to_pylist(), itemgetter("claim"))}


def _evidence(rows: list[dict[str, Any]]) -> Evidence:
    gates = [_floats(row) for row in rows if row["role"] == GATE]
    values = [row for row in rows if row["role"] != GATE]
    parts = {part: _estimate(list(group)) for part, group in groupby(values, itemgetter("part"))}
    return Evidence(parts, gates[0] if gates else None)


def _estimate(rows: list[dict[str, Any]]) -> Estimate:
    """A value, or the largest or smallest of several."""
    parts = tuple(_single_estimate(list(group)) for _, group in groupby(rows, itemgetter("among")))
    role = rows[0]["role"]
    if role == VALUE:
        return parts[0]
    sets = [part.values[None] if part.by_seed is None else part.by_seed for part in parts]
    whole = getattr(np, role)(np.stack(sets), axis=0)  # of each seed
    return Estimate(whole.mean(axis=0), extreme=role, parts=parts)


def _single_estimate(rows: list[dict[str, Any]]) -> Estimate:
    """A value from its rows: one row, or one for each seed."""
    values = np.stack([_floats(row) for row in rows])
    first = rows[0]
    by_seed = None if first["seed"] is None else values
    units = Units(first["units"], first["clustered"])
    return Estimate(values.mean(axis=0), by_seed, first["kind"], units)


def _floats(row: Mapping[str, Any]) -> Floats:
    return np.array([row["value"], *row["draws"]], dtype=np.float64)
