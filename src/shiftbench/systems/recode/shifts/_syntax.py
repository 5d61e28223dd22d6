"""Perturbations of syntax: edits of partial code that leave what it does as it is, formatted with Black.

Source: Wang et al. 2023 (ReCode), https://arxiv.org/abs/2212.10264, section 3.3, after NatGen (Chakraborty et al.
2022, https://arxiv.org/abs/2206.07585). Only what is given of the body is changed; a prompt without any stays as it
is. Black formats the whole program, which is then cut where it was cut before; `format_black_only` does nothing
else and is the control.
"""

import ast
from collections.abc import Callable, Iterator

from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.systems.recode.shifts import _code

Change = Callable[[_code.Code, RandomStream], Iterator[list[_code.Edit]]]
MARK = "the_rest_begins_here_0"
TRIES = 20


def with_edits(name: str, sample: Sample, severity: float, rng: RandomStream, change: Change) -> Sample:
    """A sample whose given code is changed and formatted.

    Args:
        name: of the perturbation's module.
        sample: a code prompt with some of the body.
        severity: which seed; 0: none.
        rng: the sample's random stream.
        change: yields edits of the whole program, best first; the first after which it compiles are made.

    Raises:
        RangeError: the severity is no seed.
        DataError: no code prompt.
    """
    stream = _code.seeded(name, severity, rng)
    code = _code.Code.of(sample)
    if stream is None or not code.statements():
        return sample
    for attempt, edits in enumerate(change(code, stream)):
        text_edits = [edit for edit in edits if edit[1] <= len(code.text)]
        rest_edits = [
            (start - len(code.text), end - len(code.text), new) for start, end, new in edits if start >= len(code.text)
        ]
        text, rest = _code.edited(code.text, text_edits), _code.edited(code.rest, rest_edits)
        if len(text_edits) + len(rest_edits) == len(edits) and _code.sound(text + rest):
            return formatted(_code.with_code(sample, text, rest))
        if attempt + 1 == TRIES:
            break
    return sample


def formatted(sample: Sample) -> Sample:
    """A sample whose program is formatted by Black; unchanged where it cannot be cut again."""
    import black

    code = _code.Code.of(sample)
    for indent in _indents(code):
        program = f"{code.text}{indent}{MARK}\n{code.rest}"
        if not code.text.endswith("\n") or not _code.sound(program):
            continue
        formatted_program = black.format_str(program, mode=black.Mode())
        text, _, rest = formatted_program.partition(f"{MARK}\n")
        return _code.with_code(sample, text.rstrip(" "), rest)
    return sample


def _indents(code: _code.Code) -> list[str]:
    """Possible indents of a statement between prompt and rest: that of the rest, or of the line before it."""
    next_line = [line for line in code.rest.split("\n") if line.strip()][:1]
    last_line = [line for line in code.text.split("\n") if line.strip()][-1:]
    indents = [line[: len(line) - len(line.lstrip())] for line in (*next_line, *last_line)]
    return list(dict.fromkeys([*indents, *(f"{indent}    " for indent in indents)]))


def own_line(code: _code.Code, node: ast.stmt) -> bool:
    """Whether a statement begins a line, so that another can be put before it."""
    start = code.span(node)[0]
    line = code.whole.rfind("\n", 0, start) + 1
    decorated = bool(getattr(node, "decorator_list", ()))
    return not code.whole[line:start].strip() and not decorated and not code.whole.startswith("elif", start)


def insertion(code: _code.Code, node: ast.stmt, lines: list[str]) -> _code.Edit:
    """The edit that puts lines before a statement that begins a line, indented as it is."""
    start = code.span(node)[0]
    line = code.whole.rfind("\n", 0, start) + 1
    indent = code.whole[line:start]
    return line, line, "".join(f"{indent}{text}\n" for text in lines)


def in_scope(code: _code.Code, *, whole: bool = False) -> list[ast.stmt]:
    """The given statements that are the function's own, not those of functions or classes within it.

    Args:
        code: a prompt with the rest of its solution.
        whole: those of the rest, too.
    """
    inner = [node for node in ast.walk(code.function) if isinstance(node, _SCOPES) and node is not code.function]
    hidden = {id(nested) for node in inner for nested in ast.walk(node) if nested is not node}
    statements = [node for node in code.statements(whole=whole) if id(node) not in hidden]
    return sorted(statements, key=code.span)


_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
