"""Logs of trainers about the tasks that they learned from.

- `task_evaluations`: inner loops of a training, of candidates that were evaluated and not learned from, too;
- `selected_correlation`, group `selected_second_half`: Pearson's correlation of predicted and realised risk within the
  chosen batch, in the second half of training; a unit is an entry of the log, the mean over `every` iterations. Weights
  without a risk model have none;
- `score_std`, group `selected_second_half`: the standard deviation of the risk model's answers, which goes to 0 where
  the latent variable collapses.

Source: MPTS, arXiv 2501.11039; the released training loop prints the same correlation (thu-rllab/MPTS,
sinusoid/trainer_maml.py).
"""

from collections.abc import Iterator, Mapping
from typing import Any

from shiftbench.base.refs import Ref
from shiftbench.data import training_log
from shiftbench.plugins.contracts import Measurement, Observation

GROUP = "selected_second_half"


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """Weights of the benchmark."""
    return [Ref("checkpoints", name) for name in params["checkpoints"]]


def measure(job: Measurement) -> Iterator[Observation]:
    """Yield the observations of each weights' log."""
    dataset = job.params["dataset"]
    for name in job.params["checkpoints"]:
        log = training_log.of(job.inputs[Ref("checkpoints", name)])
        ((last, evaluations),) = log["task_evaluations"]
        yield Observation("task_evaluations", "run", evaluations, name, dataset, "train")
        for metric in ("selected_correlation", "score_std"):
            for step, value in log.get(metric, []):
                if 2 * step > last:
                    yield Observation(metric, f"{step:09d}", value, name, dataset, "train", group=GROUP)
