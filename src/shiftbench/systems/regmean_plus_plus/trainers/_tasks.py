"""Tasks of a `united` dataset: whose sample it is, and which logits are its head.

A sample's `meta` says both: `group` is the task, `head` the range of its labels (datasets/united.py).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import torch

from shiftbench.base.errors import DataError
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets
from shiftbench.plugins.contracts import TrainJob

Accuracies = Callable[[torch.nn.Module], dict[str, float]]


def by_task(samples: Iterable[Sample]) -> dict[str, list[Sample]]:
    """The samples of each task, in their order."""
    groups: dict[str, list[Sample]] = {}
    for sample in samples:
        groups.setdefault(_meta(sample)["group"], []).append(sample)
    return groups


def head(sample: Sample) -> tuple[int, int]:
    """The first label of a sample's task, and the one after the last."""
    first, _, last = _meta(sample)["head"].partition(":")
    return int(first), int(last)


def _meta(sample: Sample) -> Mapping[str, str]:
    meta: Mapping[str, str] = sample.fields.get("meta") or {}
    if not {"group", "head"} <= meta.keys():
        raise DataError(f"{sample.key} is of no task; train on a dataset `united`")
    return meta


def different_tasks(samples: Iterable[Sample], classes: int) -> torch.Tensor:
    """Whether two classes are of different tasks, bool (classes, classes); a class of no task is of its own."""
    owner = torch.arange(classes) + classes
    for first, last in {head(sample) for sample in samples}:
        owner[first:last] = first
    return owner[:, None] != owner[None]


def within_task(logits: torch.Tensor, labels: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """Logits (n, classes) of which those of other tasks than the label's are -inf."""
    return logits.masked_fill(others.to(logits.device)[labels], -torch.inf)


def accuracies(job: TrainJob, samples: Sequence[Sample]) -> Accuracies:
    """Function: model -> its accuracy on each task, with predictions restricted to the task's classes."""
    prepared = {
        task: (
            torch.from_numpy(nets.prepare(job.plugin, task_samples, job.model_params)),
            torch.tensor([sample.fields["label"] for sample in task_samples]),
            head(task_samples[0]),
        )
        for task, task_samples in by_task(samples).items()
    }

    def measure(model: torch.nn.Module) -> dict[str, float]:
        model.eval()
        device = next(model.parameters()).device
        accuracy_of_task = {}
        with torch.inference_mode():
            for task, (inputs, labels, (first, last)) in prepared.items():
                logits = torch.cat([model(part.to(device)).cpu() for part in inputs.split(256)])
                right = logits[:, first:last].argmax(1) + first == labels
                accuracy_of_task[task] = float(right.double().mean())
        return accuracy_of_task

    return measure


def mean(values: Mapping[str, float]) -> float:
    """The mean over tasks; NaN where there is none."""
    return sum(values.values()) / len(values) if values else float("nan")
