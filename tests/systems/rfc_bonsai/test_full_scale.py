"""Camelyon17 at full scale, rehearsed: the card's own options, few steps, a small net with batch normalisation."""

from pathlib import Path
from typing import Any

import pytest
import torch

from makers.miniature_originals import camelyon17 as miniature
from shiftbench.base import refs, registry
from shiftbench.base.refs import Ref
from shiftbench.base.registry import defaults
from shiftbench.contracts import training_jobs
from shiftbench.evaluation import nets
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.datasets import camelyon17
from shiftbench.workflow.plan import cards
from shiftbench.workflow.stages.train import train_weights

NET = "convnet"
ARMS = (
    *("camelyon_0", "camelyon_1", "camelyon_rich", "camelyon_erm_cf", "camelyon_vrex_cf"),
    *("camelyon_irmv1_cf", "camelyon_clove_cf", "camelyon_vrex_rfc", "camelyon_irmv1_rfc"),
)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, torch.Tensor]]:
    """Return the state of each arm, trained in the card's order on a miniature of the official layout."""
    folder = tmp_path_factory.mktemp("camelyon")
    params = {**defaults(camelyon17), **miniature(folder)[1]}
    splits = {split: list(camelyon17.samples(split, {}, params)) for split in ("train", "val")}
    options = cards.load("rfc-bonsai").params["full"]["trainers"]
    found: dict[str, dict[str, torch.Tensor]] = {}
    inputs: dict[Ref, Path] = {}
    for name in ARMS:
        state, _ = train_weights(small(name, dict(options[name]), inputs, splits))
        file = training_jobs.write(folder / f"{name}.safetensors", state, camelyon17.CLASSES)
        inputs[refs.checkpoint("camelyon17", NET, name, 0)] = file
        found[name] = state
    return found


def small(name: str, own: dict[str, Any], inputs: dict[Ref, Path], splits: dict[str, Any]) -> TrainJob:
    """Return the job of an arm with six steps and batches of four."""
    use = own.pop("use")
    plugin = registry.find("trainers", use)
    asked = {**defaults(plugin), **own, "steps": 6, "batch_size": 4}
    asked |= {"every": 2} if asked.get("every") else {}
    context = {"dataset": "camelyon17", "model": NET, "seed": 0}
    needed = [ref for ref in plugin.needs({**asked, **context}) if ref.kind == "checkpoints"]
    sgd = {"use": "sgd", "options": {"momentum": 0.9, "nesterov": False, "head": 1.0, "decay_all": True}}
    model = registry.find("models", NET)
    return TrainJob(
        "camelyon17", NET, use, 0, asked, {**defaults(model), "width": 4}, camelyon17.CLASSES,
        {ref: inputs[ref] for ref in needed}, splits.__getitem__, sgd,
    )  # fmt: skip


def test_the_chain_ends_in_weights_that_differ(weights: dict[str, dict[str, torch.Tensor]]) -> None:
    heads = {state["head.weight"].numpy().tobytes() for state in weights.values()}
    assert len(heads) == len(ARMS)
    model = registry.find("models", NET)
    for name, state in weights.items():
        nets.load_into(model.build({**defaults(model), "width": 4}, 2), state, name)


def test_what_is_frozen_keeps_its_running_statistics(weights: dict[str, dict[str, torch.Tensor]]) -> None:
    trunk = {name: one for name, one in weights["camelyon_rich"].items() if not name.startswith("head.")}
    assert any("running_mean" in name for name in trunk)
    for arm in ARMS[3:]:
        same = all(torch.equal(weights[arm][name], tensor) for name, tensor in trunk.items())
        assert same == arm.endswith("_cf"), arm


def test_constants_of_the_released_scripts() -> None:
    """Facts of scripts/camelyon17, configs and coloredmnist/*.sh, as the card's full scale has them."""
    full = cards.load("rfc-bonsai").params["full"]
    own = full["trainers"]
    first = own["camelyon_0"]
    assert (first["lr"], first["weight_decay"], first["batch_size"]) == (0.001, 0.01, 32)
    assert first["steps"] == round(10 * 302_436 / 32)
    assert own["camelyon_rich"]["steps"] == int(20 * 302_436 / 32)
    assert own["camelyon_rich"]["weight_decay"] == 1e-6
    assert own["camelyon_1"]["step_size"] == 0.01
    assert (own["camelyon_clove_cf"]["kernel"], own["camelyon_vrex_cf"]["environments_per_batch"]) == (0.1, 2)
    assert full["models"]["two_channel_mlp"]["width"] == 390
    steps = {name: one["steps"] for name, one in own.items() if not name.startswith("camelyon")}
    assert (steps["round_0"], steps["round_1"], steps["rich"], steps["pi"]) == (51, 501, 501, 701)
    assert (steps["inverse_0"], steps["inverse_1"], steps["inverse_rich"]) == (151, 401, 501)
    assert (steps["vrex_cf"], steps["irmv1_cf"], steps["irmv1_rfc"]) == (1001, 3001, 3001)
    assert (steps["inverse_vrex_cf"], steps["inverse_irmv1_cf"]) == (2001, 10001)
    merged = {**defaults(registry.find("trainers", "vrex")), **own["vrex_cf"]}
    assert (merged["lr"], merged["l2"], own["inverse_0"]["l2"]) == (0.0005, 0.0011, 0.0001)
    assert merged["weight"] in (1e3, 5e3, 1e4, 5e4, 1e5)


def test_arms_of_a_method_have_the_same_budget() -> None:
    """Embedded: random, warmed, rich and frozen starts take the same steps, images and weight of the penalty."""
    own = cards.load("rfc-bonsai").params["embedded"]["trainers"]
    for method in ("vrex", "irmv1", "sd", "fishr", "erm"):
        arms = {name: one for name, one in own.items() if name.rpartition("_")[0] == method}
        arms.pop("erm_grey", None)
        assert len(arms) >= 2
        budgets = {
            (one["use"], one["steps"], one["per_environment"], one.get("weight"), one.get("l2"))
            for one in arms.values()
        }
        assert len(budgets) == 1, method
    assert own["erm_grey"]["per_environment"] == 2 * own["erm_rand"]["per_environment"]
