"""Pages that are generated from the code; a test fails when they drift."""

from __future__ import annotations

import json
from pathlib import Path

from shiftbench import params, schema


def pages() -> dict[str, str]:
    """Return each generated page by its path in the repository."""
    return {
        "docs/params.md": params.document(),
        "docs/formats.md": schema.document(),
        "params/schema.json": json.dumps(params.schema(), indent=1, sort_keys=True) + "\n",
    }


def write(repository: Path) -> list[str]:
    """Write the pages that differ; returns their paths."""
    changed = []
    for name, text in pages().items():
        file = repository / name
        if not file.is_file() or file.read_text() != text:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
            changed.append(name)
    return changed
