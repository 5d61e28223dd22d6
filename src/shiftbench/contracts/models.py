"""The contract of the models family; a new file in models/ is tested by existing."""

import functools
import inspect
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from shiftbench.base import registry
from shiftbench.base.refs import Ref
from shiftbench.base.registry import defaults
from shiftbench.contracts import fake_open_clip, names, training_jobs
from shiftbench.evaluation import nets

NAMES = names("models")
BUILT = [name for name in NAMES if hasattr(registry.find("models", name), "build")]
NETS = [name for name in BUILT if not hasattr(registry.find("models", name), "predictor")]
"""Those whose answers are logits; others bring a predictor of their own."""
BOXES = [name for name in NAMES if name not in BUILT]
BY_NET = pytest.mark.parametrize("name", NETS, scope="module")
"""All tests of a net in a row, so that one of pytest's workers builds it, once."""
CLASSES = 7
CONTEXT = {"dataset": "tiny", "model": "any", "seed": 0}


def small(model: ModuleType) -> dict[str, Any]:
    """Return the model's options, on images as small as it allows."""
    return defaults(model) | ({"size": 64} if defaults(model).get("size", 0) > 64 else {})


def built(name: str) -> tuple[ModuleType, torch.nn.Module, dict[str, Any]]:
    if "efficientnet" in name or name == "timm":
        pytest.importorskip("timm")
    if name == "open_clip":
        fake_open_clip.install()
    model = registry.find("models", name)
    return model, net_of(name), small(model)


@functools.lru_cache(maxsize=1)
def net_of(name: str) -> torch.nn.Module:
    model = registry.find("models", name)
    torch.manual_seed(0)
    net: torch.nn.Module = model.build(small(model), CLASSES).eval()
    return net


@pytest.mark.parametrize("name", NAMES)
def test_file_says_what_it_is(name: str) -> None:
    model = registry.find("models", name)
    assert model.__doc__
    assert "Source" in model.__doc__
    assert isinstance(defaults(model), dict)
    assert model.TASK in registry.names("tasks")
    assert hasattr(model, "build") != hasattr(model, "load")
    needs = model.needs(defaults(model) | CONTEXT) if hasattr(model, "needs") else []
    assert all(isinstance(ref, Ref) for ref in needs)


@pytest.mark.parametrize("name", BOXES)
def test_black_box_is_loaded_with_the_same_arguments(name: str) -> None:
    parameters = list(inspect.signature(registry.find("models", name).load).parameters)
    assert parameters == ["weights", "params", "classes", "device", "inputs"]


@BY_NET
def test_features_then_head_are_the_logits(name: str) -> None:
    model, net, params = built(name)
    for colour in (False, True):
        samples = training_jobs.pictures(3, size=40, colour=colour)
        batch = nets.to_inputs(nets.prepare(model, samples, params), torch.device("cpu"))
        with torch.inference_mode():
            features, logits = nets.both(net, batch)
            direct = net(batch)
            assert torch.allclose(net.features(batch), features, atol=1e-4)
            assert torch.allclose(net.head(features), logits, atol=1e-4)
        assert features.ndim == 2
        assert logits.shape == (3, CLASSES)
        assert torch.equal(direct, logits)
        assert net.head.weight.shape == (CLASSES, features.shape[1])


@BY_NET
def test_answers_do_not_depend_on_the_batch(name: str) -> None:
    model, net, params = built(name)
    predictor = nets.TorchPredictor(net, model, params, "cpu")
    samples = training_jobs.pictures(3, size=40)
    whole = predictor(samples)["logits"]
    single = np.concatenate([predictor([sample])["logits"] for sample in samples])
    assert np.allclose(whole, single, atol=1e-4)
    assert whole.dtype == np.float32


@BY_NET
def test_images_of_several_sizes_make_one_batch(name: str) -> None:
    model = registry.find("models", name)
    params = small(model)
    mixed = [*training_jobs.pictures(1, size=28), *training_jobs.pictures(1, size=90, colour=True)]
    batch = nets.prepare(model, mixed, params)
    assert len(batch) == 2
    parts = [batch.dtype[name].base for name in batch.dtype.names or ()] or [batch.dtype]
    assert all(part in (np.uint8, np.float32) for part in parts)


@BY_NET
def test_weights_survive_their_file(name: str, tmp_path: Any) -> None:
    _, net, _ = built(name)
    state = {key: value.clone() for key, value in net.state_dict().items()}
    file = training_jobs.write(tmp_path / "w.safetensors", state)
    nets.load_into(net, nets.read_state(file), file)
    assert nets.state_bytes(net.state_dict()) == nets.state_bytes(state)
