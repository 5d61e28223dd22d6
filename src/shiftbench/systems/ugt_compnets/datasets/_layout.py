"""Helper of both layouts of the released code: pictures squeezed to a square, with the group of rows."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from shiftbench.base.errors import DataError, ParamsError, skippable, suggest
from shiftbench.base.sample import Sample
from shiftbench.plugins.datasets import _pictures

LEVELS = ("ZERO", "ONE", "FIVE", "NINE")
"""0 %, 20 to 40 %, 40 to 60 % and 60 to 80 % of the object hidden."""
SIDE = 224
Level = Annotated[
    Literal["ZERO", "ONE", "FIVE", "NINE"],
    Field(description="hidden share of the object: none, 20 to 40%, 40 to 60%, 60 to 80%"),
]
Side = Annotated[int, Field(ge=1, description="side that pictures are squeezed to, in pixels")]


def root(params: dict[str, Any], name: str) -> Path:
    """The folder `path`.

    Raises:
        ParamsError: none is given, or `level` is none of the four.
    """
    if not params["path"]:
        raise ParamsError(f"{name}: option path is missing; give the folder `data` of the released code")
    if params["level"] not in LEVELS:
        raise ParamsError(f"{name}: level is {params['level']!r}; {suggest(params['level'], LEVELS)}")
    return Path(params["path"]).expanduser()


def folders(place: Path) -> list[str]:
    """The names of folders in a folder, sorted.

    Raises:
        DataError: it does not exist.
    """
    if not place.is_dir():
        raise DataError(f"{place} does not exist; bring it as the released code lays it out")
    return sorted(one.name for one in place.iterdir() if one.is_dir() and one.name[0] != ".")


def samples(entries: Iterable[tuple[str, Path, int, str | None]], side: int) -> Iterator[Sample | DataError]:
    """Yield samples of (key, file, label, group), `image` uint8 (side, side, 3); a bad picture as its error."""
    for key, file, label, group in entries:
        try:
            image = _pictures.read_array(file, key)
        except DataError as error:
            yield skippable(error)
            continue
        fields = {"image": image, "label": label, "meta": {"group": group} if group else {}}
        yield _pictures.squeezed(Sample(key, fields), side)
