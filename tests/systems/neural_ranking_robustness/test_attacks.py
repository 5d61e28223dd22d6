"""What attacks queries and documents: one error a word, near words chosen greedily."""

from typing import Any

import numpy as np
import pytest

from shiftbench.base.errors import ParamsError
from shiftbench.base.rng import RandomStream
from shiftbench.systems.neural_ranking_robustness.shifts import near_words, word_errors


def typed(text: str, severity: float = 5.0, key: str = "k", **options: Any) -> str:
    return word_errors.apply(text, severity, RandomStream(0, "word_errors", "d", key), **options)


def test_each_content_word_has_one_error() -> None:
    text = "the quick foxes of Wales run"
    lengths = {"swap": 0, "keyboard": 0, "delete": -3, "double": 3}
    for kind, longer in lengths.items():
        words = typed(text, kind=kind).split()
        assert [before == after for before, after in zip(text.split(), words, strict=True)] == [
            True, False, False, True, False, True,
        ]  # fmt: skip
        assert len("".join(words)) == len(text.replace(" ", "")) + longer
    swapped = typed("quick", kind="swap")
    assert sorted(swapped) == sorted("quick")
    assert sum(a != b for a, b in zip("quick", swapped, strict=True)) == 2
    for key in map(str, range(20)):
        words = typed("some more words here", shortest=2, most=1, key=key).split()
        assert sum(a != b for a, b in zip("some more words here".split(), words, strict=True)) == 1
        weak, strong = (typed("wooden boats garden birds", severity, key).split() for severity in (2.0, 4.0))
        clean = "wooden boats garden birds".split()
        assert all(w in (c, s) for c, w, s in zip(clean, weak, strong, strict=True))  # what was touched stays so
    assert typed("aaaa of 12", kind="swap") == "aaaa of 12"
    with pytest.raises(ParamsError, match=r"kind is 'swop' \(?.*swap|kind is 'swop'; .*swap"):
        typed("word", kind="swop")


def test_near_words_are_chosen_greedily() -> None:
    words = ["ship", "boat", "vessel", "tree", "stone"]
    rows = np.array([[1, 0, 0], [0.9, 0.3, 0], [0.8, 0.1, 0.5], [0, 1, 0], [0, 0, 1]], np.float32)
    vectors = near_words.Vectors(words, rows)
    # Asked for a ship: of boat -> vessel, vessel -> boat the second one brings the text nearer.
    assert near_words.greedy("ship", "Vessel and tree", vectors, 1) == "Boat and tree"
    assert near_words.greedy("ship", "Vessel and tree", vectors, 0) == "Vessel and tree"
    assert near_words.greedy("unknown", "Vessel", vectors, 5) == "Vessel"
    near = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    total, goal = near[2] + near[3], near[0]
    cosines = {
        (own, other): float((total - near[own] + near[other]) @ goal / np.linalg.norm(total - near[own] + near[other]))
        for own in (2, 3)
        for other in range(1, 5)
        if other != own and near[own] @ near[other] >= near_words.LIKE
    }
    assert max(cosines, key=lambda pair: cosines[pair]) == (2, 1)
