"""ROOT, Muon and AdamW: iteration, coefficients, clipping and steps against their equations and worked values."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from shiftbench.base import registry
from shiftbench.base.errors import ParamsError
from shiftbench.base.registry import defaults
from shiftbench.base.rng import RandomStream
from shiftbench.contracts import training_jobs
from shiftbench.plugins.optimizers import _coefficients, _newton_schulz, _orthogonal
from shiftbench.plugins.optimizers._newton_schulz import CLASSIC, MUON
from shiftbench.systems.root_optimizer.trainers import noisy_gradients
from shiftbench.workflow.plan import cards
from shiftbench.workflow.stages.train import train_weights

RANDOM = np.random.default_rng(0)

# Five steps on Gaussian matrices: the error of Muon's triple and a triple with its error, as they were first found, and
# how far ours may be. Errors of single 64x64 matrices lie between 0.054 and 0.135 (90%); 600 together give 0.100.
GAUSSIAN = {
    32: (0.215, (3.083, -3.440, 1.340), 0.088, 0.05, 2000),
    64: (0.207, (3.184, -3.604, 1.392), 0.084, 0.21, 600),
    128: (0.214, (3.200, -3.681, 1.442), 0.113, 0.05, 60),
    256: (0.208, (3.207, -3.761, 1.500), 0.124, 0.05, 10),
}


@pytest.mark.parametrize("shape", [(5, 5), (4, 9), (9, 4)])
@pytest.mark.parametrize("triple", [CLASSIC, MUON])
def test_the_iteration_maps_singular_values(shape, triple):
    matrix = RANDOM.normal(size=shape)
    u, s, v = np.linalg.svd(matrix / np.linalg.norm(matrix), full_matrices=False)
    for _ in range(5):
        s = triple[0] * s + triple[1] * s**3 + triple[2] * s**5
    found = _newton_schulz.orthogonalised(torch.from_numpy(matrix), triple).numpy()
    np.testing.assert_allclose(found, u * s @ v, atol=1e-5)
    error = np.linalg.norm(found - u @ v) / np.linalg.norm(u @ v)
    values = _newton_schulz.spectrum(matrix)
    assert _newton_schulz.error(values, triple) == pytest.approx(error, abs=1e-5)


@pytest.mark.parametrize("size", GAUSSIAN)
def test_reference_triples_give_the_reference_errors(size):
    muon, triple, least, tolerance, count = GAUSSIAN[size]
    drawn = [_newton_schulz.spectrum(RANDOM.normal(size=(size, size))) for _ in range(count)]
    values = np.concatenate(drawn)
    assert _newton_schulz.error(values, MUON) == pytest.approx(muon, rel=0.05)
    found = _newton_schulz.error(values, triple)
    assert found == pytest.approx(least, rel=tolerance)
    assert _newton_schulz.error(values, _coefficients.of((size, size))) < 1.02 * found


def test_coefficients_are_bounded_and_looked_up_by_shape():
    grid = np.linspace(0, 1, 2001)
    for name, triple in _coefficients.table()["fitted"].items():
        largest = max(np.abs(_newton_schulz.mapped(grid, triple, k)).max() for k in range(1, 6))
        assert largest <= 1.51, name
    assert _coefficients.of((8192, 2048)) == (2.9794, -3.6674, 1.6207)
    assert _coefficients.of((144, 48)) == _coefficients.of((48, 144)) != MUON
    assert _coefficients.of((7, 11)) == MUON


def test_the_table_is_made_again_to_the_same_bytes():
    for shape in ((32, 32), (48, 144)):  # of random matrices alone, and with real momenta
        stored = _coefficients.table()["fitted"][_coefficients.spell(shape)]
        assert list(_coefficients.fitted(shape)) == stored


def test_clipping_is_what_soft_thresholding_leaves():
    direction = torch.from_numpy(RANDOM.normal(size=(20, 30)))
    for q in (0.5, 0.9, 0.99):
        base = _orthogonal.clipped(direction, q)
        eps = np.quantile(direction.abs().numpy(), q) + 1e-9
        assert base.abs().max() == pytest.approx(eps, rel=1e-12)
        outliers = direction.sign() * (direction.abs() - eps).clamp(min=0)
        assert torch.equal(base, direction - outliers) or torch.allclose(base, direction - outliers, atol=1e-15, rtol=0)
        assert (direction.abs() <= eps).double().mean() == pytest.approx(q, abs=1 / 600)


HIDDEN = [[3.0, 0.0, 0.0], [0.0, 4.0, 0.0]]


def step(name, theta, gradient, lr=0.1, decay=0.5, **options):
    """Return a 2x3 matrix after one step."""
    net = nn.Sequential()
    net.add_module("body", nn.Linear(3, 2, bias=False))
    with torch.no_grad():
        net.body.weight.copy_(torch.tensor(theta))
    module = registry.find("optimizers", name)
    update = module.make(net, lr, decay, {**defaults(module), **options})
    net.body.weight.grad = torch.tensor(gradient)
    update.step()
    return net.body.weight.detach().numpy()


def test_one_step_of_muon_by_hand():
    """G of singular values 3, 4 on the diagonal: X has phi^5(0.6), phi^5(0.8) there, whatever the momentum's scale."""
    theta = np.ones((2, 3))
    values = _newton_schulz.mapped(np.array([0.6, 0.8]), MUON)
    moved = np.zeros((2, 3))
    moved[0, 0], moved[1, 1] = values
    expected = (1 - 0.1 * 0.5) * theta - 0.1 * 0.2 * np.sqrt(3) * moved
    np.testing.assert_allclose(step("muon", np.ones((2, 3)).tolist(), HIDDEN), expected, atol=1e-5)
    wide = step("muon", np.ones((2, 3)).tolist(), HIDDEN, scale="muon")
    np.testing.assert_allclose(wide, 0.95 * theta - 0.1 * moved, atol=1e-5)


def test_one_step_of_root_by_hand():
    """Six entries, q = 0.7: eps lies halfway from the fourth size, 0, to the fifth, 3: both singular values are 1.5."""
    theta = np.zeros((2, 3))
    root_half = _newton_schulz.mapped(np.array([np.sqrt(0.5)]), MUON)[0]
    moved = np.zeros((2, 3))
    moved[0, 0] = moved[1, 1] = root_half
    found = step("root", theta.tolist(), HIDDEN, quantile=0.7, coefficients="muon")
    np.testing.assert_allclose(found, -0.1 * 0.2 * np.sqrt(3) * moved, atol=1e-5)


def released(theta, gradients, lr, decay):
    """ROOT's step as its script writes it: sum, Nesterov, quantile, soft threshold, five iterations, scale, decay."""
    buffer = np.zeros_like(theta)
    for gradient in gradients:
        buffer = 0.95 * buffer + gradient
        direction = gradient + 0.95 * buffer
        sizes = np.sort(np.abs(direction).ravel())
        place = 0.9 * (sizes.size - 1)
        low, share = int(place), place - int(place)
        eps = sizes[low] + share * (sizes[low + 1] - sizes[low]) + 1e-9
        outliers = np.sign(direction) * np.maximum(np.abs(direction) - eps, 0)
        x = (direction - outliers).T if theta.shape[0] > theta.shape[1] else direction - outliers
        x = x / (np.linalg.norm(x) + 1e-7)
        for _ in range(5):
            gram = x @ x.T
            x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
        x = x.T if theta.shape[0] > theta.shape[1] else x
        theta = theta * (1 - lr * decay) - lr * 0.2 * np.sqrt(max(theta.shape)) * x
    return theta


@pytest.mark.parametrize("shape", [(7, 11), (11, 7), (9, 9)])
def test_steps_are_those_of_the_released_rule(shape):
    """Twenty steps on shapes that no table has, for which script and optimiser take Muon's coefficients."""
    theta = RANDOM.normal(size=shape).astype(np.float32)
    gradients = RANDOM.standard_t(2, size=(20, *shape)).astype(np.float32)
    net = nn.Sequential()
    net.add_module("body", nn.Linear(shape[1], shape[0], bias=False))
    with torch.no_grad():
        net.body.weight.copy_(torch.from_numpy(theta))
    module = registry.find("optimizers", "root")
    update = module.make(net, 0.03, 0.1, defaults(module))
    for gradient in gradients:
        net.body.weight.grad = torch.from_numpy(gradient.copy())
        update.step()
    expected = released(theta.astype(np.float64), gradients.astype(np.float64), 0.03, 0.1)
    np.testing.assert_allclose(net.body.weight.detach().numpy(), expected, atol=2e-4)


def test_one_step_of_adamw_by_hand():
    """The first step is lr in the direction of the sign."""
    theta = np.ones((2, 3))
    gradient = [[2.0, -1.0, 0.5], [1.0, 3.0, -2.0]]
    found = step("adamw", theta.tolist(), gradient)
    np.testing.assert_allclose(found, 0.95 * theta - 0.1 * np.sign(gradient), atol=1e-6)


@pytest.mark.parametrize("average", [False, True])
@pytest.mark.parametrize("nesterov", [False, True])
def test_momentum_is_a_sum_or_an_average(average, nesterov):
    rule = _orthogonal.Rule(average=average, nesterov=nesterov)
    gradients = [torch.from_numpy(RANDOM.normal(size=(2, 2))) for _ in range(4)]
    state, literal = torch.zeros(2, 2, dtype=torch.float64), np.zeros((2, 2))
    for gradient in gradients:
        direction = _orthogonal.advanced(state, gradient, rule)
        share = 0.05 if average else 1.0
        literal = 0.95 * literal + share * gradient.numpy()
        expected = share * gradient.numpy() + 0.95 * literal if nesterov else literal
        np.testing.assert_allclose(direction.numpy(), expected, rtol=1e-12)


def test_muon_agrees_with_torch():
    """torch.optim.Muon, where this torch has it: float32 against its bfloat16 iterations."""
    if not hasattr(torch.optim, "Muon"):
        pytest.fail("torch.optim.Muon is there from torch 2.9 on, which the lock asks for")
    theta = RANDOM.normal(size=(8, 12)).astype(np.float32)
    gradients = [RANDOM.normal(size=(8, 12)).astype(np.float32) for _ in range(3)]
    net = nn.Sequential()
    net.add_module("body", nn.Linear(12, 8, bias=False))
    other = nn.Parameter(torch.from_numpy(theta.copy()))
    with torch.no_grad():
        net.body.weight.copy_(torch.from_numpy(theta))
    module = registry.find("optimizers", "muon")
    ours = module.make(net, 0.02, 0.1, {**defaults(module), "scale": "muon"})
    theirs = torch.optim.Muon([other], lr=0.02, weight_decay=0.1, momentum=0.95, nesterov=True)
    for gradient in gradients:
        net.body.weight.grad, other.grad = (torch.from_numpy(gradient.copy()) for _ in range(2))
        ours.step()
        theirs.step()
    moved = np.abs(theta - other.detach().numpy()).max()
    ours_ = net.body.weight.detach().numpy()
    np.testing.assert_allclose(ours_, other.detach().numpy(), atol=0.03 * moved)


def test_parameters_are_routed_by_name_and_dimension():
    model = registry.find("models", "vit")
    net = model.build(defaults(model), 10)
    hidden = {name for name, p in net.named_parameters() if _orthogonal.is_hidden(name, p)}
    assert {name.rpartition(".")[0].partition(".")[2][2:] for name in hidden} == {
        "qkv", "out", "mlp.0", "mlp.2",
    }  # fmt: skip
    assert not any(name.startswith(("head", "stem", "position")) for name in hidden)


def test_gradients_are_corrupted_as_said():
    before = torch.from_numpy(RANDOM.normal(size=(100, 200)).astype(np.float32))
    params = {**defaults(noisy_gradients), "kappa": 30.0, "fraction": 0.01}
    rms = float(before.square().mean().sqrt())
    gradient = noisy_gradients.corrupted(before, RandomStream(0, "a", "b", "c"), params)
    changed = gradient != before
    assert changed.double().mean() == pytest.approx(0.01, abs=0.003)
    np.testing.assert_allclose(gradient[changed].abs().numpy(), 30 * rms, rtol=1e-5)
    noise = {**defaults(noisy_gradients), "noise": 0.5}
    heavy = noisy_gradients.corrupted(before, RandomStream(0, "a", "b", "d"), noise)
    added = ((heavy - before) / (0.5 * rms)).numpy()
    assert np.median(np.abs(added)) == pytest.approx(0.765, abs=0.03)  # of Student's t, 3 degrees of freedom
    with pytest.raises(ParamsError, match="kappa = -1"):
        noisy_gradients.checked({**defaults(noisy_gradients), "kappa": -1})


def test_corruption_is_drawn_by_seed_and_logged():
    runs = [train_weights(training_jobs.job("convnet", "noisy_gradients", kappa=k)) for k in (0.0, 30.0, 30.0)]
    states = [{name: t.numpy().tobytes() for name, t in state.items()} for state, _ in runs]
    assert states[1] == states[2] != states[0]
    logged = {name: value for _, name, value in runs[1][1]}
    assert logged["gradient_rms_corrupted"] > 1.5 * logged["gradient_rms"]


def test_arms_of_the_card_differ_where_their_names_do():
    """Each arm is an optimiser with options, a rate and a kappa; no two are the same."""
    params = cards.load("root-optimizer").params["embedded"]
    listed = params["optimizers"]
    used = {arm["optimizer"] for arm in params["trainers"].values()}
    rules = {name: json.dumps({"use": name, **listed.get(name, {})}, sort_keys=True) for name in used}
    arms = [(rules[arm["optimizer"]], arm["lr"], arm.get("kappa", 0)) for arm in params["trainers"].values()]
    assert len(set(arms)) == len(arms)
    chosen = {arm["lr"] for name, arm in params["trainers"].items() if name.startswith("root_k")}
    assert len(chosen) == 1
    rates = [arm["lr"] for name, arm in params["trainers"].items() if name.startswith("root_r")]
    assert sorted([*rates, *chosen]) == [0.001, 0.003, 0.01, 0.03, 0.1]
