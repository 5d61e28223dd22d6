"""Published results as models: a folder of files, one for each split, that answer for the images they were made for.

An image's id is the end of its key: a number, with or without leading zeros, or the name of its file without ending.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import Field

from shiftbench.base.errors import ModelError, ParamsError

Entry = TypeVar("Entry")
Folder = Annotated[
    str, Field(description="folder with your files; `{dataset}`, `{model}` and `{seed}` stand for those of the model")
]


def folder(params: Mapping[str, Any], model: str) -> Path:
    """The folder that `path` names.

    Raises:
        ParamsError: it names none.
    """
    if not params["path"]:
        raise ParamsError(f"{model}: path is missing; give the folder of the predictions")
    return Path(params["path"]).expanduser()


def identity(value: Any) -> str:
    """An image's id as it is compared.

    Example:
        >>> identity(7), identity("000000000007"), identity("a.1")
        ('7', '7', 'a_1')
    """
    text = str(value).replace(".", "_")
    return str(int(text)) if text.isdecimal() else text


def by_image(file: Path, fields: str, made: Callable[[Mapping[str, Any]], Entry]) -> dict[str, list[Entry]]:
    """The entries of each image, by its id, of a list in COCO's layout of results.

    Args:
        file: of JSON.
        fields: what entries hold, as an error tells it.
        made: what becomes of an entry; refuses one by a KeyError, TypeError or ValueError.

    Raises:
        ModelError: there is no such list; names the file and what was expected.
    """
    entries: dict[str, list[Entry]] = {}
    try:
        for one in json.loads(file.read_text()):
            entries.setdefault(identity(one["image_id"]), []).append(made(one))
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{file} is no list of {fields}, COCO's results ({error!r})") from error
    return entries
