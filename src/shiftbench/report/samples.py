"""Samples behind a number: a few that a model had right, wrong, and wrong with confidence, as small pictures."""

import functools
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from shiftbench.base.sample import Sample
from shiftbench.data import formats, thumbnails
from shiftbench.report import diffing
from shiftbench.report.cells import Cell

COUNT = 12
"""Samples of each kind; fewer where a benchmark's pictures would take more than `LIMIT`."""
LIMIT = 4_000_000  # characters of pictures and texts
SIDE = 80  # px, of a picture
LETTERS = 300  # of a text
COLUMNS = ("key", "label", "prediction", "correct", "confidence_e9")
"""Columns of records of samples that can be right or wrong."""

Answer = tuple[str, int, int, bool | None, int]
"""A row of records: `COLUMNS`."""
Picked = dict[str, list[Answer]]
"""Examples by kind: `right`, `wrong`, `sure`, `unsure`."""
At = tuple[str, str]
"""A sample: the name of its shards (empty: it is not shown), and its key."""


@dataclass(frozen=True, slots=True)
class Rows:
    """One file of records, with examples of it.

    Attributes:
        model, method: that answered.
        cell: condition of the samples.
        records: path of the file.
        shards: name of the samples' shards; None where they are not stored or may not be passed on.
        classes: names in the order of predictions.
        counts: samples that are right, wrong, and neither.
        picked: the examples.
        clean: name of the shards of the clean samples with the same keys; None where there are none.
    """

    model: str
    method: str
    cell: Cell
    records: str
    shards: str | None
    classes: Sequence[str]
    counts: tuple[int, int, int]
    picked: Picked
    clean: str | None = None

    def first(self, count: int) -> Iterator[tuple[str, list[Answer]]]:
        """Yield each kind with its first examples."""
        for kind, examples in self.picked.items():
            yield kind, examples[:count]


def pick(rows: Iterable[Answer]) -> tuple[tuple[int, int, int], Picked]:
    """Numbers of rows that are right, wrong and neither, and the examples by kind, at most `COUNT` of each.

    Right and wrong ones come in an order that follows from the keys alone, so that models and severities share most
    of them; `sure` are the wrong ones of the highest confidence. Where samples belong to no class, `sure` and `unsure`
    are those of the highest and of the lowest confidence.
    """
    rows = sorted(rows, key=lambda row: _turn(row[0]))
    rising = sorted(rows, key=lambda row: row[4])
    right = [row for row in rows if row[3]]
    wrong = [row for row in rows if row[3] is False]
    examples = {"sure": rising[::-1], "unsure": rising}
    if right or wrong:
        sure = [row for row in reversed(rising) if row[3] is False]
        examples = {"right": right, "wrong": wrong, "sure": sure}
    counts = len(right), len(wrong), len(rows) - len(right) - len(wrong)
    return counts, {kind: members[:COUNT] for kind, members in examples.items()}


def unnamed(picked: Picked) -> Picked:
    """Examples without their keys, which belong to a dataset that may not be passed on."""
    return {kind: [("", *answer[1:]) for answer in answers] for kind, answers in picked.items()}


@functools.cache
def _turn(key: str) -> bytes:
    """Sort key of a sample: another order than that of keys, and the same in every file."""
    return hashlib.blake2b(key.encode(), digest_size=8).digest()


def places(rows: Iterable[Rows], count: int = COUNT) -> dict[At, None]:
    """Samples that some rows name, and their clean originals, each once, in order."""
    return {
        (shards or "", answer[0]): None
        for row in rows
        for _, answers in row.first(count)
        for answer in answers
        for shards in ((row.shards, row.clean) if row.clean else (row.shards,))
    }


def drawn(sample: Sample) -> dict[str, str]:
    """A sample's picture as a small WebP in base64, the beginning of its text, or both."""
    image, text = sample.fields.get("image"), str(sample.fields.get("text", ""))
    parts = {} if image is None else {"webp": thumbnails.webp(image, SIDE)}
    if text or image is None:
        parts["text"] = text if len(text) <= LETTERS else text[: LETTERS - 1] + "…"
    return parts


def content(
    rows: Sequence[Rows], shown: Mapping[At, Mapping[str, str]], labels: Mapping[tuple[str, str], str]
) -> dict[str, Any]:
    """Data of the page's script; samples and classes are there once, and rows have their numbers.

    A shifted sample has the number of its clean original, `clean`.

    Args:
        rows: the files of records.
        shown: pictures and texts of samples.
        labels: names of models with their methods.
    """
    count = _count(rows, shown)
    numbers = {at: number for number, at in enumerate(places(rows, count))}
    names: dict[str, int] = {}

    def named(row: Rows, label: int) -> int | None:
        return None if label < 0 else names.setdefault(row.classes[label], len(names))

    def answer_row(row: Rows, answer: Answer) -> list[int | float | None]:
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
            "kinds": {kind: [answer_row(row, one) for one in answers] for kind, answers in row.first(count)},
        }
        for row in rows
    ]
    entries: list[dict[str, Any]] = list(_fitting(numbers, shown))
    originals = {row.shards: row.clean for row in rows if row.shards and row.clean}
    for (shards, key), entry in zip(numbers, entries, strict=True):
        if shards in originals:
            entry["clean"] = numbers[originals[shards], key]
    return {"names": list(names), "samples": entries, "rows": lines}


def compared(entries: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The samples of `content`, each shifted text with its differences from the clean text: `diff`."""
    return [
        {**entry, "diff": diffing.pieces(entries[entry["clean"]]["text"], entry["text"])}
        if "clean" in entry and "text" in entry and "text" in entries[entry["clean"]]
        else dict(entry)
        for entry in entries
    ]


def _count(rows: Sequence[Rows], shown: Mapping[At, Mapping[str, str]]) -> int:
    """Number of samples of each kind whose pictures stay within `LIMIT`; at least one."""
    for count in range(COUNT, 1, -1):
        sizes = (len(text) for at in places(rows, count) for text in shown.get(at, {}).values())
        if sum(sizes) <= LIMIT:
            return count
    return 1


def _fitting(numbers: Iterable[At], shown: Mapping[At, Mapping[str, str]]) -> Iterator[dict[str, str]]:
    """Yield each sample's key and, until `LIMIT` is reached, its picture and text."""
    left = LIMIT
    for at in numbers:
        parts = shown.get(at, {})
        left -= sum(map(len, parts.values()))
        yield {"key": at[1], **(parts if left >= 0 else {})}


def _set(cell: Cell) -> str:
    """Name of a dataset under a shift, the same for all severities."""
    dataset, _, shift, _ = cell
    return f"{dataset}/{shift}"


def link(benchmark: str, who: str, cell: Cell) -> str:
    """The address, from the report, of the answers of `who` on the samples of `cell`."""
    return f"samples/{benchmark}/index.html#{urlencode({'model': who, 'set': _set(cell)})}"
