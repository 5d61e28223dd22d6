"""Run files, `X.run.json`: what they state informs, so that a damaged one is as none."""

from pathlib import Path
from typing import Any

from shiftbench.base.files import from_json
from shiftbench.provenance.memo import Memo

_MOST = 1e9
"""Seconds that nobody waits."""


def read(file: Path | str) -> dict[str, Any]:
    """Return what a file states; nothing where there is none, or it holds no JSON object."""
    try:
        content = _CONTENTS(str(file))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


_CONTENTS: Memo[Any] = Memo(lambda stream: from_json(stream.read()))


def time(file: Path | str, *keys: str) -> float | None:
    """Return the first of some times that a file states; None where it states none."""
    content = read(file)
    times = (float(content[key]) for key in keys if is_time(content.get(key)))
    return next(times, None)


def is_time(value: object) -> bool:
    """Whether a value can be what a job took."""
    return type(value) in (int, float) and 0 <= value < _MOST  # type: ignore[operator]
