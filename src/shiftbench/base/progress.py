"""Progress of work: plain text, and bars on standard error if it is a terminal."""

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import track as rich_track
from rich.text import Text

T = TypeVar("T")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Characters that control a terminal or turn text around, or cannot be written; tab and line feed are allowed."""


class Screen(Console):
    """A terminal that shows control characters in foreign file names and keys as escapes and does not obey them."""

    def render_str(self, text: str, **options: Any) -> Text:
        """A text in which each control character is replaced by its escape."""
        return super().render_str(_CONTROLS.sub(_escape, text), **options)


def _escape(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode()


def track(items: Iterable[T], title: str, total: int | None = None) -> Iterator[T]:
    """Yield the items, with a progress bar if standard error is a terminal."""
    if not sys.stderr.isatty():
        yield from items
        return
    if total is None and isinstance(items, Sequence):
        total = len(items)
    yield from rich_track(items, title, total=total, console=Screen(stderr=True), transient=True)
