"""The four corpora of VADER's ground truth: sentences with the mean sentiment of ten or so readers.

Made binary: positive above 0.5, negative below -0.5 (the scale goes from -4 to 4); what lies between
is left out, since readers were not agreed on its sign. A text that occurs in several places, equal but
for case and white space, is kept once, in the first corpus of `FILES`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from shiftbench.errors import DataError
from shiftbench.sample import Sample

CLASSES = ("negative", "positive")
MARGIN = 0.5
LICENCE = "MIT"
CITATION = (
    "Hutto and Gilbert, VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social Media "
    "Text, ICWSM 2014, doi:10.1609/icwsm.v8i1.14550"
)
FILES = {
    "vader_amazon": "amazonReviewSnippets_GroundTruth.txt",
    "vader_movie": "movieReviewSnippets_GroundTruth.txt",
    "vader_nyt": "nytEditorialSnippets_GroundTruth.txt",
    "vader_tweets": "tweets_GroundTruth.txt",
}


def samples(name: str, folder: Path) -> Iterator[Sample]:
    """Yield corpus `name` as `name/all/ID`, ID being the original's: `text` str, `label` 0 or 1."""
    seen: set[str] = set()
    for corpus, file in FILES.items():
        for identity, sentiment, text in _lines(folder / file):
            plain = " ".join(text.casefold().split())
            fresh = plain not in seen
            seen.add(plain)
            if fresh and corpus == name and abs(sentiment) > MARGIN:
                yield Sample(f"{name}/all/{identity}", {"text": text, "label": int(sentiment > 0)})
        if corpus == name:
            return


def _lines(path: Path) -> Iterator[tuple[str, float, str]]:
    """Yield (id, mean sentiment, text); the files are Latin-1 with tabs between columns.

    Raises:
        DataError: a line has other columns; the message gives its number.
    """
    for number, line in enumerate(path.read_text(encoding="latin-1").split("\n"), 1):
        if not line.strip():
            continue
        parts = line.rstrip("\r").split("\t", 2)
        try:
            identity, sentiment, text = parts
            yield identity.strip(), float(sentiment), text.strip()
        except ValueError as error:
            raise DataError(
                f"{path.name}, line {number}: expected id, sentiment and text, got {line[:60]!r}"
            ) from error
