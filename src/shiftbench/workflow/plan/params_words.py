"""Messages on wrong values in params, in terms of YAML: key, value, and the allowed values."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pydantic
from pydantic import BaseModel

from shiftbench.base import messages
from shiftbench.base.errors import ParamsError, suggest, yaml_text

_BITS = 63
_MISSING = "is missing"
_UNION = re.compile(r"constrained-|tuple\[|dict\[|int$|float$|\[key\]$")
"""Parts of pydantic's location that are no keys of YAML: the allowed type that was tried."""
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


def explain(where: str, error: pydantic.ValidationError, whole: type[BaseModel]) -> str:
    """The faults of params, one line each: key, value, and the allowed values.

    Args:
        where: the files.
        error: the failed check against `whole`.
        whole: the model of all params, for suggestions of keys.
    """
    problems: dict[str, dict[str, Any]] = {}
    for problem in error.errors():
        path = [str(part) for part in _place(problem)]
        problems.setdefault(".".join(path), {}).setdefault(_wrong(problem, path, whole), problem)
    deepest = {key: wrong for key, wrong in problems.items() if not _is_above(key, problems)}
    lines = [f"  {_line(key, wrong)}" for key, wrong in deepest.items()]
    return "\n".join([f"{where}: {len(lines)} wrong parameter(s)", *lines])


def _place(problem: Mapping[str, Any]) -> Iterable[object]:
    """The keys that lead to a fault; to the list if it is too short."""
    place = problem["loc"]
    if problem["type"] == "missing" and isinstance(place[-1], int):
        place = place[:-1]
    return (part for part in place if not _UNION.match(str(part)))


def _is_above(key: str, problems: Mapping[str, object]) -> bool:
    """Whether a key below this key is wrong, too: then the user meant that one of the two allowed types."""
    return any(other.startswith(f"{key}.") for other in problems)


def _line(key: str, wrong: Mapping[str, Any]) -> str:
    """The line of a key; each of several allowed types adds what it expects."""
    first, *others = wrong
    text = ", or ".join([first, *(other.removeprefix("expected ") for other in others)])
    text = text.replace("a whole number, or a number", "a number")
    problem = wrong[first]
    if not key:
        return f"the whole file: {text}"
    if text == _MISSING:
        return f"{key} {text}"
    if problem["type"] in ("extra_forbidden", "invalid_key") or problem["loc"][-1] == "[key]":
        return f"{key}: {text}"
    value = problem["input"]
    if problem["type"] == "value_error" and isinstance(value, Mapping):
        return f"{key}: {text}"  # the text names the key below
    return f"{key} is empty: {text}" if value is None else f"{key} = {yaml_text(value)}: {text}"


def _wrong(problem: Mapping[str, Any], path: list[str], whole: type[BaseModel]) -> str:
    kind = problem["type"]
    if kind == "extra_forbidden":
        return f"unknown key; {suggest(path[-1], _known_keys(path[:-1], whole))}"
    if kind == "missing":
        last = problem["loc"][-1]
        return f"expected {last + 1} values" if isinstance(last, int) else _MISSING
    return messages.expected(problem)


def _known_keys(path: list[str], whole: type[BaseModel]) -> list[str]:
    """The allowed keys at a path of params.yaml."""
    model: Any = whole
    for part in path:
        if isinstance(model, type) and issubclass(model, BaseModel) and part in model.model_fields:
            model = model.model_fields[part].annotation
            args = getattr(model, "__args__", ())
            model = next((a for a in args if isinstance(a, type) and issubclass(a, BaseModel)), model)
    fields = getattr(model, "model_fields", {})
    return list(fields)


def check_values(where: str, content: Mapping[Any, Any]) -> None:
    """Refuse values of YAML that a recipe cannot contain.

    Raises:
        ParamsError: names key and value: a date, bytes, a set; a number that is infinite or has over 64 bits; a
            control character; a key that is neither a text nor a number.
    """
    for path, text in _unholdable(content, ()):
        raise ParamsError(f"{where}: {'.'.join(map(str, path)) or 'the whole file'}: {text}")


def _unholdable(value: object, path: tuple[object, ...]) -> Iterator[tuple[tuple[object, ...], str]]:
    if isinstance(value, Mapping):
        for key, part in value.items():
            if isinstance(key, bool) or not isinstance(key, str | int | float):
                yield path, f"{yaml_text(key)} cannot be a key; expected a text (put it in quotes)"
            yield from _unholdable(part, (*path, key))
    elif isinstance(value, list):
        for number, part in enumerate(value):
            yield from _unholdable(part, (*path, number))
    elif text := _problem(value):
        yield path, text


def _problem(value: object) -> str:
    """The fault of a single value; empty if a recipe can contain it."""
    if isinstance(value, str):
        control = _CONTROLS.search(value)
        return f"{yaml_text(value)} holds {control[0]!r}, which no text may" if control else ""
    if isinstance(value, float):
        return "" if math.isfinite(value) else f"{value} is no finite number; expected one"
    if isinstance(value, bool) or value is None:
        return ""
    if isinstance(value, int):
        large = value.bit_length() > _BITS
        return f"{yaml_text(value)} is too large; expected a number below 2^{_BITS}" if large else ""
    kind = {"date": "a date", "datetime": "a time"}.get(type(value).__name__, "a value of another kind")
    return f"{yaml_text(value)} is {kind} in YAML; expected a text (put it in quotes), a number, a list or a mapping"
