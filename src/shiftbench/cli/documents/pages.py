"""Pages that are generated from the code; a test fails when they differ from the files in the repository."""

import json
from pathlib import Path

from shiftbench.base import files
from shiftbench.cli.documents import (
    check_pages,
    leaderboard,
    params_page,
    plugin_pages,
    reference_pages,
    shift_pages,
    system_pages,
)
from shiftbench.data import schema
from shiftbench.workflow.plan import params


def pages(repository: Path) -> dict[str, str]:
    """Each generated page by its path in the repository; some have parts that are written by hand."""
    return {
        params_page.PAGE: params_page.page(repository),
        "docs/formats.md": schema.document(),
        "docs/list_of_shifts.md": shift_pages.listing(),
        "docs/list_of_checks.md": check_pages.listing(),
        "params/schema.json": json.dumps(params.schema(), indent=1, sort_keys=True) + "\n",
        reference_pages.API: reference_pages.api(repository),
        **plugin_pages.pages(),
        **published(repository),
    }


def published(repository: Path) -> dict[str, str]:
    """The pages that follow from published results: the leaderboard and the systems' pages."""
    return {leaderboard.PAGE.as_posix(): leaderboard.page(repository), **system_pages.pages(repository)}


def write(repository: Path) -> list[str]:
    """Write the pages that differ; returns their paths."""
    paths = []
    for name, text in pages(repository).items():
        file = repository / name
        if not file.is_file() or file.read_text() != text:
            files.write_bytes(file, text.encode())
            paths.append(name)
    return paths
