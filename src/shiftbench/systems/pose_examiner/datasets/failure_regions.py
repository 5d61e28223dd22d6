"""Poses drawn from the regions that searchers found (`trainers/_pose_search.py`), or as many from the prior.

    datasets:
      net_failures: {use: failure_regions, model: heatmap_net, trainer: examiner, searchers: [0, 1, 2]}
      prior_poses: {use: failure_regions, searchers: [0, 1, 2]}

Each searcher in `searchers` gives `train` and `test` poses (in the paper 500 each), uniform in its box, which is
widened by 0.2 rad on each side first where it is narrower than 0.08 rad on average (`widen`), as for fine-tuning in
the paper. Without a `trainer` the poses are of the prior. They stand on pieces of photos, in random colours, turned a
little; with `plain`, on white, as the search sees them. With `worst` there is one pose of each searcher instead, that
of the largest error among those that the search measured. Samples are grouped and resampled by searcher; `meta` has
the angles in degrees.

Source: Liu, Kortylewski and Yuille 2023, PoseExaminer, arXiv:2303.07337, and its code (qihao067/PoseExaminer,
`train_advTraining.py`); bodies as in `capsule_bodies`.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base import refs
from shiftbench.base.refs import Ref
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.plugins.datasets import capsule_bodies
from shiftbench.plugins.trainers._regions import Limits, Region
from shiftbench.systems.pose_examiner.datasets import _examined

TASK = "keypoints"
CLASSES = capsule_bodies.CLASSES
NATIVE = ("train", "test")
SOURCES = capsule_bodies.SOURCES
LICENCE, CITATION = capsule_bodies.LICENCE, capsule_bodies.CITATION
REDISTRIBUTE = True
IN_ORDER = True
NARROW, WIDER = 0.08, 0.2
"""Radians: the mean side of a box that is widened, and by how much on each side."""


class Options(capsule_bodies.Options):
    train: int = Field(20, ge=0, description="training poses of each searcher")
    test: int = Field(20, ge=0, description="test poses of each searcher")
    of: str = Field("capsule_bodies", description="data set of the searched models")
    model: str = Field("heatmap_net", description="model whose failures are shown")
    trainer: str = Field("", description="trainer that searched for the failures; empty: poses of the prior")
    searchers: list[int] = Field(list(range(10)), description="searchers, by their training seeds")
    widen: bool = Field(True, description="widen a narrow region by 0.2 rad on each side")
    plain: bool = Field(
        False, description="show bodies on white, as the search does; false: on photos, in random colours"
    )
    worst: bool = Field(False, description="only the pose of each searcher with the largest measured error")


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The checkpoints of the searchers."""
    if not params["trainer"]:
        return []
    model = params["of"], params["model"], params["trainer"]
    return [refs.checkpoint(*model, seed) for seed in params["searchers"]]


def samples(
    split: str, sources: dict[str, Path], params: dict[str, Any], inputs: Mapping[Ref, Path] = MappingProxyType({})
) -> Iterator[Sample]:
    """Yield `train` or `test`: `image`, `poses`, and `meta` with the searcher and the angles.

    Raises:
        ParamsError: an option of the pictures is out of range.
    """
    capsule_bodies.check(params)
    name = params.get("name", "failure_regions")
    regions = {int(ref.name.rpartition("-s")[2]): inputs[ref] for ref in needs(params)}
    for searcher in sorted(params["searchers"]):
        words = RandomStream(0, "poses", "failure_regions", f"{name}/{split}/{searcher}")
        poses = _poses(words, params[split], regions.get(searcher), params)
        for number, pose in enumerate(poses):
            key = f"{name}/{split}/{searcher:03d}_{number:06d}"
            picture = _picture(key, pose, split, sources, params)
            yield picture.with_field("meta", _meta(searcher, pose))


def _poses(words: RandomStream, count: int, region_file: Path | None, params: Mapping[str, Any]) -> NDArray[np.float64]:
    if region_file is None:
        return np.array([_examined.from_prior(words) for _ in range(count)])
    limits = Limits(_examined.LOW, _examined.HIGH)
    search = safetensors.numpy.load_file(region_file)
    if params["worst"]:
        worst: NDArray[np.float64] = search["samples"][[int(search["errors"].argmax())]]
        return worst
    region = Region(search["centre"], search["low"], search["high"])
    if params["widen"] and (region.high - region.low).mean() < NARROW:
        region = region.widened(WIDER, limits)
    return region.drawn(words, count)


def _picture(
    key: str, pose: NDArray[np.float64], split: str, sources: dict[str, Path], params: dict[str, Any]
) -> Sample:
    if params["plain"]:
        return _examined.plain(key, pose, (params["height"], params["width"]), params["share"])
    return _examined.on_photo(key, pose, split, sources, params)


def _meta(searcher: int, pose: NDArray[np.float64]) -> dict[str, Any]:
    cluster = f"searcher_{searcher:03d}"
    degrees = [round(float(angle), 3) for angle in pose / _examined.DEGREE]
    return {"group": None, "cluster": cluster, "angles": degrees}
