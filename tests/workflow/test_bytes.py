"""Same bytes for any number of cores, and every time."""

from pathlib import Path

import pytest
import torch

from makers.repositories import Repository, checkout
from shiftbench.evaluation import nets

MADE = ("data/shards", "checkpoints", "results/records", "results/scores", "results/tables", "results/report")


@pytest.mark.workflow
def test_one_core_makes_the_bytes_of_two(author: Repository, tmp_path: Path) -> None:
    """The author ran with two cores, whose jobs ended in whatever order they did."""
    other = checkout(tmp_path / "repository")
    other.make(cores=1)
    mine, theirs = other.bytes(*MADE), author.bytes(*MADE)
    assert sorted(mine) == sorted(theirs)
    assert [name for name in mine if mine[name] != theirs[name]] == []


def test_weights_have_one_spelling() -> None:
    """The library writes its metadata in an order of its own, another one each time."""
    state = {"b.weight": torch.arange(6.0).reshape(2, 3), "a": torch.tensor(3)}
    metadata = {name: name for name in ("name", "classes", "fingerprint", "x", "y", "z")}
    spellings = {nets.state_bytes(state, metadata) for _ in range(20)}
    assert len(spellings) == 1
