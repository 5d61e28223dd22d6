"""The contract of the trainers family; a new file in trainers/ is tested by existing."""

from typing import Any

import pytest
import torch

from shiftbench.base import registry
from shiftbench.base.refs import Ref
from shiftbench.base.registry import defaults
from shiftbench.contracts import names, training_jobs
from shiftbench.evaluation import nets
from shiftbench.workflow.stages.train import train_weights

NAMES = names("trainers")
CONTEXT = {"dataset": "tiny", "model": "convnet", "seed": 0}
TASKS = registry.names("tasks")
ALONE = [name for name in NAMES if not hasattr(registry.find("trainers", name), "needs")]
"""Trainers that need nothing but the dataset's train and val shards."""
WRITING = ("sft", "table_logreg", "direct", "scratchpad", "adaptive", "scene_answers", "spatial_base")
"""Of them those of models that write or judge claims: tests of GRPO and of systems have their samples."""
MODELS = {
    "tfidf_logreg": "tfidf",
    "tfidf_logreg_part": "tfidf",
    "autoencoding": "autoencoder",
    "forgery": "forgery_net",
    "variational": "variational_autoencoder",
    "a2d": "modal_cnn",
    **dict.fromkeys(("examiner", "random_search", "cma_search"), "heatmap_net"),
}
"""Trainers of one model only."""


def job(name: str) -> Any:
    options = defaults(registry.find("trainers", name))
    short = {"epochs": 1} if "epochs" in options else {"steps": 3} if "steps" in options else {}
    return training_jobs.job(MODELS.get(name, "convnet"), name, **short)


@pytest.mark.parametrize("name", NAMES)
def test_file_says_what_it_is(name: str) -> None:
    trainer = registry.find("trainers", name)
    assert trainer.__doc__
    assert "Source" in trainer.__doc__
    assert isinstance(defaults(trainer), dict)
    assert callable(trainer.train)
    context = CONTEXT | {"model": MODELS.get(name, CONTEXT["model"])}
    needs = trainer.needs(defaults(trainer) | context) if hasattr(trainer, "needs") else []
    reads = name in ALONE or any(ref.kind == "shards" for ref in needs)
    assert set(getattr(trainer, "TASKS", () if reads else TASKS)).intersection(TASKS), "of no task"
    assert all(isinstance(ref, Ref) for ref in needs)
    assert len(set(needs)) == len(needs)


@pytest.mark.parametrize("name", [name for name in ALONE if name not in WRITING])
def test_the_same_job_gives_the_same_bytes_whatever_ran_before(name: str) -> None:
    first, _ = train_weights(job(name))
    torch.rand(7)
    second, _ = train_weights(job(name))
    assert nets.state_bytes(first) == nets.state_bytes(second)
    assert list(first) == sorted(first)
