"""Returns of meta-RL as the official code measures them, in the file `metatesting_results.csv` of its meta_testing.py.

    analyses:
      released_returns: {path: data/own/mpts/metatesting_results.csv}

Each line holds environment, framework (1 DRM, 2 uniform, 3 group DRO, 4 MPTS), iteration, seeds, and per seed the mean
return, the CVaR at 0.95, 0.9, 0.7, 0.5, 0.3 and 0.1, and the worst return, over 100 tasks after adaptation. They become
the metrics `mean_return`, `cvar90_return` and `worst_return` of the dataset that is named after the environment
(`half_cheetah_vel`), by weights `maml_policy-maml_trpo_NAME`; a unit is an iteration, of the last ten that are tested.

Source: thu-rllab/MPTS, MetaRL/meta_testing.py. The code needs MuJoCo and is not run here.
"""

import ast
import csv
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from shiftbench.base.errors import DataError
from shiftbench.base.refs import Ref
from shiftbench.plugins import declare
from shiftbench.plugins.contracts import Measurement, Observation

TRAINERS = {"1": "maml_trpo_drm", "2": "maml_trpo_erm", "3": "maml_trpo_gdrm", "4": "maml_trpo_mpts"}
DATASETS = {
    "HalfCheetahMassVel-v1": "half_cheetah_mass_vel",
    "HalfCheetahVel-v0": "half_cheetah_vel",
    "Walker2dMassVel-v1": "walker2d_mass_vel",
    "Walker2dVel-v1": "walker2d_vel",
    "ReacherPos-v0": "reacher_pos",
}
LEVELS = (0.95, 0.9, 0.7, 0.5, 0.3, 0.1)
COLUMNS = 7


class Options(declare.Options):
    path: str = Field("", description="file `metatesting_results.csv` of the official code")


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """No inputs: the user supplies the file, and its sha256 pins it."""
    return []


def measure(job: Measurement) -> Iterator[Observation]:
    """Yield the returns of each line and seed.

    Raises:
        DataError: the file is missing, or a line is not as the official code writes it.
    """
    file = Path(job.params["path"])
    if not file.is_file():
        raise DataError(f"{file} does not exist; bring what MetaRL/meta_testing.py of thu-rllab/MPTS writes")
    with file.open(encoding="utf-8", newline="") as stream:
        for number, line in enumerate(csv.reader(stream), 1):
            yield from _line(line, f"{file}, line {number}")


def _line(line: list[str], place: str) -> Iterator[Observation]:
    if len(line) != COLUMNS or line[0] not in DATASETS or line[1] not in TRAINERS:
        raise DataError(
            f"{place}: {line[:3]} and {len(line)} columns; expected an environment ({', '.join(DATASETS)}), "
            f"a framework 1 to 4 and {COLUMNS} columns"
        )
    dataset, trainer, iteration = DATASETS[line[0]], TRAINERS[line[1]], int(line[2])
    seeds, means, tails, worst = (_numbers(cell, place) for cell in line[3:])
    if not len(seeds) == len(means) == len(tails) == len(worst):
        raise DataError(f"{place}: {len(seeds)} seeds and other numbers of returns; expected as many")
    for seed, mean, tail, least in zip(seeds, means, tails, worst, strict=True):
        if len(tail) != len(LEVELS):
            raise DataError(f"{place}: {len(tail)} levels of CVaR; expected {LEVELS}")
        values = {"mean_return": mean, "cvar90_return": tail[LEVELS.index(0.9)], "worst_return": least}
        model = f"{dataset}/maml_policy-{trainer}-s{seed}"
        for metric, value in values.items():
            yield Observation(metric, f"{iteration:06d}", value, model, dataset)


def _numbers(cell: str, place: str) -> list[Any]:
    """A list as Python printed it; newer NumPy writes its numbers as `np.float32(1.5)`."""
    plain = re.sub(r"np\.float(?:32|64)\(([^()]*)\)", r"\1", cell)
    try:
        numbers = ast.literal_eval(plain)
    except (ValueError, SyntaxError):
        numbers = None
    if not isinstance(numbers, list):
        raise DataError(f"{place}: {cell[:40]!r} is no list of numbers")
    return numbers
