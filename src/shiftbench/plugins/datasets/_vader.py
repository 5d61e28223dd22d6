"""The four corpora of VADER's ground truth: sentences with the mean sentiment of ten or so readers.

Made binary: positive above 0.5, negative below -0.5 (the scale goes from -4 to 4); what lies between
is left out, since readers were not agreed on its sign. A text that occurs in several places, equal but
for case and white space, is kept once, in the first corpus of `FILES`.

Source: Hutto and Gilbert, ICWSM 2014. Splits are by review (amazon) or editorial (nyt), else by sentence.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from shiftbench.base.errors import DataError
from shiftbench.base.sample import Sample
from shiftbench.plugins import declare

TASK = "text_classification"
CLASSES = ("negative", "positive")
NATIVE = ("all",)
SOURCES = ("vader_reviews",)
LICENCE = "MIT"
CITATION = (
    "Hutto and Gilbert, VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social Media "
    "Text, ICWSM 2014, doi:10.1609/icwsm.v8i1.14550"
)
REDISTRIBUTE = True
MARGIN = 0.5
FILES = {
    "vader_amazon": "amazonReviewSnippets_GroundTruth.txt",
    "vader_movie": "movieReviewSnippets_GroundTruth.txt",
    "vader_nyt": "nytEditorialSnippets_GroundTruth.txt",
    "vader_tweets": "tweets_GroundTruth.txt",
}
GROUPED = ("vader_amazon", "vader_nyt")


class Options(declare.Options):
    part: Literal["", "amazon", "movie", "nyt", "tweets"] = Field("", description="corpus of the sentences")


def facts(options: Mapping[str, object]) -> dict[str, object]:
    """The corpus of a variant."""
    return {"PART": options["part"]}


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample]:
    """Yield all sentences: `text` str, `label` 0 (negative) or 1 (positive)."""
    yield from corpus(f"vader_{params['part']}", sources["vader_reviews"])


def group(sample: Sample) -> str:
    """The review or editorial, whose sentences stay in one split; the sentence where the file names none."""
    known = sample.key.partition("/")[0] in GROUPED
    return sample.key.rpartition("_")[0] if known else sample.key


def corpus(name: str, folder: Path) -> Iterator[Sample]:
    """Yield corpus `name` as `name/all/ID`, ID being the original's: `text` str, `label` 0 or 1."""
    seen: set[str] = set()
    for other, file in FILES.items():
        for identity, sentiment, text in _lines(folder / file):
            plain = " ".join(text.casefold().split())
            fresh = plain not in seen
            seen.add(plain)
            if fresh and other == name and abs(sentiment) > MARGIN:
                yield Sample(f"{name}/all/{identity}", {"text": text, "label": int(sentiment > 0)})
        if other == name:
            return


def _lines(path: Path) -> Iterator[tuple[str, float, str]]:
    """Yield (id, mean sentiment, text); the files are Latin-1 with tabs between columns."""
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
