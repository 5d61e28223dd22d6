"""MPTS: its tasks, inner loop, samplers and risk model, against literal versions of the released rules."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.distributions import Normal
from torch.distributions.kl import kl_divergence

from makers.sinusoid_jobs import TRAINERS, batch, job, net, tasks
from shiftbench.base import registry
from shiftbench.base.errors import ModelError, ParamsError
from shiftbench.base.registry import defaults
from shiftbench.systems.mpts.datasets import _sinusoids, sinusoid_tasks
from shiftbench.systems.mpts.models import _meta_net, _second_order, maml_mlp
from shiftbench.systems.mpts.models._risk_model import RiskModel, divergence
from shiftbench.systems.mpts.trainers import _baselines, _candidates, maml_mpts

# ------------------------------------------------------------------ facts of the released code


def test_constants_are_those_of_the_released_sinusoids() -> None:
    """sinusoid/main.py, trainer_maml.py, test.py, Model/trainer_risklearner.py."""
    wanted = {"iterations": 20000, "batch_size": 16, "candidates": 32, "shots": 10}
    wanted |= {"inner_lr": 0.001, "lr": 0.001, "mean_weight": 1, "std_weight": 3, "draws": 20}
    assert wanted.items() <= defaults(maml_mpts).items()
    assert defaults(maml_mpts)["risk_lr"] == 0.0005
    assert defaults(_baselines)["eta"] == 0.001
    model = {"width": 40, "risk_width": 10, "risk_scale": 1 / 10, "steps": 10, "lr": 0.001}
    assert model.items() <= defaults(maml_mlp).items()
    assert ((0.1, 5), (0, math.pi)) == _sinusoids.BOUNDS
    assert _sinusoids.INPUTS == (-5, 5)
    data = {"count": 1000, "shots": 10, "query": 1000}
    assert data.items() <= defaults(sinusoid_tasks).items()


def test_shapes_are_those_of_the_released_nets() -> None:
    shapes = {name: tuple(tensor.shape) for name, tensor in net().state_dict().items()}
    weights = {name: shape for name, shape in shapes.items() if name.endswith("weight")}
    assert weights == {
        "layers.0.weight": (40, 1), "layers.1.weight": (40, 40), "layers.2.weight": (1, 40),
        "risk_model.encoder.0.weight": (10, 3), "risk_model.encoder.1.weight": (10, 10),
        "risk_model.encoder.2.weight": (10, 10), "risk_model.joined.0.weight": (10, 10),
        "risk_model.mean.0.weight": (10, 10), "risk_model.spread.0.weight": (10, 10),
        "risk_model.decoder.0.weight": (10, 12), "risk_model.decoder.1.weight": (10, 10),
        "risk_model.decoder.2.weight": (10, 10), "risk_model.decoder.3.weight": (1, 10),
    }  # fmt: skip


# ------------------------------------------------------------------ tasks


def test_sines_are_sines() -> None:
    angles = np.concatenate([np.linspace(-20, 20, 9999), np.arange(-9, 10) * math.pi / 2])
    assert np.abs(_sinusoids.sine(angles) - np.sin(angles)).max() < 1e-13


def test_a_task_is_a_sinusoid_of_its_range() -> None:
    found = tasks(200)
    named = np.array([one.fields["meta"]["identifier"] for one in found])
    low, high = np.array(_sinusoids.BOUNDS).T
    assert (named > low).all() and (named < high).all()  # noqa: PT018
    assert np.abs((named.mean(0) - low) / (high - low) - 0.5).max() < 0.07
    for one, (amplitude, phase) in zip(found, named, strict=True):
        for name in ("support", "query"):
            x, y = one.fields[name].astype(np.float64).T
            np.testing.assert_allclose(y, amplitude * np.sin(x + phase), atol=1e-6)
    assert found[0].fields["query"][:, 0] == pytest.approx(np.linspace(-5, 5, 50), abs=1e-6)
    inputs = np.stack([one.fields["support"][:, 0] for one in found])
    assert inputs.min() < -4.9
    assert inputs.max() > 4.9
    assert len(np.unique(inputs[:, 0])) == 200


def test_a_dataset_of_nothing_is_refused() -> None:
    with pytest.raises(ParamsError, match="count, shots or query is 0"):
        tasks(0)


def test_seeds_see_other_tasks_and_arms_of_a_seed_the_same() -> None:
    """The released code draws candidates by the number of the iteration: the same for all seeds."""
    one, other, again = batch(0), batch(1), batch(0)
    assert not torch.isin(one.tasks, other.tasks).any()
    assert torch.equal(one.query, again.query)
    streams = [iter(_candidates.Sinusoids(job(name, seed=3))) for name in TRAINERS]
    first = [next(stream).support for stream in streams]
    assert all(torch.equal(first[0], support) for support in first)
    drawn = [one for _, one in zip(range(2 * _candidates.BLOCK), streams[0], strict=False)]
    assert len(torch.stack([one.tasks for one in drawn]).flatten(0, 1).unique(dim=0)) > 15_000


# ------------------------------------------------------------------ the inner loop


def released_risk(theta: maml_mlp.Net, support: torch.Tensor, query: torch.Tensor) -> torch.Tensor:
    """`SineMAML.inner_loop`, literally: clones, one step, `argforward`."""
    weights = [w.clone() for w in theta.layers.parameters()]

    def argforward(x: torch.Tensor, w: list[torch.Tensor]) -> torch.Tensor:
        x = F.relu(F.linear(x, w[0], w[1]))
        x = F.relu(F.linear(x, w[2], w[3]))
        return F.linear(x, w[4], w[5])

    loss = F.mse_loss(argforward(support[:, :1], weights), support[:, 1:])
    gradients = torch.autograd.grad(loss, weights, create_graph=True)
    weights = [w - 0.001 * g for w, g in zip(weights, gradients, strict=True)]
    return F.mse_loss(argforward(query[:, :1], weights), query[:, 1:])


def test_the_batched_inner_loop_is_the_loop_over_tasks_to_second_order() -> None:
    theta, drawn = net(), batch()
    layers = theta.in_layers(theta.vector())
    points = drawn.support.numpy(), drawn.query.numpy()
    risks, gradient = _second_order.meta_gradient(theta, layers, *points, 0.001, torch.sum)
    single = torch.stack([released_risk(theta, s, q) for s, q in zip(drawn.support, drawn.query, strict=True)])
    torch.testing.assert_close(risks, single, rtol=1e-5, atol=1e-5)
    wanted = torch.autograd.grad(single.sum(), list(theta.layers.parameters()), retain_graph=True)
    wanted = torch.cat([one.flatten() for one in wanted]).numpy()
    np.testing.assert_allclose(gradient, wanted, rtol=1e-5, atol=1e-4)
    # A first-order gradient is another one: the test sees the second derivative.
    cut = _meta_net.gradient_steps(theta, theta.vector(), drawn.support, 0.001, 1).requires_grad_()
    (first,) = torch.autograd.grad(_meta_net.risks(theta, drawn.query, cut).sum(), cut)
    assert np.abs(first.sum(0).numpy() - wanted).max() > 1e-3


def test_the_gradient_is_that_of_any_loss_of_the_risks_and_of_large_steps() -> None:
    """Of the worst half, as DRM has it, with a step at which the curvature is most of the gradient."""
    theta, drawn = net(), batch()
    vector = theta.vector().requires_grad_()
    rows = vector.expand(len(drawn.support), -1)
    inner = _meta_net.risks(theta, drawn.support, rows).sum()
    (step,) = torch.autograd.grad(inner, rows, create_graph=True)
    risks = _meta_net.risks(theta, drawn.query, rows - 0.05 * step)
    (wanted,) = torch.autograd.grad(_baselines.Worst(16).loss(risks), vector)
    layers = theta.in_layers(vector)
    points = drawn.support.numpy(), drawn.query.numpy()
    worst = _baselines.Worst(16).loss
    found, gradient = _second_order.meta_gradient(theta, layers, *points, 0.05, worst)
    torch.testing.assert_close(found, risks.detach(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(gradient, wanted.numpy(), rtol=1e-3, atol=1e-3)


def test_the_predictor_adapts_as_the_released_test_does() -> None:
    """`single_task_test`: ten steps of torch's SGD on the support, then the grid."""
    theta, samples = net(), tasks(3)
    model = registry.find("models", "maml_mlp")
    found = maml_mlp.predictor(theta, model, defaults(maml_mlp), "cpu", "float32")(samples)
    for sample, predictions in zip(samples, found["predictions"], strict=True):
        dummy = net()
        layers = [dummy.layers[0], torch.nn.ReLU(), dummy.layers[1], torch.nn.ReLU()]
        single = torch.nn.Sequential(*layers, dummy.layers[2])
        update = torch.optim.SGD(single.parameters(), lr=0.001)
        support, query = (torch.from_numpy(sample.fields[n]) for n in ("support", "query"))
        for _ in range(10):
            single.zero_grad()
            F.mse_loss(single(support[:, :1]), support[:, 1:]).backward()
            update.step()
        wanted = single(query[:, :1])[:, 0].detach().numpy()
        np.testing.assert_allclose(predictions, wanted, atol=1e-5)
    assert np.isnan(found["predicted_risk"]).all()  # the risk model did not learn


def test_tasks_of_one_batch_have_as_many_points() -> None:
    mixed = [*tasks(1), *tasks(1, shots=5)]
    with pytest.raises(ModelError, match=r"000000: support is \(5, 2\), that of .* \(10, 2\)"):
        _meta_net.stack(mixed, "support")


# ------------------------------------------------------------------ samplers


def test_drm_learns_from_the_worst_as_the_released_code_sorts_them() -> None:
    sampler, risks = _baselines.Worst(16), torch.rand(32, generator=torch.Generator().manual_seed(0))
    assert len(sampler.choose(torch.zeros(32, 2))) == 32
    released = sum(sorted(risks.tolist())[-16:])
    assert float(sampler.loss(risks)) == pytest.approx(released)


def test_weights_of_gdrm_follow_the_slots_and_sum_to_the_batch() -> None:
    sampler, released = _baselines.Weighted(16, 0.001), torch.ones(16)
    draws = torch.Generator().manual_seed(0)
    for _ in range(50):
        risks = torch.rand(16, generator=draws) * 5
        released = released * torch.exp(0.001 * risks.data)
        released = released / (released.sum()) * 16
        assert float(sampler.loss(risks)) == pytest.approx(float(risks @ released), rel=1e-5)
        assert float(sampler.weights.sum()) == pytest.approx(16, rel=1e-5)
    assert float(sampler.weights.max() - sampler.weights.min()) > 0.001


def test_the_lottery_draws_each_candidate_as_often() -> None:
    sampler, counts = _baselines.Lottery(16, 0), torch.zeros(32)
    for _ in range(2000):
        chosen = sampler.choose(torch.zeros(32, 2))
        assert len(set(chosen.tolist())) == 16
        counts[chosen] += 1
    assert (counts / 2000 - 0.5).abs().max() < 0.06


def test_the_simple_baseline_chooses_the_largest_amplitudes() -> None:
    tasks_, chosen = batch().tasks, _baselines.Largest(16).choose(batch().tasks)
    assert tasks_[chosen, 0].min() > tasks_[:, 0].median()


def test_mpts_chooses_the_highest_upper_bounds() -> None:
    theta = net()
    sampler = maml_mpts.Predictive(job("maml_mpts"), theta.risk_model)
    drawn = batch()
    generator = torch.Generator()
    generator.set_state(sampler.generator.get_state())
    latent = torch.randn(20, 10, generator=generator)  # nothing was learnt yet: z ~ N(0, I)
    answers = released_decoder(theta.risk_model, drawn.tasks, latent)
    scores = (answers.mean(0) + 3 * answers.std(0)).tolist()
    wanted = sorted(range(32), key=lambda at: -scores[at])[:16]
    assert sampler.choose(drawn.tasks).tolist() == wanted


# ------------------------------------------------------------------ the risk model


def through(layers: Iterable[Any], x: torch.Tensor) -> torch.Tensor:
    *hidden, last = layers
    for layer in hidden:
        x = F.relu(layer(x))
    return last(x)


def released_decoder(model: RiskModel, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    """`Decoder.forward`: x and z repeated, joined, one row a pair; (draws, tasks)."""
    pairs = torch.cat([x.repeat(len(z), 1), z.repeat_interleave(len(x), 0)], dim=1)
    return through(model.decoder, pairs).view(len(z), len(x))


def released_posterior(model: RiskModel, x: torch.Tensor, y: torch.Tensor) -> Normal:
    """`RiskLearner.xy_to_mu_sigma`: pairs encoded, their mean, two heads."""
    r = through(model.encoder, torch.cat([x, y[:, None]], dim=1)).mean(0, keepdim=True)
    hidden = torch.relu(model.joined[0](r))
    return Normal(model.mean[0](hidden), 0.1 + 0.9 * torch.sigmoid(model.spread[0](hidden)))


def test_a_step_of_the_risk_model_is_the_released_one() -> None:
    theta, other, drawn = net(), net().risk_model, batch()
    sampler = maml_mpts.Predictive(job("maml_mpts"), theta.risk_model)
    update = torch.optim.Adam(other.parameters(), lr=5e-4)
    prior = Normal(torch.zeros(1, 10), torch.ones(1, 10))
    for step in range(3):
        chosen = sampler.choose(drawn.tasks)
        x, risks = drawn.tasks[chosen], torch.arange(16.0) + step
        generator = torch.Generator()
        generator.set_state(sampler.generator.get_state())
        sampler.learn(x, risks)
        y, posterior = risks / 10, released_posterior(other, x, risks / 10)
        z = posterior.loc + posterior.scale * torch.randn(20, 10, generator=generator)
        fit = F.mse_loss(released_decoder(other, x, z).mean(0), y, reduction="sum")
        kl = kl_divergence(posterior, prior).mean(dim=0).sum()
        assert kl > (0.01 if step == 0 else 0)
        update.zero_grad()
        (fit + kl).backward()
        update.step()
        prior = Normal(posterior.loc.detach(), posterior.scale.detach())
        torch.testing.assert_close(theta.risk_model.posterior_mean, prior.loc[0])
        torch.testing.assert_close(theta.risk_model.posterior_std, prior.scale[0])
    for one, wanted in zip(theta.risk_model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(one, wanted, rtol=1e-4, atol=1e-5)
    assert int(theta.risk_model.updates) == 3
    told = sampler.report()
    assert set(told) == {"score_std", "risk_model_loss", "selected_correlation"}
    assert sampler.history == []


def test_spreads_lie_between_a_tenth_and_one_and_a_gaussian_is_no_way_from_itself() -> None:
    model = net().risk_model
    for scale in (0.0, 1.0, 1e4):
        with torch.no_grad():
            mean, std = model.posterior(torch.randn(16, 2) * scale, torch.rand(16) * scale)
        assert ((std >= 0.1) & (std <= 1.0)).all()
        assert float(divergence((mean, std), (mean, std))) == pytest.approx(0, abs=1e-5)
    one, other = ((torch.randn(10), torch.rand(10) + 0.1) for _ in range(2))
    wanted = kl_divergence(Normal(*one), Normal(*other)).sum()
    torch.testing.assert_close(divergence(one, other), wanted)


def test_a_correlation_that_is_not_defined_is_left_out() -> None:
    one = torch.tensor([[1.0, 2.0, 3.0], [1.0, 1.0, 1.0]])
    other = torch.tensor([[1.0, 3.0, 2.0], [1.0, 2.0, 3.0]])
    assert maml_mpts._correlations(one, other).tolist() == pytest.approx([0.5])
