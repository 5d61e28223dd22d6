"""Short texts as samples, and a classifier that looks at their lengths and vowels."""

from collections.abc import Sequence

import numpy as np

from shiftbench.base.sample import Sample

Outputs = dict[str, np.ndarray]


def samples(*texts: str) -> list[Sample]:
    return [Sample(f"toy/test/{n}", {"text": text, "label": 0}) for n, text in enumerate(texts)]


def lengths(given: Sequence[Sample]) -> Outputs:
    """Logits by the length of a text and the number of its vowels."""
    counts = [(len(s.fields["text"]) / 7, sum(c in "aeiou" for c in s.fields["text"]) / 3) for s in given]
    return {"logits": np.array(counts, dtype=np.float32)}
