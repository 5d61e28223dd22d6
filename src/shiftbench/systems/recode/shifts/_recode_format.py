"""A perturbation of a code prompt's format: indentation, line ends, comments; the program's behaviour stays.

Source: Wang et al. 2023 (ReCode), https://arxiv.org/abs/2212.10264, section 3.4. The severity is a seed.
"""

import io
import re
import tokenize
from collections.abc import Callable, Mapping
from typing import Literal

from pydantic import Field

from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.plugins import declare
from shiftbench.systems.recode.shifts import _code, _syntax

FIELD = None
TASK = "generation"
LEVELS: dict[int, float] = {}
RANGE = _code.RANGE


class Options(declare.Options):
    change: Literal[
        "",
        "black_only",
        "docstring_to_comments",
        "new_line_after_code",
        "new_line_after_docstring",
        "new_lines",
        "split_lines",
        "tab_indent",
    ] = Field("", description="change of the format")


def facts(options: Mapping[str, object]) -> dict[str, object]:
    """Name of the change."""
    return {"CHANGE": options["change"]}


def apply(value: Sample, severity: float, rng: RandomStream, *, change: str) -> Sample:
    """A prompt whose given code has another format."""
    stream = _code.seeded(f"format_{change}", severity, rng)
    return CHANGES[change](value, stream) if stream is not None else value


def _after_docstring(sample: Sample, _: RandomStream) -> Sample:
    code = _code.Code.of(sample)
    if code.docstring is None:
        return sample
    end = code.docstring[1]
    return _code.with_code(sample, code.text[:end] + "\n" + code.text[end:])


def _tab_indent(sample: Sample) -> Sample:
    """A sample with a tab for four spaces of indentation, in its docstring and its solution too."""
    code = _code.Code.of(sample)
    ends = code.docstring or (0, 0)
    first, last = (code.text.count("\n", 0, end) + 1 for end in ends)
    prose = set(range(first, last + 1))
    string_lines = _within_strings(code) - prose
    lines = code.whole.split("\n")
    changed = [line if number in string_lines else _tabs(line) for number, line in enumerate(lines, 1)]
    line_ends = code.text.count("\n")
    head = "\n".join(changed[: line_ends + 1])[: len("\n".join(changed[:line_ends])) + 1 if line_ends else 0]
    text = head + _tabs(code.text.rpartition("\n")[2])
    program = "\n".join(changed)
    return _code.with_code(sample, text, program[len(text) :]) if _code.sound(program) else sample


def _tabs(line: str) -> str:
    spaces = len(line) - len(line.lstrip(" "))
    return "\t" * (spaces // 4) + " " * (spaces % 4) + line[spaces:]


def _within_strings(code: _code.Code) -> set[int]:
    """Numbers of the lines that begin inside a string."""
    numbers: set[int] = set()
    for token in _tokens(code.whole):
        if token.type == tokenize.STRING:
            numbers |= set(range(token.start[0] + 1, token.end[0] + 1))
    return numbers


def _tokens(text: str) -> list[tokenize.TokenInfo]:
    return list(tokenize.generate_tokens(io.StringIO(text).readline))


def _split_lines(sample: Sample) -> Sample:
    """A sample whose longest line of code is split at the gap between two tokens that is nearest to its middle.

    Lines that name the function, for example its head, are not split.
    """
    code = _code.Code.of(sample)
    string_lines, gaps = _within_strings(code), _gaps(code)
    lines = code.text.split("\n")[:-1]
    usable = [
        n
        for n, line in enumerate(lines, 1)
        if n not in string_lines and n + 1 not in string_lines and gaps.get(n) and code.entry not in line
    ]
    if not usable:
        return sample
    number = max(usable, key=lambda n: (len(lines[n - 1]), -n))
    line = lines[number - 1]
    middle = (len(line) + len(line) - len(line.lstrip())) / 2
    gap = min(gaps[number], key=lambda place: (abs(place - middle), place))
    indent = line[: len(line) - len(line.lstrip())]
    lines[number - 1] = f"{line[:gap].rstrip()} \\\n{indent}    {line[gap:].lstrip()}"
    text = "\n".join([*lines, code.text.rpartition("\n")[2]])
    return _code.with_code(sample, text) if _code.sound(text + code.rest) else sample


def _gaps(prompt: _code.Code) -> dict[int, list[int]]:
    """Line -> columns at which a token begins after white space; lines with a comment have none."""
    columns: dict[int, list[int]] = {}
    last = (0, 0)
    for token in _tokens(prompt.whole):
        row, column = token.start
        is_code = token.type not in (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE)
        if is_code and last[0] == row and column > last[1]:
            columns.setdefault(row, []).append(column)
        if token.type == tokenize.COMMENT:
            columns.pop(row, None)
        last = token.end
    return columns


def _docstring_to_comments(sample: Sample) -> Sample:
    """A sample whose docstring became comments."""
    code = _code.Code.of(sample)
    if code.docstring is None or code.inner is None:
        return sample
    (start, end), (first, last) = code.docstring, code.inner
    line = code.text.rfind("\n", 0, start) + 1
    indent = code.text[line:start]
    prose = [part.strip() for part in code.text[first:last].strip().split("\n")]
    comments = f"\n{indent}".join(f"# {part}".rstrip() for part in prose)
    return _code.with_code(sample, code.text[:start] + comments + code.text[end:]) if not indent.strip() else sample


def _new_lines(sample: Sample, rng: RandomStream) -> Sample:
    """A sample in which line ends after the docstring are doubled with probability 0.5."""
    code = _code.Code.of(sample)
    start = code.docstring[1] if code.docstring else 0
    string_lines = _within_strings(code)
    ends = [match.start() for match in re.finditer("\n", code.text) if match.start() >= start]
    ends = [end for end in ends if code.text.count("\n", 0, end) + 2 not in string_lines and code.text[end - 1] != "\\"]
    doubled = rng.uniform(len(ends)) < 0.5
    edits = [(end, end, "\n") for end, double in zip(ends, doubled, strict=True) if double]
    return _code.with_code(sample, _code.edited(code.text, edits))


CHANGES: dict[str, Callable[[Sample, RandomStream], Sample]] = {
    "black_only": lambda sample, _: _syntax.formatted(sample),
    "docstring_to_comments": lambda sample, _: _docstring_to_comments(sample),
    "new_line_after_code": lambda sample, _: _code.with_code(sample, _code.Code.of(sample).text + "\n"),
    "new_line_after_docstring": _after_docstring,
    "new_lines": _new_lines,
    "split_lines": lambda sample, _: _split_lines(sample),
    "tab_indent": lambda sample, _: _tab_indent(sample),
}
