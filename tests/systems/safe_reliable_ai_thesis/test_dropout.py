"""MC dropout at the last layer: what detector and method give is that of a net that drops features."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from shiftbench.base.errors import ModelError
from shiftbench.base.registry import defaults
from shiftbench.base.rng import RandomStream
from shiftbench.contracts import training_jobs
from shiftbench.evaluation import nets
from shiftbench.systems.safe_reliable_ai_thesis.detectors import _dropout, mc_dropout_variance
from shiftbench.systems.safe_reliable_ai_thesis.methods import mc_dropout
from shiftbench.systems.safe_reliable_ai_thesis.models import convnet_dropout

OPTIONS = {**defaults(convnet_dropout), "width": 4, "size": 14, "features": 12}


def net(rate: float = 0.5) -> nets.TorchPredictor:
    torch.manual_seed(0)
    made = convnet_dropout.build({**OPTIONS, "rate": rate}, 4)
    return nets.TorchPredictor(made, convnet_dropout, OPTIONS, "cpu")


def test_passes_are_those_of_torch_with_the_same_masks() -> None:
    predictor = net()
    samples = training_jobs.pictures(5)
    features = torch.from_numpy(predictor(samples)["features"]).double()
    head: Any = predictor.net.get_submodule("head").double()
    masks = RandomStream(0, "mc_dropout", "masks", "20").uniform((20, 12)) >= 0.5
    assert 0.4 < masks.mean() < 0.6
    by_torch = [F.softmax(head(features * torch.from_numpy(m) * 2), dim=1).detach() for m in masks]
    found = list(_dropout.shares(features.numpy(), head.weight.detach().numpy(), head.bias.detach().numpy(), 0.5, 20))
    assert np.allclose(found, torch.stack(by_torch).numpy(), atol=1e-12)


def test_the_method_is_the_mean_and_without_dropout_the_net_itself() -> None:
    samples = training_jobs.pictures(5)
    predictor = net()
    found = mc_dropout.wrap(predictor, defaults(mc_dropout), {})(samples)["logits"]
    shares = np.exp(found)
    assert np.allclose(shares.sum(axis=1), 1, atol=1e-5)
    plain = mc_dropout.wrap(predictor, {"rate": 0.0, "passes": 3}, {})(samples)["logits"]
    assert np.allclose(np.exp(plain), F.softmax(torch.from_numpy(predictor(samples)["logits"]), 1), atol=1e-6)
    assert not np.allclose(plain, found)
    with pytest.raises(ModelError, match="black box"):
        mc_dropout.wrap(lambda _: None, defaults(mc_dropout), {})


def test_training_drops_and_evaluation_does_not() -> None:
    model = net(rate=0.9).net
    batch = torch.randint(0, 256, (8, 1, 14, 14), dtype=torch.uint8)
    model.eval()
    assert torch.equal(model(batch), model(batch))
    model.train()
    assert not torch.equal(model(batch), model(batch))


def test_variance_of_nothing_dropped_is_nothing() -> None:
    predictor = net()
    head: Any = predictor.net.get_submodule("head")
    features = predictor(training_jobs.pictures(3))["features"]
    weight, bias = (part.detach().double().numpy() for part in (head.weight, head.bias))
    options = {"rate": 0.0, "passes": 4}
    assert mc_dropout_variance._variance(features, weight, bias, options) == pytest.approx([0] * 3)
    # Two passes by hand: the variance of p and q is (p - q)^2 / 4, mean over classes.
    options = {"rate": 0.5, "passes": 2}
    one, two = _dropout.shares(features, weight, bias, 0.5, 2)
    found = mc_dropout_variance._variance(features, weight, bias, options)
    assert found == pytest.approx(((one - two) ** 2 / 4).mean(axis=1))
