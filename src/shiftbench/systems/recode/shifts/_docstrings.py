"""Perturbations of docstrings: what in them is prose, and how prose is changed.

Source: Wang et al. 2023 (ReCode), https://arxiv.org/abs/2212.10264, section 3.1. Doctest examples, names that the
code defines or uses, and escapes are left as they are. Differs: names are cut out before the change and stay where
they are, where the original masks them with letters that the change then spares.
"""

import keyword
import re
from collections.abc import Callable, Iterator

from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.systems.recode.shifts import _code

WORD = re.compile(r"[A-Za-z]+(?:'[A-Za-z]+)?")
Letters = Callable[[str, RandomStream], str]
Tokens = Callable[[list[str], list[bool], RandomStream], list[str]]


def letters(name: str, sample: Sample, severity: float, rng: RandomStream, change: Letters) -> Sample:
    """Return a sample whose prose is changed piece by piece.

    Args:
        name: of the perturbation's module.
        sample: a code prompt.
        severity: which seed; 0: none.
        rng: the sample's random stream.
        change: a piece of text between protected things -> another text.

    Raises:
        RangeError: the severity is no seed.
        DataError: no code prompt.
    """

    def each(line: str, names: set[str], own: RandomStream) -> str:
        return "".join(piece if kept else change(piece, own) for piece, kept in _pieces(line, names) if piece)

    return _changed(name, sample, severity, rng, each)


def whole(name: str, sample: Sample, severity: float, rng: RandomStream, change: Letters) -> Sample:
    """Return a sample whose prose is changed as one text, names in it too: from its first word to its first example.

    Args:
        name: of the perturbation's module.
        sample: a code prompt.
        severity: which seed; 0: none.
        rng: the sample's random stream.
        change: the prose, line ends within it too -> another text.

    Raises:
        RangeError: the severity is no seed.
        DataError: no code prompt.
    """
    own = _code.seeded(name, severity, rng)
    code = _code.Code.of(sample)
    if own is None or code.inner is None:
        return sample
    start, end = code.inner
    prose = code.text[start:end].partition(">>>")[0]
    first, words = start + len(prose) - len(prose.lstrip()), prose.strip()
    after = code.text[first + len(words) :]
    return _code.with_code(sample, code.text[:first] + change(words, own) + after)


def tokens(name: str, sample: Sample, severity: float, rng: RandomStream, change: Tokens) -> Sample:
    """Return a sample whose prose is changed as words.

    Args:
        name: of the perturbation's module.
        sample: a code prompt.
        severity: which seed; 0: none.
        rng: the sample's random stream.
        change: words and what is between them, in turn, and which are words to change -> as many texts.
    """

    def each(line: str, names: set[str], own: RandomStream) -> str:
        parts, free = [], []
        for piece, kept in _pieces(line, names):
            cut = [piece] if kept else _words(piece)
            parts += cut
            free += [not kept and bool(WORD.fullmatch(part)) for part in cut]
        return "".join(change(parts, free, own))

    return _changed(name, sample, severity, rng, each)


def _changed(
    name: str, sample: Sample, severity: float, rng: RandomStream, each: Callable[[str, set[str], RandomStream], str]
) -> Sample:
    own = _code.seeded(name, severity, rng)
    code = _code.Code.of(sample)
    if own is None or code.inner is None:
        return sample
    start, end = code.inner
    names = {name for name in code.names if not keyword.iskeyword(name)}
    lines = code.text[start:end].split("\n")
    kept = doctest(lines)
    new = [line if keep else each(line, names, own) for line, keep in zip(lines, kept, strict=True)]
    return _code.with_code(sample, code.text[:start] + "\n".join(new) + code.text[end:])


def doctest(lines: list[str]) -> list[bool]:
    """Return which lines are doctest examples: from `>>>` to the next empty line."""
    found, inside = [], False
    for line in lines:
        inside = bool(line.strip()) and (inside or line.lstrip().startswith(">>>"))
        found.append(inside)
    return found


def _pieces(line: str, names: set[str]) -> Iterator[tuple[str, bool]]:
    """Yield pieces of a line and whether they are protected."""
    last = 0
    for match in re.finditer(r"\\.|[A-Za-z_]\w*", line):
        if match.group() in names or match.group().startswith("\\"):
            yield line[last : match.start()], False
            yield match.group(), True
            last = match.end()
    yield line[last:], False


def _words(piece: str) -> list[str]:
    """Cut a text into words and what is between them."""
    found, last = [], 0
    for match in WORD.finditer(piece):
        found += [piece[last : match.start()], match.group()]
        last = match.end()
    return [part for part in [*found, piece[last:]] if part]
