"""One key of the real params.yaml, at any depth, drawn and written otherwise."""

import copy
import functools
import operator
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from makers.wrong_params import JARGON
from shiftbench.base.errors import ParamsError
from shiftbench.workflow.plan import loading, plan

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.dates()
    | st.sampled_from(["fog", "mnist", "erm", "convnet", "train", "1e-3", "*", "..", "fog+snow", "mnist/val"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=5,
)  # fmt: skip

EDIT = st.sampled_from(["replaced", "deleted", "renamed", "repeated"])


@settings(max_examples=150, deadline=None)
@given(data=st.data(), edit=EDIT, value=VALUES)
def test_any_edit_is_planned_or_told(root: Path, data: Any, edit: str, value: Any) -> None:
    """One key of the real params.yaml, at any depth: what comes of it is a plan, or a message that names the key."""
    content = yaml.safe_load((root / "params.yaml").read_text())
    path = data.draw(st.sampled_from(sorted(_paths(content), key=str)))
    edited = _edited(content, path, edit, value)
    try:
        read = loading.check(edited, "params.yaml", root)
        benchmark = path[1] if path[0] == "benchmarks" and path[1:2] else "figures"
        kept = {name: one for name, one in read.benchmarks.items() if name == benchmark}
        plan.Plan.of(read.model_copy(update={"benchmarks": kept}))
        message = ""
    except ParamsError as error:
        message = str(error)
    named = [str(key) for key in path if not isinstance(key, int)][-2:]
    named += ["cannot be a key", "expected a text as a key"]  # of what is no text, so that it is no name
    assert not message or any(key in message for key in named), message
    assert not re.search(JARGON, message)


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for key, part in inner:
        yield (*path, key)
        if isinstance(part, dict | list):
            yield from _paths(part, (*path, key))


def _edited(content: Any, path: tuple[Any, ...], edit: str, value: Any) -> Any:
    """Return a copy with one member replaced, deleted, renamed or repeated."""
    content = copy.deepcopy(content)
    *above, last = path
    at = functools.reduce(operator.getitem, above, content)
    if edit == "replaced":
        at[last] = value
    elif edit == "deleted":
        del at[last]
    elif isinstance(at, list):
        at.insert(last, at[last] if edit == "repeated" else value)
    else:
        at[value if edit == "renamed" and _hashable(value) else f"{last}_"] = at.pop(last)
    return content


def _hashable(value: Any) -> bool:
    return not isinstance(value, list | dict)
