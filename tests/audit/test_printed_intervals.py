"""Intervals that documents print, and edited ones."""

import random  # noqa: TID251 - of edits, and seeded
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from makers.repositories import HOME
from shiftbench.audit.evidence import printed_intervals


def printed() -> str:
    """Return the rows of the first table of results, whose values are all rows of tables."""
    rows = (HOME / "docs/results.md").read_text().splitlines()
    return "\n".join(row for row in rows if row.startswith(("| convnet-", "| vit-")))


def lacking(text: str, rows: np.ndarray) -> list[str]:
    return [one for one, lacks in printed_intervals.without_row(text, rows) if lacks]


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    return printed_intervals.published(HOME / "published")


def test_printed_intervals_are_published(rows: np.ndarray) -> None:
    text = printed()
    assert len(list(printed_intervals.without_row(text, rows))) > 15
    assert lacking(text, rows) == []


@pytest.mark.parametrize("seed", range(12))
def test_an_edited_digit_is_found(rows: np.ndarray, seed: int) -> None:
    """The digits of a drawn interval are changed, as somebody would who wants another number."""
    draw = random.Random(seed)
    text = printed()
    found = draw.choice(list(re.finditer(r"\d+\.\d+ \[[\d., ]+\]", text)))
    places = [at for at in range(*found.span()) if text[at].isdigit()]
    for at in draw.sample(places, 2):
        text = text[:at] + str((int(text[at]) + draw.randint(1, 9)) % 10) + text[at + 1 :]
    assert text[slice(*found.span())] in " ".join(lacking(text, rows))


@pytest.mark.parametrize(
    ("text", "lacks"),
    [
        ("12.3 [11.0, 13.5]", False),
        ("0.123 [0.110, 0.135]", False),
        ("−12.3 [−13.5, −11.0]", False),  # noqa: RUF001
        ("+12.3 [+11.0, +13.5]", False),
        ("12 [11, 13]", False),
        ("12.4 [11.0, 13.5]", True),
        ("12.3 [11.1, 13.5]", True),
        ("-12.3 [-11.0, -13.5]", True),
        ("1.23 [1.10, 1.35]", True),
    ],
)
def test_units_signs_and_digits(tmp_path: Path, text: str, *, lacks: bool) -> None:
    table = pl.DataFrame({"value": [0.123, None], "ci_low": [0.11, 0.1], "ci_high": [0.1349, 0.2]})
    folder = tmp_path / "default/results/tables/a"
    folder.mkdir(parents=True)
    table.write_parquet(folder / "metrics.parquet")
    assert bool(lacking(text, printed_intervals.published(tmp_path))) == lacks
