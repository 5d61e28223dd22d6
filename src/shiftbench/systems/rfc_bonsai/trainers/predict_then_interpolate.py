"""Predict then interpolate (PI): models of one environment each split it into right and wrong; the worst set counts.

1. Of each environment a model by empirical risk minimisation, `first_steps` on nine tenths of it.
2. A model splits an environment into what it has right and what it has wrong: `split: own` as in RFC's script,
   `split: crossed` as PI is published (from general knowledge).
3. A fresh model by the risk of the worst of all these sets, `steps`; as `worst_group` of `environments`.

Source: Bao, Chang and Barzilay, "Predict then Interpolate", ICML 2021, arXiv:2105.12628; TjuJianyu/RFC,
coloredmnist/PI.py.
"""

import dataclasses
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base import rng
from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.rng import RandomStream
from shiftbench.evaluation import nets
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.trainers import _environments, _steps, environments
from shiftbench.plugins.trainers._environments import Environments

TASKS = ("classification",)
SPLITS = ("own", "crossed")
HELD = 0.1
needs = _steps.needs


class Options(environments.Options):
    penalty: Literal["worst_group", "group_dro"] = Field(
        "worst_group", description="how the risks of the groups are weighed"
    )
    split: Literal["own", "crossed"] = Field(
        "own", description="split an environment by its own model, or by each other one's"
    )
    first_steps: int = Field(51, ge=1, description="training steps of a model of one environment")
    steps: _steps.Steps = 701


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """The state dict of the last model; logs the size and the last risk of each set.

    Raises:
        ParamsError: no such way to split.
    """
    if job.params["split"] not in SPLITS:
        hint = suggest(job.params["split"], SPLITS)
        raise ParamsError(f"predict_then_interpolate: split is {job.params['split']!r}; {hint}")
    envs = _environments.read(job)
    first = {name: _first(job, envs, name) for name in envs.rows}
    sets = {}
    for name, rows in envs.rows.items():
        for by in first:
            if (by == name) != (job.params["split"] == "own"):
                continue
            right = _right(job, envs, rows, first[by])
            sets[f"{name}_by_{by}_right"], sets[f"{name}_by_{by}_wrong"] = rows[right], rows[~right]
    for name, rows in sets.items():
        job.log(0, f"size_{name}", len(rows))
    return environments.fitted(job, _fresh(job, "last"), envs.regrouped(sets))


def _first(job: TrainJob, envs: Environments, name: str) -> dict[str, torch.Tensor]:
    rows = envs.rows[name]
    order = RandomStream(job.seed, job.trainer, job.dataset, f"held/{name}").choice(len(rows))
    train_rows = rows[np.asarray(order, dtype=np.int64)[int(len(rows) * HELD) :]]
    options = {**job.params, "penalty": "none", "risks": "pooled", "steps": job.params["first_steps"]}
    first_job = dataclasses.replace(job, params={**options, "keep": "last"}, rows=[])
    return environments.fitted(first_job, _fresh(job, name), envs.regrouped({name: train_rows}), name)


def _fresh(job: TrainJob, purpose: str) -> torch.nn.Module:
    """A model with weights of its own for each purpose."""
    torch.manual_seed(rng.derive(job.seed, job.model, "init", purpose))
    model: torch.nn.Module = job.plugin.build(job.model_params, len(job.classes))
    return model


def _right(
    job: TrainJob, envs: Environments, rows: NDArray[np.int64], state: dict[str, torch.Tensor]
) -> NDArray[np.bool_]:
    model = _fresh(job, "last")
    nets.load_into(model, state, job.trainer)
    nets.place(model, nets.pick_device(job.device))
    is_right: NDArray[np.bool_] = (
        _environments.answers(model, envs, rows) == envs.labels[torch.from_numpy(rows)]
    ).numpy()
    return is_right
