"""WordNet: synonyms of English words, read from its files as they are.

Source: Miller 1995; the files' form is that of the manual pages wndb(5) and morphy(7). Senses come in the files' order,
the frequent ones first. Irregular forms are looked up (`children`), regular endings are cut by the rules of morphy(7).
"""

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from shiftbench.base.errors import DataError

SOURCE = "wordnet"
PARTS = ("noun", "verb", "adj", "adv")
ENDINGS = {
    "noun": (
        *(("s", ""), ("ses", "s"), ("xes", "x"), ("zes", "z"), ("ches", "ch"), ("shes", "sh")),
        *(("men", "man"), ("ies", "y")),
    ),
    "verb": (
        *(("s", ""), ("ies", "y"), ("es", "e"), ("es", ""), ("ed", "e"), ("ed", "")),
        *(("ing", "e"), ("ing", "")),
    ),
    "adj": (("er", ""), ("est", ""), ("er", "e"), ("est", "e")),
    "adv": (),
}


class WordNet:
    """The database below a folder.

    Args:
        folder: holds `index.PART`, `data.PART` and `PART.exc` of the four parts of speech.

    Raises:
        DataError: a file is missing.
    """

    def __init__(self, folder: Path) -> None:
        self._index = {part: _index(_read(folder / f"index.{part}")) for part in PARTS}
        self._data = {part: _read(folder / f"data.{part}") for part in PARTS}
        self._irregular = {part: _irregular(_read(folder / f"{part}.exc")) for part in PARTS}
        self._cache: dict[tuple[str, tuple[str, ...]], tuple[str, ...]] = {}

    def synonyms(self, word: str, parts: Sequence[str] = PARTS) -> tuple[str, ...]:
        """The other words of a word's senses: distinct, in lower case, frequent senses of the first part first.

        Only single words of letters; () where there is none. The word itself is none of them, but it is looked up
        as spelled alone: what is found for a base form (`bases`) would have to be inflected by the caller.

        Args:
            word: in any case.
            parts: of speech, some of PARTS, in order.
        """
        key = word.lower(), tuple(parts)
        if key not in self._cache:
            self._cache[key] = self._synonyms(*key)
        return self._cache[key]

    def _synonyms(self, plain: str, parts: Sequence[str]) -> tuple[str, ...]:
        lemmas = (lemma for part in parts for at in self._index[part].get(plain, ()) for lemma in self._words(part, at))
        return tuple(dict.fromkeys(lemma for lemma in lemmas if lemma != plain and lemma.isalpha()))

    def bases(self, word: str, part: str) -> tuple[str, ...]:
        """The forms under which a part of speech knows a word: itself, irregular bases, endings cut."""
        plain = word.lower()
        cut = (plain[: -len(old)] + new for old, new in ENDINGS[part] if plain.endswith(old))
        forms = (plain, *self._irregular[part].get(plain, ()), *cut)
        return tuple(dict.fromkeys(form for form in forms if form in self._index[part]))

    def _words(self, part: str, at: int) -> list[str]:
        """The words of the sense at a byte of a part's file."""
        data = self._data[part]
        fields = data[at : data.index(b"\n", at)].decode("ascii").split(" ")
        count = int(fields[3], 16)
        return [fields[4 + 2 * n].partition("(")[0].lower() for n in range(count)]


@cache
def load(folder: Path) -> WordNet:
    """The database of a folder, read once in a process."""
    return WordNet(folder)


def _read(file: Path) -> bytes:
    if not file.is_file():
        raise DataError(f"{file} is missing; `shiftbench fetch` brings the source {SOURCE!r}")
    return file.read_bytes()


def _lines(content: bytes) -> Iterator[list[str]]:
    """Yield the fields of each line that does not belong to the licence at the top."""
    for line in content.decode("ascii").splitlines():
        if line and not line.startswith("  "):
            yield line.split()


def _index(content: bytes) -> dict[str, tuple[int, ...]]:
    """Lemma -> where its senses are in the data file, frequent ones first."""
    return {fields[0]: tuple(map(int, fields[-int(fields[2]) :])) for fields in _lines(content)}


def _irregular(content: bytes) -> dict[str, tuple[str, ...]]:
    """Inflected form -> its base forms."""
    return {fields[0]: tuple(fields[1:]) for fields in _lines(content)}
