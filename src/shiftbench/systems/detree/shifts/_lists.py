"""Word lists of two attacks, as codespell ships them: words often misspelt, and British spellings.

A line is `wrong->right`, with several right words `wrong->one, two,`; of these only the lines with one are taken, since
the others say no certain thing. Read backwards they tell how a right word is misspelt, and how an American word is
spelt in Britain. Of words that are misspelt the 192 with the most misspellings count, which is how many the released
list has: nearly every word of English has some here.

Source: codespell (GPL-2.0), whose lists began with Wikipedia's lists of common misspellings, as those of the released
attacks did; theirs are not ours to pass on, and lie in detree/utils/adversarial/resources of heyongxin233/DETree.
"""

from collections import defaultdict
from functools import cache
from pathlib import Path

from shiftbench.base.errors import DataError

SOURCE = "codespell"
MOST = 192
FILES = {"misspelling": "dictionary.txt", "us_to_uk_spelling": "dictionary_en-GB_to_en-US.txt"}


@cache
def load(folder: Path, attack: str) -> dict[str, tuple[str, ...]]:
    """Return word in lower case -> what takes its place, sorted; read once in a process.

    Raises:
        DataError: the file is missing, or a line has another form; names it.
    """
    file = folder / FILES[attack]
    if not file.is_file():
        raise DataError(f"{file} is missing; `shiftbench fetch {SOURCE}` brings it")
    found: dict[str, set[str]] = defaultdict(set)
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        wrong, arrow, right = line.strip().lower().partition("->")
        if not arrow:
            raise DataError(f"{file.name}, line {number}: expected `wrong->right`, found {line!r}")
        if "," not in right:
            found[right].add(wrong)
    words = sorted(found, key=lambda word: (-len(found[word]), word))
    some = words[:MOST] if attack == "misspelling" else words
    return {word: tuple(sorted(found[word])) for word in some}
