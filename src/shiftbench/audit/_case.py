"""The case: all that a check may look at, read once: plan, receipts, run files, published numbers, what to draw."""

from __future__ import annotations

import functools
import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from shiftbench.audit._digests import Digests
from shiftbench.audit._finding import Finding, Result
from shiftbench.plan.plan import Plan
from shiftbench.provenance import recipe
from shiftbench.provenance.recipe import Cell
from shiftbench.refs import Ref
from shiftbench.rng import Words

_RECEIPT = {"fingerprint", "recipe", "made", "rows", "consumed"}
_DIRECT = ("weights", "method", "dataset", "split", "shift", "severity")


@dataclass
class Case:
    """What is audited.

    Attributes:
        plan: what params and code of this checkout ask for.
        root: the output root.
        level: how deep to look, 0 to 4.
        count: how much is drawn: samples of a folder at level 2, batches of weights at level 3.
        seed: what draws follow from; did not exist when the results were made.
        today: the date of the audit, ISO.
        scratch: an empty folder for rebuilding.
        options: further wishes of the command line (`remotes`).
        results: of the checks that are done, in the order of their numbers.
        mismatches: (ref, file, keys or None) of bytes that are not the recorded ones, for the check that explains.
        digests: of the files that were read so far.
        started: seconds since the epoch.
    """

    plan: Plan
    root: Path
    level: int
    count: int
    seed: str
    today: str
    scratch: Path
    options: dict[str, Any] = field(default_factory=dict)
    results: list[Result] = field(default_factory=list)
    mismatches: list[tuple[Ref, str, tuple[str, ...] | None]] = field(default_factory=list)
    digests: Digests = field(default_factory=Digests)
    started: float = field(default_factory=time.time)

    # ------------------------------------------------------------------ evidence

    @functools.cached_property
    def _receipts(self) -> dict[Ref, dict[str, Any] | None]:
        return {ref: _json(recipe.receipt_path(self.root, ref)) for ref in self.plan.cells}

    @functools.cached_property
    def _runs(self) -> dict[Ref, dict[str, Any] | None]:
        return {ref: _json(recipe.run_path(self.root, ref)) for ref in self.plan.cells}

    def receipt(self, ref: Ref) -> dict[str, Any] | None:
        """Return the receipt of a planned output as it lies there; None: not there, or not whole."""
        content = self._receipts.get(ref)
        return content if content and content.keys() >= _RECEIPT else None

    def run_file(self, ref: Ref) -> dict[str, Any] | None:
        """Return the run file of a planned output; None: not there, or no JSON object."""
        return self._runs.get(ref)

    def state(self, ref: Ref) -> str:
        """Tell how an output stands.

        Returns:
            `whole` (output and receipt are here), `absent` (neither is), `bare` (no whole receipt), `gone` (no
            output).
        """
        output = (self.root / ref.path).exists()
        told = recipe.receipt_path(self.root, ref).exists()
        if output and self.receipt(ref):
            return "whole"
        if told and not output:
            return "gone"
        return "bare" if output or told else "absent"

    @functools.cached_property
    def whole(self) -> dict[Ref, Cell]:
        """The planned cells whose output and receipt are here, in plan order."""
        return {ref: cell for ref, cell in self.plan.cells.items() if self.state(ref) == "whole"}

    def of(self, *kinds: str) -> Iterator[tuple[Ref, Cell, dict[str, Any]]]:
        """Yield the whole outputs of some kinds: ref, planned cell, receipt."""
        for ref, cell in self.whole.items():
            receipt = self.receipt(ref)
            if ref.kind in kinds and receipt:
                yield ref, cell, receipt

    def folder(self, ref: Ref) -> Path:
        """Return the folder that an output lies in."""
        return (self.root / ref.path).parent

    def observed(self, campaign: str, column: str) -> set[str]:
        """Return the values of a column of what a campaign's analyses measured (`weights`, `metric`)."""
        needs = self.plan.cells[Ref("tables", campaign)].inputs
        files = [self.root / need.path for need in needs if need.kind == "analyses"]
        tables = [pl.read_parquet(file, columns=[column]) for file in files if file.is_file()]
        return set().union(*(table[column].unique() for table in tables))

    # ------------------------------------------------------------------ draws

    def draw(self, purpose: str, population: int, count: int) -> list[int]:
        """Draw distinct indices, sorted: the same for the same seed, purpose and population.

        Args:
            purpose: what is drawn from (a folder's name), so that draws are independent.
            population: of how many.
            count: how many at most.
        """
        number = int.from_bytes(hashlib.sha256(self.seed.encode()).digest()[:8], "little")
        words = Words(number, "audit", purpose, str(population))
        return sorted(int(i) for i in words.choice(population, min(count, population)))

    # ------------------------------------------------------------------ published numbers

    @functools.cached_property
    def _below(self) -> dict[Ref, list[Ref]]:
        """What is made from what."""
        below: dict[Ref, list[Ref]] = {}
        for ref, cell in self.plan.cells.items():
            for need in cell.inputs:
                below.setdefault(need, []).append(ref)
        return below

    def downstream(self, ref: Ref) -> set[Ref]:
        """Return an output and all that is made from it."""
        found, todo = {ref}, [ref]
        while todo:
            new = [child for child in self._below.get(todo.pop(), ()) if child not in found]
            found.update(new)
            todo += new
        return found

    @functools.cached_property
    def metrics(self) -> dict[str, pl.DataFrame]:
        """The metric rows of each campaign whose table can be read."""
        found = {}
        for name in self.plan.campaigns:
            try:
                found[name] = pl.read_parquet(self.root / Ref("tables", name).path)
            except (OSError, pl.exceptions.PolarsError):
                continue
        return found

    def numbers(self, ref: Ref) -> tuple[str, ...]:
        """Spell the published numbers that rest on an output, those that rest on it directly first."""
        below = self.downstream(ref)
        names = {child.name for child in below if child.kind in ("records", "scores")}
        every = {child.name for child in below if child.kind in ("tables", "report")}
        found: list[str] = []
        for campaign, table in self.metrics.items():
            if names:
                found += _touched(table, self._rows(campaign, names))
            elif campaign in every or ref.kind == "report":
                found += _spelled(table)
        return tuple(found)

    def _rows(self, campaign: str, names: set[str]) -> list[dict[str, Any]]:
        rows = self.plan.rows(self.plan.campaigns[campaign])
        return [row for row in rows if row["records"] in names or row["scores"] in names]

    # ------------------------------------------------------------------ findings

    def finding(self, verdict: str, ref: Ref | str, why: str, **more: Any) -> Finding:
        """Make a finding about an output (with the numbers that it touches) or about another file."""
        if isinstance(ref, str):
            return Finding(verdict, ref, why, **more)
        file = more.pop("file", ref.path)
        return Finding(verdict, file, why, numbers=self.numbers(ref), **more)

    def failed(self, ref: Ref | str, why: str, **more: Any) -> Finding:
        """Make a finding: the evidence is lacking or contradicts."""
        return self.finding("failed", ref, why, **more)

    def incomplete(self, ref: Ref | str, why: str, **more: Any) -> Finding:
        """Make a finding: evidence names bytes that are not here."""
        return self.finding("incomplete", ref, why, **more)


def _json(file: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _touched(table: pl.DataFrame, rows: list[dict[str, Any]]) -> list[str]:
    """Spell the metric rows of some evaluation cells, then the curves and means that they enter."""
    if not rows:
        return []
    places = pl.DataFrame([{name: row[name] for name in _DIRECT} for row in rows]).unique()
    places = places.cast({name: table.schema[name] for name in _DIRECT})
    direct = table.join(places, on=list(_DIRECT), how="semi", nulls_equal=True)
    seeded = {row["weights"] for row in rows}
    means = {name.rsplit("-s", 1)[0] for name in seeded}
    wide = table.filter(
        pl.col("weights").is_in(list(seeded | means)),
        pl.col("shift").is_null()
        | pl.col("severity").is_null()
        | pl.col("weights").is_in(list(means)),
    ).join(direct, on=table.columns, how="anti", nulls_equal=True)
    return [*_spelled(direct), *_spelled(wide)]


def _spelled(table: pl.DataFrame) -> list[str]:
    return [_spell(row) for row in table.iter_rows(named=True)]


def _spell(row: dict[str, Any]) -> str:
    level = (
        ""
        if row["severity"] is None
        else f"/{np.format_float_positional(row['severity'], trim='-')}"
    )
    place = "/".join(filter(None, (row["dataset"], row["split"], row["shift"]))) + level
    who = " ".join(filter(None, (row["weights"].rpartition("/")[2], row["detector"])))
    value = "undefined" if row["value"] is None else f"{row['value']:.6g}"
    return f"{row['campaign']}: {row['metric']} of {who} on {place} = {value}"
