"""Every dataset keeps the contract of docs/extending.md, on its real originals where they are at hand."""

import collections

import pytest

from makers.miniature_originals import MAKERS
from shiftbench.contracts.datasets import *  # noqa: F403
from shiftbench.contracts.datasets import MINIATURES, NAMES, read

MINIATURES.update(MAKERS)
TWELVE = [name for name in NAMES if name.startswith("twelve_")]


def test_an_object_of_the_twelve_has_one_split_and_one_class_in_all_looks() -> None:
    where = collections.defaultdict(set)
    for name in TWELVE:
        for split, part in read(name).items():
            for seen in part:
                where[seen.group].add((split, seen.label))
    assert len(where) > 350
    assert {group: places for group, places in where.items() if len(places) > 1} == {}


@pytest.mark.parametrize("name", TWELVE)
def test_every_class_of_the_twelve_is_in_every_split(name: str) -> None:
    counts = {
        split: collections.Counter(label for s in part for label in s.label) for split, part in read(name).items()
    }
    least = {split: min(count[label] for label in range(12)) for split, count in counts.items()}
    assert least["train"] >= 6
    assert least["val"] >= 1
    assert least["test"] >= 3
