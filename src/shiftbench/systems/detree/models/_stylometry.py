"""Stylometric features of a text: how likely its words are, which function words it has, how it is typed.

- Likelihood: mean, deviation and quantiles of the log-probability of its words under n-gram models of order 1 to 3,
  the mean of the first half minus that of the second, and the share of word pairs and triples that are new.
- Function words: the rate of each of the 80 most frequent words, and of each of their 80 most frequent pairs.
- Form: type-token ratio, hapax share, lengths of words and sentences, rates of marks, capitals, digits, spaces and
  other characters.

The n-gram model is counted on documents of the Brown corpus that nothing else is made from (`features` in
`datasets/_brown.py`), so it knows no text that is trained on, tested or copied by a generator.

Source: word statistics of detectors before neural ones (Gehrmann et al. 2019, "GLTR", https://arxiv.org/abs/1906.04043,
section 3) and function words (Mosteller and Wallace 1963). They stand in for a language model's hidden states.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shiftbench.systems.detree.datasets import _brown

Floats = NDArray[np.float64]
FUNCTION, PAIRS = 80, 80
MIXED = (0.05, 0.25, 0.7)
"""Weights of the orders 1, 2 and 3 in the probability of a word; of what was not counted the lower orders remain."""
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
MARKS = ",.;:?!-'\"()"
_TOKEN = re.compile(r"\w+(?:['\u2019-]\w+)*|[^\w\s]")
_SENTENCE = re.compile(r"[.!?]+(?:\s|$)")


def tokens(text: str) -> list[str]:
    """Words and marks in lower case."""
    return _TOKEN.findall(text.lower())


class Stylometry:
    """Texts -> features.

    Args:
        texts: texts that the n-gram model is counted on.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        counts: tuple[Counter[tuple[str, ...]], ...] = (Counter(), Counter(), Counter())
        for words in map(tokens, texts):
            padded = ["", "", *words]
            counts[0].update((word,) for word in words)
            counts[1].update(pairwise(["", *words]))
            counts[2].update(zip(padded, padded[1:], words, strict=False))
        self._total = counts[0].total() + len(counts[0]) + 1
        self._one, self._two, self._three = counts
        self._one[("",)] += sum(count for (first, _), count in self._two.items() if not first)
        self._function = [word for (word,), _ in counts[0].most_common() if word.isalpha()]
        self._function = self._function[:FUNCTION]
        some = set(self._function)
        often = [pair for pair, _ in self._two.most_common() if some.issuperset(pair)]
        self._pairs = often[:PAIRS]

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Features float32 (n, d), one row for each text; a row depends on its text alone."""
        return np.array([self._row(text) for text in texts], dtype=np.float32)

    def _row(self, text: str) -> list[float]:
        words = tokens(text) or [""]
        counts = Counter(words)
        pairs: Counter[tuple[str, ...]] = Counter(pairwise(words))
        rates = [counts[word] / len(words) for word in self._function]
        rates += [pairs[pair] / len(words) for pair in self._pairs]
        return [*self._likelihood(words), *rates, *_form(text, words, counts)]

    def _likelihood(self, words: Sequence[str]) -> list[float]:
        logs, fresh = self.log_probabilities(words)
        rows, half = np.concatenate([logs, fresh]), max(len(words) // 2, 1)
        halves = rows[:, :half].mean(1) - rows[:, -half:].mean(1)
        quantiles = np.sort(logs[2])[[int(share * (len(words) - 1)) for share in QUANTILES]]
        values: list[float] = np.concatenate([rows.mean(1), logs.std(1), quantiles, halves]).tolist()
        return values

    def log_probabilities(self, words: Sequence[str]) -> tuple[Floats, Floats]:
        """Natural logarithms of the probability of each word, and which of its contexts with it are new.

        Returns:
            float64 (3, n), by a model of order 1, 1 to 2, and 1 to 3; float64 (2, n), 1 where pair and triple are new.
        """
        padded = ["", "", *words]
        counts = np.array(
            [
                (
                    self._one[(word,)] + 1,
                    self._two[(last, word)],
                    self._one[(last,)],
                    self._three[(previous, last, word)],
                    self._two[(previous, last)],
                )
                for previous, last, word in zip(padded, padded[1:], words, strict=False)
            ],
            dtype=np.float64,
        ).T
        one = counts[0] / self._total
        two, three = counts[1] / np.maximum(counts[2], 1), counts[3] / np.maximum(counts[4], 1)
        low, middle, _ = MIXED
        probabilities = np.stack(
            [one, _mean((low, one), (middle, two)), _mean(*zip(MIXED, (one, two, three), strict=True))]
        )
        return np.log(probabilities), np.stack([counts[1] == 0, counts[3] == 0]).astype(np.float64)


def _mean(*parts: tuple[float, Floats]) -> Floats:
    total: Floats = np.sum([weight * part for weight, part in parts], axis=0)
    return total / sum(weight for weight, _ in parts)


def _form(text: str, words: Sequence[str], counts: Counter[str]) -> list[float]:
    """Typing of a text: 26 shares, rates and lengths."""
    size, alphabetic = max(len(text), 1), [word for word in words if word[:1].isalpha()] or [""]
    lengths = np.array([len(word) for word in alphabetic])
    parts = [len(tokens(part)) for part in _SENTENCE.split(text) if part.strip()] or [0]
    kinds = Counter(map(unicodedata.category, text))
    chunks = text.split()
    capitals = sum(word[:1].isupper() for word in chunks) / max(len(chunks), 1)
    return [
        *(text.count(mark) / size for mark in MARKS),
        len(counts) / len(words),
        sum(count == 1 for count in counts.values()) / len(words),
        float(lengths.mean()),
        float(lengths.std()),
        float((lengths > 8).mean()),
        float(np.mean(parts)),
        float(np.std(parts)),
        capitals,
        kinds["Lu"] / size,
        kinds["Nd"] / size,
        kinds["Zs"] / size,
        kinds["Cf"] / size,
        text.count("\n") / size,
        text.count("  ") / size,
        1 - len(text.encode("ascii", "ignore")) / size,
    ]


@cache
def of(folder: Path, most: int | None = None) -> Stylometry:
    """Counts of the Brown corpus below a folder, on at most `most` documents; once in a process."""
    texts = _brown.documents(folder, _brown.PROSE, "features", most)
    return Stylometry(_brown.text([word for one in sentences for word in one]) for sentences in texts.values())
