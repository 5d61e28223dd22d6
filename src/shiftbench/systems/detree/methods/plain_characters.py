"""Texts are brought back to plain characters before they are classified: what undoes two of the nine attacks.

In turn: NFKC, no characters of format (zero width), letters that look like Latin ones become these (the confusable
letters of `shifts/homoglyphs`), runs of spaces are one space. A word that is written in another script is spoilt, so it
is for texts that are known to be in Latin letters.

Source: Unicode's UAX 15 (normalisation forms) and UTS 39 (confusable characters,
https://www.unicode.org/reports/tr39/); that such attacks are removed by them: Dugan et al. 2024 (RAID),
https://arxiv.org/abs/2405.07940, appendix.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.plugins.shifts import homoglyphs

SEES = "sample"
TASKS = ("text_classification",)
LATIN = {ord(other): alike[0] for alike in homoglyphs.ALIKE for other in alike[1:]}


def wrap(
    predictor: Callable[..., Any], params: dict[str, Any], inputs: Mapping[Ref, Path]
) -> Callable[[Sequence[Sample]], Any]:
    """The predictor, which is shown plain characters; samples without a text stay as they are."""

    def predict(samples: Sequence[Sample]) -> Any:
        return predictor([_plain(sample) for sample in samples])

    return predict


def _plain(sample: Sample) -> Sample:
    return sample.with_field("text", plain(sample.fields["text"])) if "text" in sample.fields else sample


def plain(text: str) -> str:
    """A text in plain characters."""
    folded = unicodedata.normalize("NFKC", text).translate(LATIN)
    visible = "".join(one for one in folded if unicodedata.category(one) != "Cf")
    return re.sub(r" {2,}", " ", visible)
