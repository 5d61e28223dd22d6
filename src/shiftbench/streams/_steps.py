"""The value that streams are made of; helper of the family."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """One position of a stream.

    Attributes:
        dataset, split, shift, severity: the shards that are evaluated there.
    """

    dataset: str
    split: str
    shift: str
    severity: float
