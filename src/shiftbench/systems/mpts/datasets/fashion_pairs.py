"""Pairs of clothes to be distinguished after five pictures of each, all turned by one angle and at one contrast.

Each task is drawn from words of its own key: angle in 0 to pi, contrast in 0.1 to 1, one of 45 pairs of Fashion-MNIST's
classes, pictures of 14 x 14, none of them twice in a task. No picture is in tasks of two splits. Trainers that learn
over the distribution draw from it themselves, out of the pictures of train (`_pictures`), and look at none of these
tasks but those of val.

Source: as `_pictures`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from shiftbench.base.errors import ParamsError
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.plugins import declare, fields
from shiftbench.plugins.datasets import fashion_mnist
from shiftbench.systems.mpts.datasets import _pictures

TASK = "few_shot_classification"
NATIVE = ("train", "val", "test")
SOURCES = fashion_mnist.SOURCES
LICENCE = fashion_mnist.LICENCE
CITATION = fashion_mnist.CITATION
REDISTRIBUTE = True
IN_ORDER = True
CLASSES: tuple[str, ...] = ()


class Options(declare.Options):
    count: int = Field(500, ge=1, description="tasks of each split")
    shots: int = Field(5, ge=1, description="support pictures of each class")
    query: int = Field(20, ge=1, description="query pictures of each class")
    seed: fields.Seed = 0


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample]:
    """Yield `count` tasks: pictures and labels of `support` and `query`, `meta` with the `identifier`.

    Raises:
        ParamsError: no task, or no picture of one, is asked for, or more of a class than there are.
    """
    shots, query = params["shots"], params["query"]
    least = min(params["count"], shots, query)
    if least < 1:
        raise ParamsError(f"fashion_pairs: count, shots or query is {least}; expected 1 at least")
    pictures = _pictures.pool(split, sources[fashion_mnist.SOURCES[0]])
    available = pictures.shape[1]
    if shots + query > available:
        raise ParamsError(
            f"fashion_pairs: shots and query are {shots + query} pictures of a class; {split} has {available}"
        )
    for number in range(params["count"]):
        key = f"fashion_pairs/{split}/{number:06d}"
        rng = RandomStream(params["seed"], "fashion_pairs", split, key)
        identifiers = _pictures.sample((1,), rng)
        chosen = _pictures.choose((1,), shots + query, available, rng)
        (images,), (labels,) = _pictures.make(identifiers, chosen, pictures)
        yield Sample(key, _fields(images, labels, 2 * shots, identifiers[0].tolist()))


def _fields(
    images: _pictures.Pixels, labels: _pictures.Pixels, support: int, identifier: list[float]
) -> dict[str, Any]:
    parts = zip(("support", "query"), np.split(images, [support]), strict=True)
    label_parts = zip(("support_labels", "query_labels"), np.split(labels.copy(), [support]), strict=True)
    return {**dict(parts), **dict(label_parts), "meta": {"identifier": identifier}}
