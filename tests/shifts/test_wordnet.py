"""WordNet's files are read as their manual says, on a miniature with the same lines."""

from pathlib import Path

import pytest

from shiftbench.base.errors import DataError
from shiftbench.plugins.shifts import _wordnet

LICENCE = b"  1 This software and database is being provided to you\n"
NOUNS = (
    b"00000001 10 n 02 film 0 movie 0 001 @ 00000002 n 0000 | a story in moving images  \n",
    b"00000002 06 n 03 film 1 plastic_film 0 Cellophane 0 000 | a thin sheet  \n",
)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    for part in _wordnet.PARTS:
        for name in (f"index.{part}", f"data.{part}", f"{part}.exc"):
            (tmp_path / name).write_bytes(b"" if name.endswith("exc") else LICENCE)
    first = len(LICENCE)
    second = first + len(NOUNS[0])
    (tmp_path / "data.noun").write_bytes(LICENCE + b"".join(NOUNS))
    index = f"film n 2 1 @ 2 1 {second:08d} {first:08d}  \n"
    index += "".join(f"{word} n 1 0 1 0 {first:08d}  \n" for word in ("movie", "child"))
    (tmp_path / "index.noun").write_bytes(LICENCE + index.encode())
    (tmp_path / "noun.exc").write_bytes(b"children child\n")
    (tmp_path / "index.adj").write_bytes(LICENCE + f"nice a 1 0 1 0 {first:08d}  \n".encode())
    fields = b"00000001 00 s 02 nice(p) 0 pleasant 0 000 | good  \n"
    (tmp_path / "data.adj").write_bytes(LICENCE + fields)
    return tmp_path


def test_synonyms_are_the_words_of_all_senses_frequent_ones_first(database: Path) -> None:
    net = _wordnet.load(database)
    assert net.synonyms("Film") == ("cellophane", "movie")  # no plastic_film, not itself
    assert net.synonyms("movie") == ("film",)
    assert net.synonyms("nice") == ("pleasant",)
    assert net.synonyms("nice", ["noun"]) == net.synonyms("unknown") == ()


def test_bases_are_irregular_forms_and_cut_endings(database: Path) -> None:
    net = _wordnet.load(database)
    assert net.bases("Children", "noun") == net.bases("childs", "noun") == ("child",)
    assert net.bases("movies", "noun") == ("movie",)
    assert net.bases("movies", "verb") == ()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"index\.noun is missing; `shiftbench fetch`"):
        _wordnet.WordNet(tmp_path)
