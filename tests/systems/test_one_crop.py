"""A picture is cut once: what a dataset stored as a square of some side, no model of the benchmark cuts again."""

from collections.abc import Iterator

import numpy as np
import pytest

from makers.repositories import HOME
from shiftbench.contracts import training_jobs
from shiftbench.plugins.models import _pretrained
from shiftbench.workflow.plan import cards, configurations
from shiftbench.workflow.plan.params import Params


def shown(params: Params) -> Iterator[tuple[str, str]]:
    """Yield each dataset with each model that sees it in some benchmark, whether clean or shifted to."""
    for benchmark in params.benchmarks.values():
        domains = {
            params.options("shifts", name).get("dataset")
            for name in benchmark.shifts
            if name in params.shifts and params.use("shifts", name) == "domain"
        }
        for dataset in {benchmark.dataset, *domains} - {None, ""}:
            for weights in benchmark.models:
                yield from ((dataset, model) for model in weights.architectures)


def cut_twice(params: Params) -> list[str]:
    """Return which stored squares which models resize and cut again."""
    found = []
    for dataset, model in sorted(set(shown(params))):
        side = params.options("datasets", dataset).get("side") or 0
        options = params.options("models", model)
        if side and "crop" in options and int(options["size"] / options["crop"]) != side:
            found.append(f"{model} cuts the {side} px of {dataset} again")
    return found


@pytest.mark.parametrize("slug", configurations.built_slugs())
def test_no_model_cuts_a_stored_square_again(slug: str) -> None:
    for scale in cards.load(slug).params:
        assert cut_twice(configurations.load(f"systems/{slug}/{scale}", HOME)) == []


def test_a_second_cut_is_found() -> None:
    params = configurations.load("systems/shape-bias-robust-cnns/full", HOME)
    entry = params.models["alexnet"].model_copy(update={"crop": 0.875})
    again = params.model_copy(update={"models": {**params.models, "alexnet": entry}})
    assert cut_twice(again) == [
        "alexnet cuts the 224 px of imagenet again",
        "alexnet cuts the 224 px of stylized again",
    ]


@pytest.mark.parametrize("model", ["alexnet", "googlenet_r", "resnet50"])
def test_imagenet_reaches_the_nets_as_it_is_stored_and_stimuli_are_resized(model: str) -> None:
    params = configurations.load("systems/shape-bias-robust-cnns/full", HOME)
    (sample,) = training_jobs.pictures(1, size=224, colour=True)
    stored = sample.fields["image"].transpose(2, 0, 1)
    seen = _pretrained.prepare_batch([sample], params.options("models", model))[0]
    assert np.array_equal(seen, stored)
    cue = _pretrained.prepare_batch([sample], params.options("models", f"{model}_cue"))[0]
    assert cue.shape == seen.shape
    assert not np.array_equal(cue, stored)
