"""Logistic regression on TF-IDF, learned from a random part of the training texts, drawn again for each training seed.

Source: `tfidf_logreg`, whose solution depends on no seed: so that seeds differ as they do where each draws a split of
its own (O'Brien et al. 2024, arXiv:2402.08225, report four seeds).
"""

from dataclasses import replace
from typing import Any

from pydantic import Field

from shiftbench.base import registry, rng
from shiftbench.base.errors import ParamsError
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.plugins import declare
from shiftbench.plugins.contracts import TrainJob

TASKS = ("text_classification",)


class Options(declare.Options):
    c: float = Field(5.0, gt=0, description="inverse penalty")
    share: float = Field(0.8, gt=0, le=1, description="share of the training texts that a seed learns from")


def uses(params: dict[str, Any]) -> list[tuple[str, str]]:
    """The trainer whose code decides, too."""
    return [("trainers", "tfidf_logreg")]


def train(job: TrainJob) -> dict[str, Any]:
    """The state dict of `tfidf_logreg`, trained on the part.

    Raises:
        ParamsError: the share is none.
    """
    share = job.params["share"]
    if not 0 < share <= 1:
        raise ParamsError(f"tfidf_logreg_part: share is {share}; expected above 0, at most 1")

    def samples(split: str) -> list[Sample]:
        every = job.samples(split)
        if split != "train":
            return every
        stream_rng = RandomStream(rng.derive(job.seed, "part"), "part", job.dataset, "train")
        size = max(1, round(share * len(every)))
        return [every[at] for at in sorted(stream_rng.choice(len(every), size).tolist())]

    state: dict[str, Any] = registry.find("trainers", "tfidf_logreg").train(replace(job, samples=samples, folder=None))
    return state
