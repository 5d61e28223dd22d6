"""Cards of released results: `released/NAME.yaml`, which says what each number of a release is."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

import pydantic
from pydantic import BaseModel, ConfigDict, Field

from shiftbench.base.errors import suggest

PLACE = ("model", "method", "detector", "dataset", "split", "reference", "shift", "severity", "group", "metric")
"""Fields of the format RELEASED that say which number one is."""
FACTS = ("pretraining", "parameters", "image_size", "note", "n", "seeds")
"""Fields of the format RELEASED that say more of its model."""
Text = Annotated[str, Field(min_length=1)]
Unit = Literal["percent", "points", "share", "number", "count"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Meaning(_Strict):
    """What numbers are, in the terms of METRICS; what it leaves open is said elsewhere on the card.

    Attributes:
        unit: how the file prints them; `points`: a difference of percent, of any sign; `count`: so many of n samples.
        n: samples behind each number; null: not known, and then a share has no interval.
        seeds: trainings behind each number and its spread; several count only where a spread above 0 is printed.
        spread: column of the deviation over these trainings, where it is not in the cell after a `±`; `{column}` is the
            name of the number's own column.
        ddof: 0 if the printed deviation is divided by the number of trainings, as `numpy.std` does; 1 if by one less.
    """

    model: Text | None = None
    method: Text | None = None
    detector: Text | None = None
    dataset: Text | None = None
    split: Text | None = None
    reference: Text | None = None
    shift: Text | None = None
    severity: float | None = None
    group: Text | None = None
    metric: Text | None = None
    unit: Unit | None = None
    n: int | None = Field(None, ge=1)
    seeds: int | None = Field(None, ge=1)
    spread: Text | None = None
    ddof: Literal[0, 1] | None = None

    @property
    def stated(self) -> dict[str, Any]:
        """What it says, null too where that is said."""
        return {name: getattr(self, name) for name in self.model_fields_set}


class ReleasedFile(_Strict):
    """How the files of a pattern are read.

    Attributes:
        path: regular expression of the whole path; its named groups are cells of each line.
        importer: plugin that reads it; default: the card's.
        options: of the importer.
        is_: what all of its numbers are (`is` on the card).
        each: field of METRICS, or a fact -> text with `{column}` for the cell of a line.
        columns: regular expression of a whole column name -> what its numbers are; named groups are fields.
        lines: column -> regular expression of the cells whose lines are read; others are left out.
        missing: cells that hold no number, beside empty ones.
        original: path in the repository of the picture, notebook or text that the file transcribes; then its lines are
            those of the transcription.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
    path: Text | None = None
    importer: Text | None = None
    options: dict[str, Any] = {}
    is_: Annotated[Meaning, Field(alias="is")] = Meaning()
    each: dict[str, str] | None = None
    columns: dict[str, Meaning]
    lines: dict[str, str] = {}
    missing: tuple[str, ...] = ()
    original: Text | None = None


class Rebuilt(_Strict):
    """Averages and differences that a release prints next to their terms.

    Attributes:
        cells: fields of the format RELEASED -> values of the printed cells.
        by: an expression of the claims' grammar over the terms; what its selectors leave out is as in the cell.
    """

    cells: Annotated[dict[str, Any], Field(min_length=1)]
    by: dict[str, Any]


Readings = Annotated[
    tuple[ReleasedFile, ...],
    Field(min_length=1),
    pydantic.BeforeValidator(lambda given: given if isinstance(given, list | tuple) else [given]),
]


class Card(_Strict):
    """How the numbers of a release are read.

    Attributes:
        repository: `owner/name` on GitHub.
        commit: the commit that the files are of.
        importer, is_, each: as of a file, for all files that do not say otherwise.
        names: field -> text in the file -> our name.
        pretraining: kind of data -> regular expression that is searched in the fact `pretraining`; the first counts.
        files: path in the repository, or pattern of paths -> how they are read, or several such readings, where not
            all numbers of a file are of one kind.
        rebuilt: how printed averages and differences follow from other numbers of the release.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
    repository: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")]
    commit: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
    importer: Text = "wide_csv"
    is_: Annotated[Meaning, Field(alias="is")] = Meaning()
    each: dict[str, str] = {}
    names: dict[str, dict[str, str]] = {}
    pretraining: dict[str, str] = {}
    files: Annotated[dict[str, Readings], Field(min_length=1)]
    rebuilt: tuple[Rebuilt, ...] = ()

    @pydantic.model_validator(mode="after")
    def _check(self) -> Card:
        known = (*PLACE, *FACTS)
        for each in (self.each, *(reading.each or {} for _, reading in self.readings)):
            for name in each:
                if name not in known:
                    raise ValueError(f"each: {name!r}; {suggest(name, known)}")
        return self

    @property
    def readings(self) -> list[tuple[str, ReleasedFile]]:
        """Pattern of paths and how they are read, for each reading."""
        return [(pattern, reading) for pattern, readings in self.files.items() for reading in readings]

    def address(self, file: str, row: int) -> str:
        """Where a line of a file can be read; of a transcription, where its original can be read."""
        originals = (reading.original for pattern, reading in self.readings if fnmatchcase(file, pattern))
        if (original := next(originals, None)) is not None:
            return f"https://github.com/{self.repository}/blob/{self.commit}/{original}"
        return address(self.repository, self.commit, file, row)


def address(repository: str, commit: str, file: str, row: int) -> str:
    """Where a line of a file in a repository on GitHub can be read.

    Example:
        >>> address("a/b", "0f", "c.csv", 2)
        'https://github.com/a/b/blob/0f/c.csv?plain=1#L2'
    """
    return f"https://github.com/{repository}/blob/{commit}/{file}?plain=1#L{row}"
