"""Pandas expressions that a model wrote: checked first, then run on a table in the sandbox.

    refusal(query) -> why it is refused          run([(query, columns), ...]) -> answers

There are two independent layers. First the syntax tree: one expression, or assignments to names and then
one; the names `df`, `pd`, `np`, those that the query itself binds, and BUILTINS; of `pd` and `np` only the names
in OF_PD and OF_NP; no import, no attribute that begins with an underscore, nothing that reads, writes, evaluates text
or calls by name. Second the sandbox: no network, an empty folder, and limits of CPU, memory and time.

A query sees `df`, built again for each query from typed columns (`data/tables.py`). Its value comes back as plain JSON:
`bool`, `number`, `text`, `none`, `list` (of a list, Series, Index or array: up to MOST values), or `frame` and `other`,
whose values are not returned. A missing value is null.
"""

import ast
import atexit
import json
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from shiftbench.data.tables import Column
from shiftbench.evaluation.sandbox import Limits, Outcome, Sandbox, pandas_server

LIMITS = Limits(cpu=5, wall=30.0, memory=1 << 30, disk=0, processes=4)
LONGEST = 4000
MOST = 1000
"""Largest number of values of a list that are returned."""
BUILTINS = (
    *("len", "sum", "any", "all", "abs", "round", "min", "max", "sorted"),
    *("set", "str", "int", "float", "bool", "list"),
)
OF_PD = (
    *("Series", "DataFrame", "Timestamp", "Timedelta", "NA", "NaT", "concat", "merge", "crosstab"),
    *("to_numeric", "to_datetime", "to_timedelta", "isna", "isnull", "notna", "notnull", "unique"),
)
OF_NP = (
    *("nan", "inf", "where", "isnan", "isclose", "mean", "median", "std", "var", "sum", "abs", "round"),
    *("min", "max", "any", "all", "unique", "array", "sqrt", "floor", "ceil", "diff", "argmax", "argmin"),
    *("int64", "float64", "bool_", "number", "logical_and", "logical_or", "logical_not", "count_nonzero"),
)
_METHODS_TO = ("to_list", "to_numpy", "to_frame", "to_period", "to_timestamp")
_REFUSED = ("query", "eval", "pipe", "plot", "hist", "boxplot", "style", "format", "format_map")
_BY_NAME = ("apply", "agg", "aggregate", "transform")
_WORDS = ("axis", "raw", "result_type")
_BEFORE = 3  # arguments of pivot_table before its function
_REDUCTIONS = (
    *("sum", "mean", "median", "min", "max", "count", "std", "var", "nunique", "size", "first", "last"),
    *("any", "all", "idxmin", "idxmax", "prod"),
)
_NODES = (
    *(ast.Module, ast.Assign, ast.Expr, ast.BoolOp, ast.BinOp, ast.UnaryOp, ast.Compare, ast.Call),
    *(ast.Attribute, ast.Subscript, ast.Slice, ast.Name, ast.Constant, ast.List, ast.Tuple, ast.Set),
    *(ast.Dict, ast.IfExp, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.Starred),
    *(ast.comprehension, ast.Lambda, ast.arguments, ast.arg, ast.keyword, ast.expr_context),
    *(ast.boolop, ast.operator, ast.unaryop, ast.cmpop),
)


class Answer(NamedTuple):
    """Result of a query.

    Attributes:
        status: `ok`; `refused` (never run), or that of the sandbox: `failed`, `timeout`, `memory`, `crashed`, `exited`.
        error: why it did not run to its end: `KeyError: 'Area'`; else empty.
        kind, value: of the result, see above.
    """

    status: str
    error: str = ""
    kind: str = ""
    value: Any = None


# ------------------------------------------------------------------ what may be asked


def refusal(query: str) -> str:
    """Why a query is refused, in the words of Python; empty if it may run."""
    if len(query) > LONGEST:
        return f"ValueError: a query of {len(query)} characters; at most {LONGEST} are run"
    try:
        tree = ast.parse(query)
        return _shape(tree) or next(filter(None, map(_Look(tree).at, ast.walk(tree))), "")
    except SyntaxError as error:
        return f"SyntaxError: {error.msg}"
    except (ValueError, RecursionError, MemoryError) as error:
        return f"{type(error).__name__}: {error}"


def _shape(tree: ast.Module) -> str:
    if not tree.body or not isinstance(tree.body[-1], ast.Expr):
        return "SyntaxError: expected one expression, or assignments that end in one"
    for statement in tree.body[:-1]:
        is_plain = isinstance(statement, ast.Assign) and all(
            isinstance(target, ast.Name) for target in statement.targets
        )
        if not is_plain:
            return "SyntaxError: before the last expression only names may be assigned"
    return ""


class _Look:
    """Checks each node of a tree alone; `at` gives the problem of a node, or an empty text."""

    def __init__(self, tree: ast.Module) -> None:
        self.modules = {
            id(node.value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
        }
        bound = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
        arguments = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
        self.bound = (bound | arguments) - {"pd", "np"}

    def at(self, node: ast.AST) -> str:
        """Problem of a node itself."""
        if not isinstance(node, _NODES):
            return f"SyntaxError: {type(node).__name__} is not allowed"
        if isinstance(node, ast.Name):
            return self._name(node)
        if isinstance(node, ast.Attribute):
            return _attribute(node)
        return _call(node) if isinstance(node, ast.Call) else ""

    def _name(self, node: ast.Name) -> str:
        if node.id in ("pd", "np"):
            is_module_use = isinstance(node.ctx, ast.Load) and id(node) in self.modules
            return "" if is_module_use else f"NameError: {node.id} may only be asked for its functions"
        if node.id.startswith("_"):
            return f"NameError: name {node.id!r} is not allowed"
        is_known = node.id == "df" or node.id in BUILTINS or node.id in self.bound
        return "" if is_known else f"NameError: name {node.id!r} is not defined"


def _attribute(node: ast.Attribute) -> str:
    name, owner = node.attr, node.value
    if isinstance(owner, ast.Name) and owner.id in ("pd", "np"):
        allowed = OF_PD if owner.id == "pd" else OF_NP
        return "" if name in allowed else f"AttributeError: {owner.id}.{name} is not allowed"
    writes = name.startswith("to_") and name not in _METHODS_TO
    is_forbidden = name.startswith(("_", "read_")) or writes or name in _REFUSED
    return f"AttributeError: .{name} is not allowed" if is_forbidden else ""


def _call(node: ast.Call) -> str:
    """Refuse calls by name: `df.apply("to_csv")` is `df.to_csv()`."""
    name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
    words = [word for word in node.keywords if word.arg not in _WORDS]
    if name in _BY_NAME:
        functions = [*node.args[:1], *(word.value for word in words)]
    else:
        functions = [word.value for word in words if word.arg == "aggfunc"]
    if all(map(_is_harmless, functions)) and not (name == "pivot_table" and len(node.args) > _BEFORE):
        return ""
    return f"TypeError: .{name} takes a lambda, or the name of a reduction"


def _is_harmless(node: ast.expr) -> bool:
    """Whether the applied function is a lambda, a built-in, a function of NumPy, or reductions by name."""
    if isinstance(node, ast.List):
        return all(map(_is_harmless, node.elts))
    if isinstance(node, ast.Tuple):  # of a named aggregation: column and reduction
        return len(node.elts) == 2 and _is_harmless(node.elts[1])
    if isinstance(node, ast.Dict):
        return all(map(_is_harmless, node.values))
    if isinstance(node, ast.Constant):
        return node.value in _REDUCTIONS
    if isinstance(node, ast.Attribute):
        return isinstance(node.value, ast.Name) and node.value.id == "np"
    return isinstance(node, ast.Lambda) or (isinstance(node, ast.Name) and node.id in BUILTINS)


# ------------------------------------------------------------------ how it is run


def run(asked: Iterable[tuple[str, Sequence[Column]]], limits: Limits = LIMITS) -> list[Answer]:
    """Result of each query on its table, in order; refused queries are not run.

    Raises:
        SandboxError: nothing can be run here.
    """
    return [_run(query, columns, limits) for query, columns in asked]


def _run(query: str, columns: Sequence[Column], limits: Limits) -> Answer:
    problem = refusal(query)
    if problem:
        return Answer("refused", problem)
    outcome = _sandbox().run(program(query, columns), limits)
    if not outcome.passed:
        return Answer(outcome.status, _error_text(outcome))
    result = outcome.value or {"kind": "other"}
    return Answer("ok", "", result["kind"], result.get("value"))


def _error_text(outcome: Outcome) -> str:
    return f"{outcome.error}: {outcome.message}" if outcome.message else outcome.error


class PandasSandbox(Sandbox):
    """A sandbox whose server has imported pandas, so that each program has it at no cost.

    Raises:
        SandboxError: the kernel or the user's rights do not allow the isolation.
    """

    SERVER = str(pandas_server.__file__)

    def __init__(self) -> None:
        super().__init__(["pandas"])


_OPEN: list[Sandbox] = []


def _sandbox() -> Sandbox:
    """A sandbox that has imported pandas; it stays open."""
    if not _OPEN:
        _OPEN.append(PandasSandbox())
    return _OPEN[0]


@atexit.register
def close() -> None:
    """End the sandbox."""
    while _OPEN:
        _OPEN.pop().close()


def program(query: str, columns: Sequence[Column]) -> str:
    """Program that the sandbox runs."""
    table = json.dumps([list(column) for column in columns])
    return f"QUERY = {query!r}\nCOLUMNS = {table!r}\n{_RUNNER}"


_RUNNER = f"""
import ast, json
import numpy as np
import pandas as pd

KINDS = {{"integer": "int64", "number": "float64", "text": object}}

def told(value):
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return float(value) if np.isfinite(value) else None if np.isnan(value) else str(value)
    return str(value)

def described(value):
    if isinstance(value, pd.DataFrame):
        return {{"kind": "frame"}}
    if isinstance(value, (pd.Series, pd.Index, np.ndarray)) and getattr(value, "ndim", 1) == 1:
        return {{"kind": "list", "value": [told(one) for one in list(value)[:{MOST}]]}}
    if isinstance(value, (list, tuple, set)):
        return {{"kind": "list", "value": [told(one) for one in list(value)[:{MOST}]]}}
    if isinstance(value, str):
        return {{"kind": "text", "value": value}}
    found = told(value)
    if found is None:
        return {{"kind": "none"}}
    if isinstance(found, bool):
        return {{"kind": "bool", "value": found}}
    if isinstance(found, (int, float)):
        return {{"kind": "number", "value": found}}
    return {{"kind": "other"}}

df = pd.DataFrame({{name: pd.Series(values, dtype=KINDS[kind]) for name, kind, values in json.loads(COLUMNS)}})
plain = __builtins__ if isinstance(__builtins__, dict) else vars(__builtins__)
scope = {{"__builtins__": {{name: plain[name] for name in {BUILTINS!r}}}, "df": df, "pd": pd, "np": np}}
*before, last = ast.parse(QUERY).body
exec(compile(ast.Module(before, []), "<query>", "exec"), scope)
result = described(eval(compile(ast.Expression(last.value), "<query>", "eval"), scope))
"""


# ------------------------------------------------------------------ what an answer means


def truth(answer: Answer) -> bool | None:
    """Verdict on a claim; None: the query gave no single Boolean.

    A list of one Boolean counts as that Boolean. Nothing else is true or false, not even 0, 1 or a frame with rows.
    """
    if answer.kind == "bool":
        return bool(answer.value)
    single = answer.kind == "list" and len(answer.value) == 1
    return answer.value[0] if single and isinstance(answer.value[0], bool) else None


def texts(answer: Answer) -> list[str] | None:
    """Answer to a question, a scalar or a list, as texts; None: it is neither."""
    if answer.kind == "list":
        return [_text(item) for item in answer.value]
    return [_text(answer.value)] if answer.kind in ("bool", "number", "text") else None


def _text(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if value is None else str(value)
