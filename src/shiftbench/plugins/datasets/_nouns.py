"""WordNet's nouns: which synsets a name means, and what lies above a synset; ImageNet's classes are such synsets.

A synset is written as ImageNet does, `n01440764`: `n` and its place in WordNet 3.0's file.

Source: Miller 1995; the files' form is that of the manual page wndb(5). Above a synset are its hypernyms (`@`) and, of
a name, what it is an instance of (`@i`).
"""

import functools
from collections.abc import Iterable, Mapping
from pathlib import Path

from shiftbench.base.errors import DataError

HYPERNYMS = ("@", "@i")


class Nouns:
    """The nouns below a folder with WordNet's files.

    Args:
        folder: holds `data.noun`.

    Raises:
        DataError: the file is missing.
    """

    def __init__(self, folder: Path) -> None:
        file = folder / "data.noun"
        if not file.is_file():
            raise DataError(f"{file} is missing; `shiftbench fetch wordnet` brings it")
        self._direct: dict[str, tuple[str, ...]] = {}
        self._senses: dict[str, list[str]] = {}
        for line in file.read_text("ascii").splitlines():
            if not line.startswith("  "):  # the licence
                self._add(line.split(" | ")[0].split())

    def _add(self, fields: list[str]) -> None:
        synset, words = f"n{fields[0]}", int(fields[3], 16)
        for word in fields[4 : 4 + 2 * words : 2]:
            self._senses.setdefault(word.lower(), []).append(synset)
        pointers = fields[5 + 2 * words :]
        rows = zip(pointers[::4], pointers[1::4], strict=False)
        self._direct[synset] = tuple(f"n{at}" for kind, at in rows if kind in HYPERNYMS)

    def senses(self, name: str) -> tuple[str, ...]:
        """The synsets that a name (underscores between words) is in; () where it is in none."""
        return tuple(self._senses.get(name.lower(), ()))

    @functools.cache  # noqa: B019 - one database in a process
    def steps_up(self, synset: str) -> Mapping[str, int]:
        """Every synset above one, itself included, and how many steps it is up there at least."""
        steps, level = {synset: 0}, [synset]
        while level:
            level = [up for one in level for up in self._direct.get(one, ()) if up not in steps]
            steps |= dict.fromkeys(level, max(steps.values()) + 1)
        return steps

    def related(self, one: str, others: Iterable[str]) -> bool:
        """Whether a synset equals another one, or is above or below it."""
        return any(other in self.steps_up(one) or one in self.steps_up(other) for other in others)

    def distance(self, one: str, other: str) -> int:
        """The number of steps from one synset to another, over what lies above both.

        Raises:
            DataError: nothing does.
        """
        first, second = self.steps_up(one), self.steps_up(other)
        shared = first.keys() & second.keys()
        if not shared:
            raise DataError(f"nothing in WordNet lies above both {one} and {other}")
        return min(first[up] + second[up] for up in shared)
