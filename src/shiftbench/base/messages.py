"""What a failed check of pydantic expected, in terms of YAML."""

from collections.abc import Callable, Mapping
from typing import Any

_NAME = "a name of lower case letters, digits and underscores, a letter first"
_PATTERNS = {
    r"^[a-z][a-z0-9_]*$": _NAME,
    r"^[a-z][a-z0-9_]*(\+[a-z][a-z0-9_]*)*$": f"{_NAME}, or several joined by +",
    r"^[a-z][a-z0-9_]*(/(train|val|test))?$": "a dataset, or one of its splits: mnist, mnist/train, mnist/val",
    r"^[a-z][a-z0-9_+]*/[0-9.]+$": "a shift and its severity: label_noise/0.4",
}
_EXPECTED: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "int_type": lambda _: "a whole number",
    "int_from_float": lambda _: "a whole number",
    "float_type": lambda _: "a number",
    "finite_number": lambda _: "a finite number",
    "bool_type": lambda _: "true or false",
    "string_type": lambda _: "a text",
    "invalid_key": lambda _: "a text as a key",
    "tuple_type": lambda _: "a list: [one, two]",
    "list_type": lambda _: "a list: [one, two]",
    "sequence_str": lambda _: "a list: [one, two]",
    "is_instance_of": lambda limits: {"Sequence": "a list: [one, two]"}.get(limits["class"], limits["class"]),
    "dict_type": lambda _: "a mapping of keys",
    "model_type": lambda _: "a mapping of keys",
    "model_attributes_type": lambda _: "a mapping of keys",
    "greater_than": lambda limits: f"a number above {limits['gt']:g}",
    "greater_than_equal": lambda limits: f"{limits['ge']:g} or more",
    "less_than": lambda limits: f"a number below {limits['lt']:g}",
    "less_than_equal": lambda limits: f"{limits['le']:g} or less",
    "multiple_of": lambda limits: f"a multiple of {limits['multiple_of']:g}",
    "literal_error": lambda limits: str(limits["expected"]).replace("'", ""),
    "string_pattern_mismatch": lambda limits: _PATTERNS.get(
        limits["pattern"], f"a text that matches {limits['pattern']}"
    ),
    "too_long": lambda limits: f"{limits['max_length']} values",
}
"""The allowed values, for each type of pydantic error that a value from YAML can raise."""


def expected(problem: Mapping[str, Any]) -> str:
    """What was expected where a value is wrong: `expected 1 or more`.

    Args:
        problem: one of the `errors()` of a `pydantic.ValidationError`.
    """
    kind, limits = problem["type"], problem.get("ctx", {})
    if kind == "value_error":
        return str(limits["error"])
    return f"expected {_EXPECTED[kind](limits)}" if kind in _EXPECTED else str(problem["msg"])
