"""Run files, `X.run.json`: environment and seconds of a job, for information only. A damaged file counts as missing."""

from pathlib import Path
from typing import Any

from shiftbench.base.files import from_json
from shiftbench.provenance.memo import Memo

_MOST = 1e9
"""More seconds than any job takes."""


def read(file: Path | str) -> dict[str, Any]:
    """The content of a run file; empty if it is missing or no JSON object."""
    try:
        content = _CONTENTS(str(file))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


_CONTENTS: Memo[Any] = Memo(lambda stream: from_json(stream.read()))


def time(file: Path | str, *keys: str) -> float | None:
    """The first of some keys with a time in a run file; None without one."""
    content = read(file)
    times = (float(content[key]) for key in keys if is_time(content.get(key)))
    return next(times, None)


def is_time(value: object) -> bool:
    """Whether a value can be the seconds of a job."""
    return type(value) in (int, float) and 0 <= value < _MOST  # type: ignore[operator]
