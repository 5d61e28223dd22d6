"""Progress bars on long work: on standard error, and only when it is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from rich.console import Console
from rich.progress import track as rich_track

T = TypeVar("T")


def track(items: Iterable[T], title: str, total: int | None = None) -> Iterator[T]:
    """Yield the items with a progress bar when somebody is looking."""
    if not sys.stderr.isatty():
        yield from items
        return
    if total is None and isinstance(items, Sequence):
        total = len(items)
    yield from rich_track(items, title, total=total, console=Console(stderr=True), transient=True)
