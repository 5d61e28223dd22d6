"""Someone else's WebDataset shards: tars in which image and label stand side by side.

    datasets:
      theirs: {use: webdataset, path: "/data/theirs-{000000..000009}.tar", classes: [cat, dog]}

An address (https:// or http://)
is read once, by `shiftbench pin`, and from the cache from then on; shell commands (`pipe:`), which the webdataset
library runs, are refused. The label is a number
written in ASCII, the position in `classes`. Pictures are turned as their EXIF says. A fifth becomes test, by the hash
of the key.
"""

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import Field

from shiftbench.base.errors import DataError, DuplicateKeyError, ParamsError, RangeError, skippable
from shiftbench.base.sample import Sample
from shiftbench.data import pins
from shiftbench.plugins import declare
from shiftbench.plugins.datasets._pictures import read_upright

TITLE = "WebDataset shards"
TASK = "classification"
NATIVE = ("all",)
SOURCES: tuple[str, ...] = ()
LICENCE = "as the shards' owner states"
CITATION = "none: the user's own data"
REDISTRIBUTE = False


class Options(declare.Options):
    path: str = Field("", description="shards: files or addresses, with braces or `*`, or several with `::` between")
    image: str = Field("jpg;jpeg;png;webp", description="extensions of an image, with `;` between")
    label: str = Field("cls", description="extensions of a label, with `;` between")
    classes: list[str | int] = Field([], description="class names in the order of the labels")


def classes(params: dict[str, Any], sources: dict[str, Path]) -> tuple[str, ...]:
    """The class names that params gives."""
    if not params["classes"]:
        raise ParamsError("webdataset: option classes is missing; list the names in the order of the labels")
    return tuple(map(str, params["classes"]))


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample | DataError]:
    """Yield all samples in the order of the shards; a bad one is yielded as its error."""
    prefix = f"{params.get('name', 'webdataset')}/all"
    count = len(classes(params, sources))
    seen: set[str] = set()
    for raw in _members(params["path"]):
        key = f"{prefix}/{raw['__key__'].replace('.', '_')}"
        if key in seen:
            raise DuplicateKeyError(f"{key}: occurs a second time, in {raw['__url__']}; keys must be unique")
        seen.add(key)
        try:
            yield _sample(key, raw, params, count)
        except DataError as error:
            yield skippable(error)


def _members(path: str) -> Iterator[dict[str, Any]]:
    """Yield raw samples through webdataset's own stages; shards are opened here, so that no command is ever run."""
    from webdataset.tariterators import group_by_keys, tar_file_expander

    if not path:
        raise ParamsError("webdataset: option path is missing; give the shards' files or addresses")
    for shard, file in pins.local_files(path).items():
        try:
            with file.open("rb") as stream:
                yield from group_by_keys(tar_file_expander([{"url": shard, "stream": stream}]))
        except (OSError, EOFError, ValueError, tarfile.TarError) as error:
            raise DataError(f"webdataset: shard {shard} cannot be read: {error.args[-1]}") from error


def _sample(key: str, raw: dict[str, Any], params: dict[str, Any], count: int) -> Sample:
    image, label = (_field(key, raw, params[option]) for option in ("image", "label"))
    if not label.strip().isdigit() or int(label) >= count:
        raise RangeError(f"{key}: label {label[:20]!r} is no number below {count} in {raw['__url__']}")
    return Sample(key, {"image": read_upright(io.BytesIO(image), key), "label": int(label)})


def _field(key: str, raw: dict[str, Any], extensions: str) -> bytes:
    for extension in extensions.split(";"):
        if extension in raw:
            return bytes(raw[extension])
    there = ", ".join(name for name in raw if not name.startswith("__"))
    raise DataError(f"{key}: no member with extension {extensions} in {raw['__url__']}; it has {there}")
