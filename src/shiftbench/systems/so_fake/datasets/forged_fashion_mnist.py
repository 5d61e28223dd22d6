"""Forged Fashion-MNIST: real garments, a generator's garments, and real ones with a generator's square in them.

    datasets:
      forged_fashion_mnist: {generators: [ae_0, ae_1, vae_0, vae_1], learnt_from: generator_items}
      forged_quilt: {use: forged_fashion_mnist, generators: [quilt_left, quilt_top]}

Made from the shards of `of`, split by split, a third of each class (`_forging.py`), by `generators` (`_generators.py`)
whose models and components learned from the train split of `learnt_from` (default: `of`), which is best another slice.
All variants forge the same pictures in the same places; only the generators differ. `meta` has the generator
(also `group`, so that metrics come for each), its family, the source and the donors; generators are resampled as a
whole (`cluster`), real pictures one by one.

Source: ours, instead of So-Fake-Set and So-Fake-OOD (arXiv:2505.18660); garments of Xiao et al. 2017.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from shiftbench.base import refs
from shiftbench.base.errors import ParamsError
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.data import shards
from shiftbench.plugins import declare
from shiftbench.plugins.datasets import _made, fashion_mnist
from shiftbench.systems.so_fake.datasets import _forging, _generators

TASK = "forgery"
CLASSES = _forging.CLASSES
NATIVE = _made.NATIVE
SOURCES: tuple[str, ...] = ()
LICENCE, CITATION = fashion_mnist.LICENCE, fashion_mnist.CITATION
REDISTRIBUTE = True
IN_ORDER = True

uses = _generators.uses


class Options(declare.Options):
    of: str = Field("fashion_mnist", description="data set that is forged")
    learnt_from: str = Field("", description="data set that generators learned from; empty: the one that is forged")
    generators: list[str] = Field(
        [f"quilt_{pattern}" for pattern in _generators.PATTERNS],
        min_length=1,
        description="generators of the forgeries",
    )
    square: list[int] = Field(
        [8, 14], min_length=2, max_length=2, description="smallest and largest side of what is replaced, in pixels"
    )
    quality: int = Field(95, ge=1, le=100, description="quality of the JPEG that every picture goes through")


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The same split's shards of the forged data set, and the inputs of the generators."""
    forged = _made.needs(params, [params["of"]])
    generator_inputs = _generators.needs(params["generators"], params["learnt_from"] or params["of"])
    return [*forged, *(ref for ref in generator_inputs if ref not in forged)]


def samples(
    split: str, sources: Mapping[str, Path], params: Mapping[str, Any], inputs: Mapping[Ref, Path]
) -> Iterator[Sample]:
    """Yield one split: `image`, `label`, of tampered ones `mask`, and `meta`.

    Raises:
        ParamsError: no generator, or sides of squares that no picture has.
    """
    low, high = params["square"]
    if not params["generators"] or not 1 <= low <= high:
        raise ParamsError(
            f"forged_fashion_mnist: generators is {params['generators']} and square {params['square']}; expected one "
            "generator at least, and two sides of which the second is no smaller"
        )
    folder = _generators.input_file(refs.shards(params["of"], split), inputs).parent
    options = {**params, "learnt_from": params["learnt_from"] or params["of"]}
    pictures = list(shards.read(folder))
    yield from _forging.samples(params["name"], split, pictures, options, inputs)


def group(sample: Sample) -> str:
    """The picture that a sample was made from."""
    source: str = sample.fields["meta"]["source"]
    return source
