"""Completions of models: a few correct and a few wrong ones, with the phases of their tokens."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from shiftbench.base.rng import unit_hash
from shiftbench.base.sample import Sample
from shiftbench.data import formats
from shiftbench.report.cells import Cell

COUNT = 4
"""Completions of each kind."""
LETTERS = 600  # of a text
COLUMNS = (
    *("key", "completions", "correct", "closed", "truncated", "thinking_tokens", "answer_tokens"),
    *("thinking_entropy_e9", "answer_entropy_e9"),
)
"""Columns of records of completions; the first completion of each prompt is shown."""
FIELDS = ("text", "meta")
"""Fields of a prompt that are read."""
_LISTS = [name for name in COLUMNS if name not in ("key", "correct")]

At = tuple[str, str]
"""A prompt: the name of its shards (empty: it is not shown), and its key."""


class Written(NamedTuple):
    """A completion; numbers of its tokens and their entropies in nats are of thinking and answer (None: not known)."""

    key: str
    text: str
    right: bool
    tokens: tuple[int, int] | None
    entropies: tuple[float, float] | None
    closed: bool
    truncated: bool

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Written:
        """Read the first completion of a row of records."""
        first: dict[str, Any] = {name: row[name][0] if row[name] else None for name in _LISTS}
        counts = first["thinking_tokens"], first["answer_tokens"]
        means = first["thinking_entropy_e9"], first["answer_entropy_e9"]
        return cls(
            row["key"],
            first["completions"],
            row["correct"],
            None if None in counts else counts,
            None if None in means else (means[0] / formats.E9, means[1] / formats.E9),
            bool(first["closed"]),
            bool(first["truncated"]),
        )


of = Written.of


@dataclass(frozen=True, slots=True)
class Rows:
    """One file of records, with examples of it.

    Attributes:
        who: the model with its method.
        cell: condition of the prompts.
        records: path of the file.
        shards: name of the prompts' shards; None where they are not stored.
        counts: prompts whose first completion is right, and wrong.
        picked: examples by kind, `right` and `wrong`.
    """

    who: str
    cell: Cell
    records: str
    shards: str | None
    counts: tuple[int, int]
    picked: Mapping[str, Sequence[Written]]


def pick(rows: Iterable[Written]) -> tuple[tuple[int, int], dict[str, list[Written]]]:
    """Numbers of right and wrong rows, and the first of each by the hash of their keys: models share most."""
    ordered = sorted(rows, key=lambda row: unit_hash("completions", row.key))
    kinds = {"right": [row for row in ordered if row.right], "wrong": [row for row in ordered if not row.right]}
    counts = len(kinds["right"]), len(kinds["wrong"])
    return counts, {name: members[:COUNT] for name, members in kinds.items()}


def places(rows: Iterable[Rows]) -> Iterator[At]:
    """Yield the prompts that some rows name."""
    for row in rows:
        for examples in row.picked.values():
            yield from ((row.shards or "", example.key) for example in examples)


def asked(sample: Sample) -> dict[str, str]:
    """A prompt, its answer if it has one, and the mark before answers (empty: none)."""
    meta = sample.fields["meta"]
    shown = {"text": shortened(sample.fields["text"]), "mark": meta.get("answer_after") or ""}
    return shown | ({"answer": str(meta["answer"])} if "answer" in meta else {})


def shortened(text: str) -> str:
    """A text of at most LETTERS letters; a longer one loses its middle."""
    if len(text) <= LETTERS:
        return text
    half = (LETTERS - 3) // 2
    return f"{text[:half]} … {text[-half:]}"


def content(rows: Sequence[Rows], prompts: Mapping[At, Mapping[str, Any]]) -> dict[str, Any]:
    """Data of the page's script; each prompt is there once, and rows have its number."""
    numbers = {at: number for number, at in enumerate(dict.fromkeys(places(rows)))}
    return {
        "prompts": [{"key": at[1], **prompts.get(at, {})} for at in numbers],
        "rows": [
            {
                "who": row.who,
                "set": f"{row.cell[0]}/{row.cell[2]}",
                "severity": row.cell[3],
                "records": row.records,
                "counts": row.counts,
                "kinds": {
                    kind: [_row(example, numbers[row.shards or "", example.key]) for example in examples]
                    for kind, examples in row.picked.items()
                },
            }
            for row in rows
        ],
    }


def _row(one: Written, number: int) -> dict[str, Any]:
    return {
        "prompt": number,
        "text": shortened(one.text),
        "tokens": one.tokens,
        "entropies": one.entropies and [round(mean, 3) for mean in one.entropies],
        "closed": one.closed,
        "truncated": one.truncated,
    }
