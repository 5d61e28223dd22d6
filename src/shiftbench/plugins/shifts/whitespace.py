"""Whitespace: words run together, and words are torn apart.

Source: the whitespace perturbation of NL-Augmenter (Dhole et al. 2021, https://arxiv.org/abs/2112.02721),
`whitespace_perturbation` in https://github.com/GEM-benchmark/NL-Augmenter, which removes a tenth of the
spaces and adds one behind a twentieth of the characters: level 2. Levels are (share of the gaps between words
that is removed, share of the places between two letters where a space is put). Differs: a gap goes whole,
however many spaces it has; none is put beside punctuation or inside an emoji; a stronger severity
keeps the changes of a weaker one and adds to them.

Takes one 16-bit word and one raw word per gap, then the same per place between two letters.
"""

import re

from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _levels, _texts

FIELD = "text"
LEVELS = {1: (0.05, 0.025), 2: (0.1, 0.05), 3: (0.15, 0.075), 4: (0.2, 0.1), 5: (0.25, 0.125)}
RANGE = _levels.RANGE
PARAMS: dict[str, object] = {}


def apply(value: str, severity: float, rng: RandomStream) -> str:
    """A text with gaps removed and spaces added; other characters stay, in their order."""
    removed, added = _levels.at(__name__, LEVELS, severity, zero=(0.0, 0.0))
    typed = _texts.units(value)
    shape = _texts.shape(typed)
    gaps = [gap.span() for gap in re.finditer("(?<=[a.]) +(?=[a.])", shape)]
    seams = [seam.start() for seam in re.finditer("a(?=a)", shape)]
    for index in _texts.touched(removed, len(gaps), rng):
        start, end = gaps[index]
        typed[start:end] = [""] * (end - start)
    for index in _texts.touched(added, len(seams), rng):
        typed[seams[index]] += " "
    return "".join(typed)
