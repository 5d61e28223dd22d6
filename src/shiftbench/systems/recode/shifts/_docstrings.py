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
    """A sample whose prose is changed piece by piece.

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

    def each(line: str, names: set[str], stream: RandomStream) -> str:
        return "".join(
            piece if protected else change(piece, stream) for piece, protected in _pieces(line, names) if piece
        )

    return _change_lines(name, sample, severity, rng, each)


def whole_text(name: str, sample: Sample, severity: float, rng: RandomStream, change: Letters) -> Sample:
    """A sample whose prose is changed as one text, names in it too: from its first word to its first example.

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
    stream = _code.seeded(name, severity, rng)
    code = _code.Code.of(sample)
    if stream is None or code.inner is None:
        return sample
    start, end = code.inner
    prose = code.text[start:end].partition(">>>")[0]
    first, words = start + len(prose) - len(prose.lstrip()), prose.strip()
    suffix = code.text[first + len(words) :]
    return _code.with_code(sample, code.text[:first] + change(words, stream) + suffix)


def tokens(name: str, sample: Sample, severity: float, rng: RandomStream, change: Tokens) -> Sample:
    """A sample whose prose is changed as words.

    Args:
        name: of the perturbation's module.
        sample: a code prompt.
        severity: which seed; 0: none.
        rng: the sample's random stream.
        change: words and what is between them, in turn, and which are words to change -> as many texts.
    """

    def each(line: str, names: set[str], stream: RandomStream) -> str:
        parts, free = [], []
        for piece, protected in _pieces(line, names):
            words = [piece] if protected else _words(piece)
            parts += words
            free += [not protected and bool(WORD.fullmatch(part)) for part in words]
        return "".join(change(parts, free, stream))

    return _change_lines(name, sample, severity, rng, each)


def _change_lines(
    name: str, sample: Sample, severity: float, rng: RandomStream, each: Callable[[str, set[str], RandomStream], str]
) -> Sample:
    stream = _code.seeded(name, severity, rng)
    code = _code.Code.of(sample)
    if stream is None or code.inner is None:
        return sample
    start, end = code.inner
    names = {name for name in code.names if not keyword.iskeyword(name)}
    lines = code.text[start:end].split("\n")
    is_example = doctest(lines)
    changed_lines = [
        line if example else each(line, names, stream) for line, example in zip(lines, is_example, strict=True)
    ]
    return _code.with_code(sample, code.text[:start] + "\n".join(changed_lines) + code.text[end:])


def doctest(lines: list[str]) -> list[bool]:
    """Whether each line is part of a doctest example: from `>>>` to the next empty line."""
    is_example, in_example = [], False
    for line in lines:
        in_example = bool(line.strip()) and (in_example or line.lstrip().startswith(">>>"))
        is_example.append(in_example)
    return is_example


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
    parts, last = [], 0
    for match in WORD.finditer(piece):
        parts += [piece[last : match.start()], match.group()]
        last = match.end()
    return [part for part in [*parts, piece[last:]] if part]
