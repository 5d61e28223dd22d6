"""Code prompts: where the function, its docstring and its names are, and edits that leave the rest as it is.

A prompt is the beginning of a program. It is parsed together with the rest of its canonical solution, since the
beginning alone is no program; what a perturbation changes lies in the prompt (and, for a renamed variable, in that
rest).

The severity of these perturbations is a seed: 0 is the clean prompt, j = 1, 2, ... the j-th seed (ReCode's seed j -
1). Each seed draws words of its own, those of (sample, perturbation, j).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from shiftbench.base.errors import DataError, RangeError
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.plugins.shifts import _levels

RANGE = (0.0, 10.0)
"""Ten seeds, as many as were released."""
Edit = tuple[int, int, str]
"""From where, to where (characters), and what stands there instead."""
Function = ast.FunctionDef | ast.AsyncFunctionDef
_QUOTE = re.compile(r"[rRuUbBfF]*(\'\'\'|\"\"\"|\'|\")")
_IDENTIFIER = re.compile(r"[A-Za-z_]\w*")


def seeded(name: str, severity: float, rng: RandomStream) -> RandomStream | None:
    """The words of one seed of a perturbation; None: the clean prompt.

    Raises:
        RangeError: the severity is no whole number in 0 to 10.
    """
    _levels.check(name, severity, RANGE)
    if severity != int(severity):
        raise RangeError(f"shift {name.rpartition('.')[2]!r}: severity {severity:g} is no seed; expected 1, 2, ...")
    return rng.of(f"{name.rpartition('.')[2]}/{int(severity)}") if severity else None


@dataclass(frozen=True)
class Code:
    """A prompt with the rest of a program that it begins.

    Attributes:
        text: the prompt.
        rest: what follows it in the canonical solution.
        entry: name of the function that is to be written.
        key: of the sample, for messages.
    """

    text: str
    rest: str
    entry: str
    key: str

    @classmethod
    def of(cls, sample: Sample) -> Code:
        """Take a sample apart.

        Raises:
            DataError: it is no code prompt.
        """
        meta = sample.fields.get("meta") or {}
        try:
            return cls(sample.fields["text"], meta["canonical_solution"], meta["entry_point"], sample.key)
        except KeyError as error:
            raise DataError(f"no {error.args[0]!r}: this is no sample of the task `generation`") from None

    @property
    def whole(self) -> str:
        """The program."""
        return self.text + self.rest

    @cached_property
    def tree(self) -> ast.Module:
        """The program's syntax tree.

        Raises:
            DataError: it is no Python.
        """
        try:
            return ast.parse(self.whole)
        except SyntaxError as error:
            raise DataError(f"prompt and canonical solution are no Python: {error}") from None

    @cached_property
    def function(self) -> Function:
        """The function that is to be written.

        Raises:
            DataError: the prompt defines none of that name.
        """
        functions = [node for node in ast.walk(self.tree) if isinstance(node, Function) and node.name == self.entry]
        if not functions:
            raise DataError(f"the prompt defines no function {self.entry!r}")
        return functions[-1]

    @cached_property
    def _starts(self) -> list[int]:
        starts = [0]
        for line in self.whole.splitlines(keepends=True):
            starts.append(starts[-1] + len(line))
        return starts

    def at(self, line: int, column: int) -> int:
        """The place of a line, from 1, and a column in bytes, as syntax trees have them."""
        start, end = self._starts[line - 1], self._starts[line]
        return start + len(self.whole[start:end].encode()[:column].decode())

    def span(self, node: ast.expr | ast.stmt | ast.arg) -> tuple[int, int]:
        """Start and end of a node."""
        assert node.end_lineno is not None  # noqa: S101 - parsed nodes have ends; tells mypy
        assert node.end_col_offset is not None  # noqa: S101 - as above
        return self.at(node.lineno, node.col_offset), self.at(node.end_lineno, node.end_col_offset)

    @cached_property
    def docstring(self) -> tuple[int, int] | None:
        """Start and end of the docstring with its quotes; None: the prompt has none.

        The first string among the function's statements counts: one prompt imports something before it.
        """
        for node in self.function.body:
            if (
                isinstance(node, ast.Expr)
                and isinstance(node.value, ast.Constant)
                and isinstance(node.value.value, str)
            ):
                start, end = self.span(node)
                return (start, end) if end <= len(self.text) else None
        return None

    @cached_property
    def inner(self) -> tuple[int, int] | None:
        """Start and end of the docstring's text, without its quotes."""
        if self.docstring is None:
            return None
        start, end = self.docstring
        quote = _QUOTE.match(self.text, start)
        assert quote is not None  # noqa: S101 - it is a string; tells mypy
        return quote.end(), end - len(quote.group(1))

    @cached_property
    def names(self) -> set[str]:
        """Names of the prompt outside of the docstring: functions, arguments, types, variables."""
        start, end = self.docstring or (0, 0)
        return set(_IDENTIFIER.findall(f"{self.text[:start]} {self.text[end:]}"))

    def statements(self, *, whole: bool = False) -> list[ast.stmt]:
        """The statements of the function, nested ones too, after its docstring: those that begin in the prompt.

        Args:
            whole: those of the rest of the solution, too.
        """
        _, start = self.docstring or self._header()
        end = len(self.whole if whole else self.text)
        return [
            node
            for node in ast.walk(self.function)
            if isinstance(node, ast.stmt) and node is not self.function and start <= self.span(node)[0] < end
        ]

    def _header(self) -> tuple[int, int]:
        first = self.span(self.function.body[0])[0]
        return first, first


def edited(text: str, edits: Iterable[Edit]) -> str:
    """A text after edits that do not overlap, in any order."""
    for start, end, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    return text


def with_code(sample: Sample, text: str, rest: str | None = None, entry: str | None = None) -> Sample:
    """A sample with another prompt, and another rest of the solution or entry point."""
    meta = dict(sample.fields["meta"])
    meta |= {} if rest is None else {"canonical_solution": rest}
    meta |= {} if entry is None else {"entry_point": entry}
    return sample.with_field("text", text).with_field("meta", meta)


def sound(code: str) -> bool:
    """Whether a program compiles."""
    try:
        compile(code, "<prompt>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return False
    return True
