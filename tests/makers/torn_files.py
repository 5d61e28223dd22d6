"""Files of strangers, drawn: bytes torn, JSON changed; and how long is drawn.

A target draws 40 times in each run of the tests, and for its share of FUZZ_SECONDS in `make fuzz`.
"""

import json
import os
import time
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

TARGETS = 5
"""How many share the seconds."""
ROUND = 40
"""Draws in a row."""
_WORDS = st.text(max_size=4) | st.sampled_from(["\ud800", "\0", "../a", "/", "x" * 5000])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS, inner, max_size=3),
    max_leaves=4,
)
_DEPTHS = (300, 900, 1000, 100_000)
"""Of what is nested, around the depth where readers give up."""


def draw(check: Callable[[st.DataObject], None]) -> None:
    """Call `check` with what it draws from: the same draws in each run of the tests, others for FUZZ_SECONDS."""
    seconds = float(os.environ.get("FUZZ_SECONDS", "0")) / TARGETS
    quiet = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    run = settings(
        max_examples=ROUND, deadline=None, suppress_health_check=quiet, database=None, derandomize=not seconds
    )(given(st.data())(check))
    end, rounds = time.monotonic() + seconds, 1
    run()
    while time.monotonic() < end:
        run()
        rounds += 1
    if seconds:
        print(f"{rounds * ROUND} draws in {seconds:g} s")


def torn(data: st.DataObject, whole: bytes) -> bytes:
    """Return bytes with a piece cut out, another one in its place, or one turned over."""
    at = data.draw(st.integers(0, len(whole)))
    to = data.draw(st.integers(at, min(len(whole), at + 40)))
    return whole[:at] + data.draw(st.binary(max_size=12)) + whole[to:]


def changed(data: st.DataObject, content: Any) -> Any:
    """Return JSON with a value somewhere in it replaced, or without it."""
    if not isinstance(content, dict | list) or not content or data.draw(st.integers(0, 3)) == 0:
        return data.draw(VALUES)
    keys = sorted(content) if isinstance(content, dict) else list(range(len(content)))
    key = data.draw(st.sampled_from(keys))
    other = content.copy()
    if data.draw(st.booleans()):
        del other[key]
    else:
        other[key] = changed(data, content[key])
    return other


def written(data: st.DataObject, content: Any) -> bytes:
    """Return JSON that was changed, as a file: whole, torn, or nested deeper than a reader goes."""
    text = json.dumps(changed(data, content)).encode()
    how = data.draw(st.sampled_from(("whole", "torn", "deep")))
    if how == "deep":
        deep = data.draw(st.sampled_from(_DEPTHS))
        return text[:-1] + b', "deep": ' + b"[" * deep + b"]" * deep + b"}"
    return torn(data, text) if how == "torn" else text
