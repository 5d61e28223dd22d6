"""Questions to learn from, prepared once: prompts of one length together, and what is known of their things."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from shiftbench.base.errors import DataError, ModelError
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.plugins.contracts import TrainJob

IGNORED = -100
"""The label of what is not learnt: cross_entropy passes it over."""


class Asked(NamedTuple):
    """Questions of one length.

    Attributes:
        prompts: int16 (n, 3072 + p).
        responses: int64 (n, t), filled up with the end's token.
        labels: the same, IGNORED behind what is to be said.
        answers: text (n,), the reference.
    """

    prompts: torch.Tensor
    responses: torch.Tensor
    labels: torch.Tensor
    answers: list[str]


def prepared(job: TrainJob, samples: Sequence[Sample], texts: Sequence[str]) -> list[Asked]:
    """Prompts with their responses, by length of the prompts; a response of several words has an end.

    Raises:
        ModelError: the model reads no pictures with words.
        DataError: no sample.
    """
    model, options = job.plugin, job.model_params
    if not hasattr(model, "PATCHES"):
        raise ModelError(
            f"{job.trainer} trains models that read pictures and words (patch_decoder); {job.model!r} is none"
        )
    if not samples:
        raise DataError(f"{job.trainer}: there is no question to learn from")
    sets = []
    for places in model.of_one_length(samples, options):
        rows = [model.encoded(texts[index], options) for index in places]
        rows = [row if len(row) == 1 else [*row, model.end(options)] for row in rows]
        most = max(map(len, rows))
        labels = torch.tensor([row + [IGNORED] * (most - len(row)) for row in rows])
        batch = [samples[index] for index in places]
        sets.append(
            Asked(
                torch.from_numpy(model.prepare_batch(batch, options)),
                labels.where(labels != IGNORED, model.end(options)),
                labels,
                [one.fields["meta"]["answer"] for one in batch],
            )
        )
    return sets


def random_batch(sets: Sequence[Asked], count: int, rng: RandomStream) -> tuple[Asked, torch.Tensor]:
    """One of the sets, each as often as it has questions, and rows of it, with repetition."""
    ends = np.cumsum([len(asked_set.prompts) for asked_set in sets])
    words = rng.raw(count + 1)
    chosen = sets[int(np.searchsorted(ends, int(words[0] % np.uint64(ends[-1])), side="right"))]
    rows = words[1:] % np.uint64(len(chosen.prompts))
    return chosen, torch.from_numpy(rows.astype(np.int64))


@torch.no_grad()
def accuracy(model: torch.nn.Module, sets: Sequence[Asked]) -> float:
    """The share of questions whose most likely first word is the right one; NaN where there is none."""
    device = next(model.parameters()).device
    right = [
        model.begin(asked_set.prompts.to(device))[0].argmax(-1).cpu() == asked_set.responses[:, 0]  # type: ignore[operator]
        for asked_set in sets
    ]
    return float(torch.cat(right).double().mean()) if right else float("nan")
