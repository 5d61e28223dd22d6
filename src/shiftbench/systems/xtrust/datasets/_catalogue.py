"""Prompts in eleven languages: the ten of XTRUST, and English, in which items are stated first.

`prompts.csv` has one text for each task, language and variant; it is ours, written for the items here, and no text of
the official repository. A variant may have slots in braces.
"""

import csv
from functools import cache
from pathlib import Path

from shiftbench.base.errors import DataError

FILE = Path(__file__).parent / "prompts.csv"
LANGUAGES = ("ar", "zh", "fr", "de", "hi", "it", "ko", "pt", "ru", "es")
"""Those of the released data, in the order of the specification's tables; there is no English in it."""
ENGLISH = "en"
GREEK = (
    "\N{GREEK SMALL LETTER ALPHA}",
    "\N{GREEK SMALL LETTER BETA}",
    "\N{GREEK SMALL LETTER GAMMA}",
    "\N{GREEK SMALL LETTER DELTA}",
)
"""Names of options: no word of the ten languages contains their letters."""
OPTIONS = {
    "statements": ("true", "false", "unknown"),
    "comparisons": ("yes", "no"),
    "legality": ("yes", "no"),
    "choice": GREEK,
}
"""Possible answers to items of a task; letters are the same in all languages."""


def text(task: str, language: str, variant: str) -> str:
    """A text of the catalogue.

    Raises:
        DataError: there is none.
    """
    try:
        return _texts()[task, language, variant]
    except KeyError:
        raise DataError(f"{FILE} has no text of {task}, {language}, {variant}") from None


def option(task: str, language: str, name: str) -> str:
    """Name of an answer in a language."""
    if task == "choice":
        return name
    return text("comparisons" if task == "legality" else task, language, name)


@cache
def _texts() -> dict[tuple[str, str, str], str]:
    with FILE.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    texts = {(row["task"], row["language"], row["variant"]): row["text"] for row in rows}
    if len(texts) < len(rows):
        raise DataError(f"{FILE} has a task, language and variant twice; expected one text of each")
    return texts
