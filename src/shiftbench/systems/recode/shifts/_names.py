"""Perturbations of the function's name: split into words, changed, joined, and put wherever the prompt has it.

Source: Wang et al. 2023 (ReCode), https://arxiv.org/abs/2212.10264, section 3.2. The entry point changes with it,
which the tests call. Differs: whole names are replaced (the original replaces text, `add` inside `address`, too),
and a new name must be an identifier that is no keyword and that the program does not have (the original allows a
leading digit); where ten draws give none, the name stays.
"""

import builtins
import keyword
import re
from collections.abc import Callable

from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.systems.recode.shifts import _code

TRIES = 10
Change = Callable[[list[str], RandomStream], list[str]]
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[A-Z]+")


def renamed(name: str, sample: Sample, severity: float, rng: RandomStream, change: Change) -> Sample:
    """A sample whose entry point has another name.

    Args:
        name: of the perturbation's module.
        sample: a code prompt.
        severity: which seed; 0: none.
        rng: the sample's random stream.
        change: words of the name -> other words, as many or fewer; joined as the name was.

    Raises:
        RangeError: the severity is no seed.
        DataError: no code prompt.
    """
    stream = _code.seeded(name, severity, rng)
    code = _code.Code.of(sample)
    if stream is None:
        return sample
    new = _new(code, stream, lambda words_stream: joined(code.entry, change(split(code.entry), words_stream)))
    return sample if new == code.entry else with_name(sample, new)


def with_name(sample: Sample, new: str) -> Sample:
    """A sample whose entry point is called `new` wherever prompt and solution have its name."""
    code = _code.Code.of(sample)
    pattern = re.compile(rf"(?<![A-Za-z0-9_]){re.escape(code.entry)}(?![A-Za-z0-9_])")
    renamed = _code.with_code(sample, pattern.sub(new, code.text), pattern.sub(new, code.rest), new)
    meta = renamed.fields["meta"]  # one problem's tests call the function by its name
    return renamed.with_field("meta", {**meta, "test": pattern.sub(new, meta["test"])})


def _new(code: _code.Code, rng: RandomStream, draw: Callable[[RandomStream], str]) -> str:
    for _ in range(TRIES):
        new = draw(rng)
        if new == code.entry or _fits(code, new):
            return new
    return code.entry


def _fits(code: _code.Code, name: str) -> bool:
    occurrence = re.search(rf"(?<![A-Za-z0-9_]){re.escape(name)}(?![A-Za-z0-9_])", code.whole)
    reserved = keyword.iskeyword(name) or hasattr(builtins, name)
    return name.isidentifier() and not occurrence and not reserved


def split(name: str) -> list[str]:
    """The words of a name in snake or camel case.

    Example:
        >>> split("is_simple_power"), split("starts_one_ends"), split("sortThird2")
        (['is', 'simple', 'power'], ['starts', 'one', 'ends'], ['sort', 'Third', '2'])
    """
    return _WORDS.findall(name)


def joined(name: str, words: list[str]) -> str:
    """Words as one name, joined as `name` is: with underscores where it has some."""
    lead = name[: len(name) - len(name.lstrip("_"))]
    return lead + ("_" if "_" in name.strip("_") else "").join(words)
