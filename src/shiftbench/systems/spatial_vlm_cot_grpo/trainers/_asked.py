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
    """Return prompts with what is to be said to each, by their length; each text ends where it is longer than a word.

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
    found = []
    for places in model.of_one_length(samples, options):
        rows = [model.encoded(texts[at], options) for at in places]
        rows = [row if len(row) == 1 else [*row, model.end(options)] for row in rows]
        most = max(map(len, rows))
        labels = torch.tensor([row + [IGNORED] * (most - len(row)) for row in rows])
        some = [samples[at] for at in places]
        found.append(
            Asked(
                torch.from_numpy(model.prepare_batch(some, options)),
                labels.where(labels != IGNORED, model.end(options)),
                labels,
                [one.fields["meta"]["answer"] for one in some],
            )
        )
    return found


def drawn(sets: Sequence[Asked], count: int, rng: RandomStream) -> tuple[Asked, torch.Tensor]:
    """Return one of the sets, each as often as it has questions, and rows of it, with repetition."""
    ends = np.cumsum([len(one.prompts) for one in sets])
    words = rng.raw(count + 1)
    own = sets[int(np.searchsorted(ends, int(words[0] % np.uint64(ends[-1])), side="right"))]
    rows = words[1:] % np.uint64(len(own.prompts))
    return own, torch.from_numpy(rows.astype(np.int64))


@torch.no_grad()
def accuracy(net: torch.nn.Module, sets: Sequence[Asked]) -> float:
    """Return the share of questions whose most likely first word is the right one; NaN where there is none."""
    device = next(net.parameters()).device
    right = [
        net.begin(one.prompts.to(device))[0].argmax(-1).cpu() == one.responses[:, 0]  # type: ignore[operator]
        for one in sets
    ]
    return float(torch.cat(right).double().mean()) if right else float("nan")
