"""Homoglyphs: letters are replaced by letters of another script that look the same.

Source: Boucher et al. 2022, "Bad Characters: Imperceptible NLP Attacks", https://arxiv.org/abs/2106.09898,
section 4.2; which letters look the same is the part of Unicode's list of confusable characters (UTS 39,
https://www.unicode.org/reports/tr39/) between Latin, Greek and Cyrillic letters of one case whose glyphs are
drawn alike. The levels are the rates of Qiu et al. 2022 (MMRobustness), https://arxiv.org/abs/2212.08044, 0.05 x
level in https://github.com/Jielin-Qiu/MM_Robustness. Differs: letters are chosen at random, not by an attack
that asks the model, and their share, of those that have a double, is the severity (there one to five
characters); a stronger severity keeps the doubles of a weaker one and adds to them.

Takes one 16-bit word, one raw word per letter that has a double, then one 16-bit word for each (which double).
"""

from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _levels, _texts

FIELD = "text"
LEVELS = {1: 0.05, 2: 0.1, 3: 0.15, 4: 0.2, 5: 0.25}
RANGE = _levels.RANGE
ALIKE = (  # Latin, then Greek (\u03..) and Cyrillic (\u04.., \u05..)
    "a\u0430", "c\u03f2\u0441", "d\u0501", "e\u0435", "h\u04bb", "i\u0456", "j\u03f3\u0458",
    "o\u03bf\u043e", "p\u0440", "q\u051b", "s\u0455", "v\u03bd\u0475", "w\u051d", "x\u0445", "y\u0443",
    "A\u0391\u0410", "B\u0392\u0412", "C\u03f9\u0421", "E\u0395\u0415", "G\u050c", "H\u0397\u041d",
    "I\u0399\u0406", "J\u037f\u0408", "K\u039a\u041a", "M\u039c\u041c", "N\u039d", "O\u039f\u041e",
    "P\u03a1\u0420", "S\u0405", "T\u03a4\u0422", "V\u0474", "W\u051c", "X\u03a7\u0425", "Y\u03a5\u04ae",
    "Z\u0396",
)  # fmt: skip
DOUBLES = {letter: letters.replace(letter, "") for letters in ALIKE for letter in letters}


def apply(value: str, severity: float, rng: RandomStream) -> str:
    """A text that looks the same and is another; its length stays."""
    (share,) = _levels.at(__name__, LEVELS, severity, zero=0.0)
    typed = list(value)
    places = [place for place, character in enumerate(typed) if character in DOUBLES]
    order = _texts.touched(share, len(places), rng)
    picks = rng.uniform(len(places))
    for index in order:
        place = places[index]
        typed[place] = _texts.pick(DOUBLES[typed[place]], float(picks[index]))
    return "".join(typed)
