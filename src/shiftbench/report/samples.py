"""Which samples stand behind a number: a few that weights had right, wrong, and wrong with confidence, drawn small."""

import functools
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from shiftbench.base.sample import Sample
from shiftbench.data import formats, thumbnails
from shiftbench.report.cells import Cell

COUNT = 4
"""Samples of each kind; fewer where a benchmark's pictures would take more than `LIMIT`."""
LIMIT = 3_000_000  # characters of pictures and texts
SIDE = 80  # px, of a picture
LETTERS = 300  # of a text
COLUMNS = ("key", "label", "prediction", "correct", "confidence_e9")
"""What records say of samples that can be right or wrong."""

Answer = tuple[str, int, int, bool | None, int]
"""A row of records: `COLUMNS`."""
Picked = dict[str, list[Answer]]
"""Examples by kind: `right`, `wrong`, `sure`, `unsure`."""
At = tuple[str, str]
"""A sample: the name of its shards (empty: it is not shown), and its key."""


@dataclass(frozen=True, slots=True)
class Rows:
    """One file of records and what is chosen of it.

    Attributes:
        weights, method: who answered.
        cell: what was asked.
        records: path of the file.
        shards: name of the samples' shards; None where they are not stored or may not be passed on.
        classes: names in the order of predictions.
        counts: samples that are right, wrong, and neither.
        picked: the examples.
    """

    model: str
    method: str
    cell: Cell
    records: str
    shards: str | None
    classes: Sequence[str]
    counts: tuple[int, int, int]
    picked: Picked

    def first(self, count: int) -> Iterator[tuple[str, list[Answer]]]:
        """Yield each kind with its first examples."""
        for kind, own in self.picked.items():
            yield kind, own[:count]


def pick(rows: Iterable[Answer]) -> tuple[tuple[int, int, int], Picked]:
    """Return how many rows are right, wrong and neither, and the examples by kind, `COUNT` of each at most.

    Right and wrong ones come in an order that follows from the keys alone, so that weights and severities share most
    of them; `sure` are the wrong ones of the highest confidence. Where samples belong to no class, `sure` and `unsure`
    are those of the highest and of the lowest confidence.
    """
    rows = sorted(rows, key=lambda row: _turn(row[0]))
    rising = sorted(rows, key=lambda row: row[4])
    right = [row for row in rows if row[3]]
    wrong = [row for row in rows if row[3] is False]
    found = {"sure": rising[::-1], "unsure": rising}
    if right or wrong:
        sure = [row for row in reversed(rising) if row[3] is False]
        found = {"right": right, "wrong": wrong, "sure": sure}
    counts = len(right), len(wrong), len(rows) - len(right) - len(wrong)
    return counts, {kind: own[:COUNT] for kind, own in found.items()}


def unnamed(picked: Picked) -> Picked:
    """Examples without their keys: those of a dataset that may not be passed on tell of it."""
    return {kind: [("", *answer[1:]) for answer in own] for kind, own in picked.items()}


@functools.cache
def _turn(key: str) -> bytes:
    """Return what orders samples: not as their keys are, and the same in every file."""
    return hashlib.blake2b(key.encode(), digest_size=8).digest()


def wanted(rows: Iterable[Rows], count: int = COUNT) -> dict[At, None]:
    """Samples that some rows name, each once, in order."""
    return {(row.shards or "", answer[0]): None for row in rows for _, own in row.first(count) for answer in own}


def drawn(sample: Sample) -> dict[str, str]:
    """A sample's picture as a small WebP in base64, the beginning of its text, or both."""
    image, text = sample.fields.get("image"), str(sample.fields.get("text", ""))
    found = {} if image is None else {"webp": thumbnails.webp(image, SIDE)}
    if text or image is None:
        found["text"] = text if len(text) <= LETTERS else text[: LETTERS - 1] + "…"
    return found


def content(
    rows: Sequence[Rows], shown: Mapping[At, Mapping[str, str]], labels: Mapping[tuple[str, str], str]
) -> dict[str, Any]:
    """Return what the page's script reads; samples and classes stand there once, and are named by their numbers.

    Args:
        rows: the files of records.
        shown: how samples are drawn.
        labels: how weights with their method are called.
    """
    count = _count(rows, shown)
    numbers = {at: number for number, at in enumerate(wanted(rows, count))}
    names: dict[str, int] = {}

    def named(row: Rows, label: int) -> int | None:
        return None if label < 0 else names.setdefault(row.classes[label], len(names))

    def told(row: Rows, answer: Answer) -> list[int | float | None]:
        key, label, prediction, _, confidence = answer
        share = round(100 * confidence / formats.E9, 1)
        return [numbers[row.shards or "", key], named(row, label), named(row, prediction), share]

    lines = [
        {
            "who": labels[row.model, row.method],
            "set": _set(row.cell),
            "severity": row.cell[3],
            "records": row.records,
            "counts": row.counts,
            "kinds": {kind: [told(row, one) for one in own] for kind, own in row.first(count)},
        }
        for row in rows
    ]
    return {"names": list(names), "samples": list(_fitting(numbers, shown)), "rows": lines}


def _count(rows: Sequence[Rows], shown: Mapping[At, Mapping[str, str]]) -> int:
    """Return how many samples of each kind leave the pictures within `LIMIT`; at least one."""
    for count in range(COUNT, 1, -1):
        sizes = (len(text) for at in wanted(rows, count) for text in shown.get(at, {}).values())
        if sum(sizes) <= LIMIT:
            return count
    return 1


def _fitting(numbers: Iterable[At], shown: Mapping[At, Mapping[str, str]]) -> Iterator[dict[str, str]]:
    """Yield each sample's key and, until `LIMIT` is reached, what is drawn of it."""
    left = LIMIT
    for at in numbers:
        own = shown.get(at, {})
        left -= sum(map(len, own.values()))
        yield {"key": at[1], **(own if left >= 0 else {})}


def _set(cell: Cell) -> str:
    """Return what all severities of a shift have in common."""
    dataset, _, shift, _ = cell
    return f"{dataset}/{shift}"


def link(benchmark: str, who: str, cell: Cell) -> str:
    """The address, from the report, of what `who` made of the samples of `cell`."""
    return f"samples/{benchmark}/index.html#{urlencode({'model': who, 'set': _set(cell)})}"
