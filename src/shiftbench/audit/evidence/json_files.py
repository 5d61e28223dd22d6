"""JSON files of the evidence, which anybody may have damaged."""

from pathlib import Path
from typing import Any

from shiftbench.base.files import from_json


def read_object(file: Path) -> dict[str, Any] | None:
    """Return the JSON object in a file; None: no such file, or something else in it."""
    try:
        content = from_json(file.read_bytes())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None
