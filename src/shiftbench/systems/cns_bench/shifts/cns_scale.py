"""Scale of a nuisance in CNS-Bench: the image of the same path at another scale, as the released set has it.

Samples are those of the dataset `cns_bench`, whose `meta` says on which path they lie. Severities are the scales 0,
0.5, 1, 1.5, 2 and 2.5; there is nothing between them.

Source: CNS-Bench, ICCV 2025, https://arxiv.org/abs/2507.17651. Takes no random words.
"""

from functools import lru_cache
from pathlib import Path
from typing import Annotated

from pydantic import Field

from shiftbench.base.errors import DataError, ParamsError, RangeError
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.plugins.datasets._pictures import read_array
from shiftbench.plugins.shifts import _levels
from shiftbench.systems.cns_bench.datasets import _cns

FIELD = None
LEVELS: dict[int, float] = {}
RANGE = (0.0, _cns.SCALES[-1])


def apply(
    value: Sample,
    severity: float,
    rng: RandomStream,
    *,
    path: Annotated[str, Field(description="folder of the data set, with `annotations_cns.json`")] = "",
) -> Sample:
    """The sample of the same path at a scale.

    Args:
        value: of `cns_bench`, at scale 0.
        severity: one of the six scales.
        rng: not used.
        path: the folder of `annotations_cns.json`.

    Raises:
        RangeError: no such scale.
        ParamsError: no folder is given.
        DataError: no field `image`, the sample is of another dataset, or the image is missing or broken.
    """
    _levels.check(__name__, severity, RANGE)
    if "image" not in value.fields:
        raise DataError("no field 'image', which the shift 'cns_scale' changes")
    if severity == 0:
        return value.with_field("image", value.fields["image"].copy())
    if severity not in _cns.SCALES:
        raise RangeError(f"shift 'cns_scale': there are no images at {severity:g}; scales are {_cns.SCALES}")
    if not path:
        raise ParamsError("cns_scale: option path is missing; give the folder of the dataset")
    meta = value.fields.get("meta") or {}
    if not {"nuisance", "class", "seed"} <= meta.keys():
        raise DataError("the sample says no nuisance, class and seed; cns_scale shifts those of cns_bench")
    folder = Path(path).expanduser()
    images = _paths(folder, meta["nuisance"]).get((meta["class"], meta["seed"]), {})
    if severity not in images:
        raise DataError(f"{folder} lists no image of this path at scale {severity:g}")
    pixels = read_array(folder / images[severity].file, value.key)
    return value.with_field("image", pixels).with_field("meta", {**meta, "scale": float(severity)})


@lru_cache(maxsize=4)
def _paths(folder: Path, nuisance: str) -> dict[tuple[int, int], dict[float, _cns.Image]]:
    return _cns.read(folder).paths(nuisance)
