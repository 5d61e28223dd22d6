"""Bodies to choose from: the right one, those of other problems, and mutants of the right one.

Mutants change one thing: an operator (`+` to `-`, `<` to `<=`), a number (by one), the end of a `range` (by one).
Source: none; the usual mutation operators (Jia and Harman, IEEE TSE 2011), on the syntax tree.
"""

import ast
import copy
from collections.abc import Iterator, Sequence

from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.systems.recode.models import _bodies

OTHERS, MUTANTS = 4, 3
_OPERATORS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult, ast.Mod: ast.FloorDiv,
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip


def bodies(sample: Sample, problems: Sequence[_bodies.Problem]) -> list[str]:
    """Return what may follow a prompt: the right body first; the others are drawn by the problem, not by its prompt."""
    meta = sample.fields["meta"]
    rng = RandomStream(0, "choices", "generation", meta["task_id"])
    right = meta["canonical_solution"]
    order = [problems[int(at)] for at in rng.choice(len(problems))]
    others = [_bodies.fitted(one, sample) for one in order if _number(one.key) != _number(sample.key)]
    found = [right, *others[:OTHERS], *mutants(sample.fields["text"], right)[:MUTANTS]]
    return list(dict.fromkeys(found))


def _number(key: str) -> str:
    return key.rpartition("/")[2]


def mutants(prompt: str, body: str) -> list[str]:
    """Return the mutants of a body, one of each kind first; none where the program is no Python."""
    try:
        tree = ast.parse(prompt + body)
    except SyntaxError:
        return []
    lines = prompt.count("\n")
    kinds = [list(dict.fromkeys(_edited(prompt, body, edits))) for edits in _mutations(tree, lines)]
    mixed = [made[at] for at in range(max(map(len, kinds))) for made in kinds if at < len(made)]
    return [one for one in dict.fromkeys(mixed) if one != body]


Edit = tuple[ast.expr, str]


def _mutations(tree: ast.Module, lines: int) -> Iterator[list[Edit]]:
    """Yield, for each kind, expressions of the body and what they become."""
    nodes = [n for n in ast.walk(tree) if isinstance(n, ast.expr) and n.lineno > lines]
    yield [edit for node in nodes for edit in _operator(node)]
    numbers = (n for n in nodes if isinstance(n, ast.Constant) and type(n.value) is int)
    yield [(node, str(node.value + 1)) for node in numbers]  # type: ignore[operator]
    calls = (n for n in nodes if isinstance(n, ast.Call) and ast.unparse(n.func) == "range")
    yield [(call.args[-1], f"{ast.unparse(call.args[-1])} - 1") for call in calls if call.args]


def _operator(node: ast.expr) -> Iterator[Edit]:
    changed = copy.deepcopy(node)
    if isinstance(changed, ast.BinOp | ast.BoolOp) and type(changed.op) in _OPERATORS:
        changed.op = _OPERATORS[type(changed.op)]()  # type: ignore[assignment]
    elif isinstance(changed, ast.Compare) and type(changed.ops[0]) in _OPERATORS:
        changed.ops[0] = _OPERATORS[type(changed.ops[0])]()  # type: ignore[call-overload]
    else:
        return
    yield node, f"({ast.unparse(changed)})"


def _edited(prompt: str, body: str, edits: Sequence[Edit]) -> Iterator[str]:
    """Yield the body after each edit; what spans several lines is left out."""
    lines = (prompt + body).splitlines(keepends=True)
    for node, new in edits:
        if node.end_lineno == node.lineno and node.end_col_offset is not None:
            line = lines[node.lineno - 1].encode()
            made = line[: node.col_offset] + new.encode() + line[node.end_col_offset :]
            whole = [*lines[: node.lineno - 1], made.decode(), *lines[node.lineno :]]
            yield "".join(whole)[len(prompt) :]
