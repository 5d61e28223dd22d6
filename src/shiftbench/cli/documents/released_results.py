"""What released rows give for a system: verdicts on its claims of the scale `released`, and rebuilt numbers.

releases that are kept, a card -> the same verdicts and numbers as a run of `systems/SLUG/released`
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from shiftbench.data import releases
from shiftbench.report.measures import DASH
from shiftbench.statistics import rebuilt
from shiftbench.statistics.claims import released
from shiftbench.statistics.rebuilt import Cell
from shiftbench.workflow.plan import cards, configurations
from shiftbench.workflow.stages import judge_claims


@dataclass(frozen=True, slots=True)
class ReleasedResults:
    """Verdicts and numbers of one system.

    Attributes:
        releases: names of the releases.
        claims: rows of format CLAIMS, of the claims of the scale `released`.
        cells: printed numbers with those that released rows give, by place in the card's list `reported`.
    """

    releases: tuple[str, ...]
    claims: tuple[Mapping[str, Any], ...]
    cells: Mapping[int, tuple[Cell, ...]]

    def text(self, place: int) -> str:
        """Rebuilt values of a reported number; empty if no file covers it."""
        cells = self.cells.get(place, ())
        if all(cell.value is None for cell in cells):
            return ""
        return " / ".join(_text(cell) for cell in cells)


def _text(cell: Cell) -> str:
    if cell.value is None:
        return DASH
    mark = "≠ " if cell.outcome == rebuilt.DISAGREE else ""
    return f"{mark}{rounded(cell)}".replace("-", "\N{MINUS SIGN}")


def rounded(cell: Cell) -> str:
    """A rebuilt value with as many decimals as the printed one, one more where they differ."""
    decimals = len(cell.printed.partition(".")[2])
    return f"{cell.value:.{decimals + (cell.outcome == rebuilt.DISAGREE)}f}"


@functools.cache
def of(slug: str) -> ReleasedResults | None:
    """Verdicts and numbers of a system; None if its card has no configuration `released`.

    Raises:
        ParamsError: a release is not kept.
    """
    card = cards.load(slug)
    if released.SCALE not in card.params:
        return None
    params = configurations.load(f"{configurations.SYSTEMS}/{slug}/{released.SCALE}")
    rows = pl.concat([releases.rows(name) for name in params.released])
    known = released.evidence(card.claims, rows, params.bootstrap.resamples, params.seed)
    lines = judge_claims.again(card.claims, known, released.SCALE, 1)
    claims = [line for line in lines if card.claims[str(line["claim"])].scale == released.SCALE]
    cells: dict[int, list[Cell]] = {}
    for place, cell in rebuilt.of_reported(card.reported, rows):
        cells.setdefault(place, []).append(cell)
    return ReleasedResults(params.released, tuple(claims), {place: tuple(found) for place, found in cells.items()})


def counts(claims: Iterable[Mapping[str, Any]]) -> str:
    """Numbers of supported, refuted and inconclusive claims."""
    verdicts = Counter(row["verdict"] for row in claims if row["part"] is None)
    return " / ".join(str(verdicts[verdict]) for verdict in ("supported", "refuted", "inconclusive"))


def summary(slug: str) -> tuple[str, str, str]:
    """Reported numbers of a system, those that released files give again, and its verdicts from such files."""
    printed = sum(len(rebuilt.numbers(one.value)) for one in cards.load(slug).reported)
    results = of(slug)
    if results is None:
        return str(printed), DASH, DASH
    outcomes = Counter(cell.outcome for cells in results.cells.values() for cell in cells)
    agreement = f"{outcomes[rebuilt.AGREE]} / {outcomes[rebuilt.DISAGREE]}"
    return str(printed), agreement, counts(results.claims) if results.claims else DASH


@functools.cache
def of_release(name: str) -> tuple[Cell, ...]:
    """The averages and differences that a release prints next to their terms."""
    return tuple(rebuilt.of_release(name, releases.card(name), releases.rows(name)))
