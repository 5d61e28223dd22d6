"""Parts of CompNet and UGT against the released rules: dictionaries, coefficients, scores, refinement."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
import torch.nn.functional as F

from shiftbench.base.errors import ParamsError
from shiftbench.base.rng import RandomStream
from shiftbench.systems.ugt_compnets.methods import _clutter, _coefficients, _features, _refinement, _scoring, _vmf
from shiftbench.systems.ugt_compnets.methods._scoring import Head

Floats = npt.NDArray[np.float64]


def words(key: object = 0) -> RandomStream:
    return RandomStream(0, "test", "d", str(key))


def directions(count: int, size: int, seed: int = 0) -> torch.Tensor:
    made = torch.from_numpy(np.random.default_rng(seed).random((count, size))).float()
    return F.normalize(made, dim=1)


def planted(around: int = 60) -> tuple[torch.Tensor, torch.Tensor]:
    """Return five directions (5, 12) and features (300, 12) near them."""
    random = np.random.default_rng(1)
    true = F.normalize(torch.from_numpy(random.normal(size=(5, 12))), dim=1)
    noise = torch.from_numpy(random.normal(scale=0.1, size=(5, around, 12)))
    return true.float(), F.normalize((true[:, None] + noise).reshape(-1, 12), dim=1).float()


# --- dictionaries ------------------------------------------------------------------------------


def test_em_finds_planted_directions_and_its_likelihood_never_falls() -> None:
    true, features = planted()
    found, history = _vmf.fit(features, _vmf.initial_mixture(features, 5, words()), 30.0)
    assert (true @ found.mu.T).amax(1).min() > 0.99
    assert found.pi.sum() == pytest.approx(1)
    assert np.diff(history).min() > -1e-5
    many = directions(400, 8)
    _, history = _vmf.fit(many, _vmf.initial_mixture(many, 10, words()), 30.0)
    assert 3 < len(history) <= 150
    assert np.diff(history).min() > -1e-5
    assert history[-1] - history[-2] < 5e-5 <= history[-2] - history[-3]


def released_em(f: Floats, mu: Floats, pi: Floats, prior: Any = None, reg: float = 0.0) -> Any:
    """Return mu, pi and mean log-likelihood after `e_step` (`e_map_step`) and `m_step` of `vMFMM`."""
    joint = f @ mu.T * 30 + np.log(pi)
    norm = np.log(np.exp(joint).sum(1, keepdims=True))
    p = np.exp(joint - norm)
    if prior:
        before = f @ prior[0].T * 30 + np.log(prior[1])
        before -= np.log(np.exp(before).sum(1, keepdims=True))
        p = np.exp((joint - norm + before * reg) / (1 + reg))
        p /= p.sum(1, keepdims=True)  # ours: the code leaves these sums below 1
    mu = p.T @ f / p.sum(0)[:, None]
    return mu / np.sqrt((mu**2).sum(1, keepdims=True)), p.mean(0), norm.mean()


@pytest.mark.parametrize("weight", [None, 0.3])
def test_a_step_is_that_of_the_released_mixture(weight: float | None) -> None:
    features, source = directions(200, 6), _vmf.Mixture(directions(4, 6, 5), torch.full((4,), 0.25))
    start = _vmf.Mixture(directions(4, 6, 9), torch.tensor([0.1, 0.2, 0.3, 0.4]))
    prior = (source.mu.double().numpy(), source.pi.double().numpy()) if weight else None
    mu, pi, likelihood = released_em(
        features.double().numpy(), *(x.double().numpy() for x in start), prior, weight or 0.0
    )
    found, mean = _vmf.step(features, start, 30.0, source if weight else None, weight or 0.0)
    np.testing.assert_allclose(found.mu, mu, atol=1e-5)
    np.testing.assert_allclose(found.pi, pi, atol=1e-5)
    assert mean == pytest.approx(likelihood, rel=1e-5)


def test_tempering_goes_from_the_target_s_to_the_source_s_responsibilities() -> None:
    features, now = directions(50, 6), _vmf.Mixture(directions(4, 6, 5), torch.full((4,), 0.25))
    source = _vmf.Mixture(directions(4, 6, 9), torch.tensor([0.1, 0.2, 0.3, 0.4]))
    own, _ = _vmf.responsibilities(features, now, 30.0)
    other, _ = _vmf.responsibilities(features, source, 30.0)
    none, _ = _vmf.responsibilities(features, now, 30.0, source, 0.0)
    most, _ = _vmf.responsibilities(features, now, 30.0, source, float("inf"))
    large, _ = _vmf.responsibilities(features, now, 30.0, source, 1e6)
    torch.testing.assert_close(none, own)
    torch.testing.assert_close(most, other, rtol=0, atol=1e-6)
    torch.testing.assert_close(large, other, rtol=0, atol=1e-3)
    assert (own - other).abs().max() > 0.1


def test_map_keeps_the_source_s_direction_where_there_are_few_features() -> None:
    source = _vmf.Mixture(directions(3, 6, 9), torch.full((3,), 1 / 3))
    target, counts = directions(3, 6, 4), torch.tensor([0.0, 16.0, 1e9])
    found = _vmf.settled(source, 16.0)(target, counts)
    torch.testing.assert_close(found[0], source.mu[0])
    torch.testing.assert_close(found[1], F.normalize(source.mu[1] + target[1], dim=0))
    torch.testing.assert_close(found[2], target[2])
    torch.testing.assert_close(_vmf.settled(source, 0.0)(target, counts), target)


def test_a_kernel_that_no_feature_chooses_keeps_its_direction() -> None:
    _, features = planted()
    start = _vmf.Mixture(torch.cat([features[:1], -features[:1]]), torch.tensor([1.0, 0.0]))
    found, _ = _vmf.fit(features[:60], start, 30.0)
    torch.testing.assert_close(found.mu[1], start.mu[1])
    assert found.mu.isfinite().all()


def test_positions_are_drawn_within_the_border_and_not_twice() -> None:
    maps = torch.arange(2 * 7 * 7.0).reshape(2, 1, 7, 7)
    found = _features.directions(maps, 5, 2, words()).reshape(2, 5)
    inner = maps[:, 0, 2:5, 2:5].reshape(2, -1)
    assert all(set(found[n].tolist()) <= set(inner[n].tolist()) for n in range(2))
    assert all(len(set(row.tolist())) == 5 for row in found)
    assert len(_features.directions(maps, 20, 3, words())) == 2  # the released border leaves one of 7 x 7
    with pytest.raises(ParamsError, match="no position within a border of 4"):
        _features.directions(maps, 5, 4, words())


# --- coefficients ------------------------------------------------------------------------------


def two_kinds() -> torch.Tensor:
    """Return cosines (24, 6, 4, 4): images of one kind have part 0 at the left, of the other at the right."""
    random = np.random.default_rng(2)
    made = random.uniform(0.0, 0.3, (24, 6, 4, 4))
    for number in range(24):
        half = slice(0, 2) if number % 2 else slice(2, 4)
        made[number, 0, :, half] = 0.9
        made[number, 1:3] += 0.5 * random.random((2, 4, 4))
    return torch.from_numpy(made).float()


@pytest.mark.parametrize("grouping", _coefficients.GROUPINGS)
def test_mixtures_of_a_class_are_its_kinds(grouping: str) -> None:
    seen = two_kinds()
    maps, count = _coefficients.maps(seen, 10.0), 4 if grouping == "spectral" else 2
    groups = (
        _coefficients.by_parts(seen, count) if grouping == "spectral" else _coefficients.by_means(maps, count, words())
    )
    found, after = _coefficients.hard_em(maps, groups, count)
    sides = [{number % 2 for number in np.flatnonzero(after == one)} for one in range(count)]
    assert all(len(side) <= 1 for side in sides)
    assert {0, 1} == set().union(*sides)
    torch.testing.assert_close(found.sum(1), torch.ones(count, 4, 4))


def test_an_empty_group_has_the_mean_of_the_class_and_a_class_without_images_none() -> None:
    maps = _coefficients.maps(two_kinds(), 10.0)
    found = _coefficients.means(maps, np.zeros(24, dtype=np.int64), 2)
    torch.testing.assert_close(found[1], maps.mean(0))
    labels = torch.zeros(24, dtype=torch.int64)
    learnt = _coefficients.learn(two_kinds(), labels, 2, 10.0, 2, words())
    assert learnt.shape == (2, 2, 6, 4, 4)
    torch.testing.assert_close(learnt[1], torch.full((2, 6, 4, 4), 1 / 6))
    with pytest.raises(ParamsError, match="grouping is 'k'"):
        _coefficients.check("k", "mean")


def vc_dis(one: Floats, other: Floats) -> float:
    """Return the released distance, `deform` switched on: parts of `other` that `one` has not nearby."""
    missing, found = 0, np.argwhere(other == 1)
    for k, row, column in found:
        near = one[k, max(0, row - 1) : row + 2, max(0, column - 1) : column + 2]
        missing += near.sum() == 0
    return missing / len(found)


def test_the_distance_of_images_is_the_released_one() -> None:
    parts = _coefficients.active(two_kinds()[:6])
    found, grids = _coefficients.unmatched(parts), parts.numpy()
    for a in range(6):
        for b in range(6):
            expected = min(vc_dis(grids[a], grids[b]), vc_dis(grids[b], grids[a]))
            assert found[a, b] == pytest.approx(expected, abs=1e-6)
    assert found.max() > 0


def test_the_threshold_leaves_more_than_two_and_fewer_than_fifteen_parts() -> None:
    seen = torch.full((3, 20, 2, 2), 0.1)
    seen[:, :3] = 0.78
    assert _coefficients.threshold(seen) == 0.25  # the first of 20 above a distance of 0.22
    assert _coefficients.threshold(torch.ones(3, 2, 2, 2)) == 0.45


def released_mixtures(seen: Floats, groups: npt.NDArray[np.int64], count: int) -> Any:
    """Return `alpha` and assignments of `Learn_mix_model_vMF_view.py`, maps as exp(kappa cos)."""
    maps = [one / (one.sum(0) + 1e-3) for one in seen]
    alpha = [np.mean([maps[n] for n in np.flatnonzero(groups == k)], 0) for k in range(count)]
    for _ in range(10):
        likelihood = np.array([[np.log((one * a).sum(0) + 1e-10).sum() for a in alpha] for one in maps])
        after = likelihood.argmax(1)
        changed, groups = (after != groups).sum(), after
        for k in range(count):
            members = np.flatnonzero(groups == k)
            for n in members:
                maps[n] = alpha[k] * maps[n] / ((alpha[k] * maps[n]).sum(0) + 1e-10)
            if len(members):
                alpha[k] = np.mean([maps[n] for n in members], 0)
        if changed / len(maps) < 0.01:
            break
    return np.array(alpha), groups


def test_the_released_update_makes_maps_sharper() -> None:
    seen = two_kinds()
    parts = (10.0 * seen).exp()
    start = _coefficients.by_means(_coefficients.maps(seen, 10.0), 2, words())
    start[:3] = 1 - start[:3]
    alpha, groups = released_mixtures(parts.double().numpy(), start, 2)
    found, after = _coefficients.hard_em(_coefficients.maps(seen, 10.0), start, 2, "released")
    np.testing.assert_array_equal(after, groups)
    np.testing.assert_allclose(found, alpha, atol=1e-4)  # 0.001 beside the sum of L
    mean, _ = _coefficients.hard_em(_coefficients.maps(seen, 10.0), start, 2)
    assert found.amax(1).mean() > mean.amax(1).mean() + 0.05


# --- scores ------------------------------------------------------------------------------------


def head(**changed: Any) -> Head:
    random = np.random.default_rng(3)
    coefficients = torch.from_numpy(random.random((3, 2, 8, 4, 4))).float()
    clutter = torch.from_numpy(random.random((2, 8))).float()
    given = {"kappa": 30.0, "share": 0.6, "outliers": True} | changed
    return Head(directions(8, 6, 7), coefficients, clutter, **given)


def feature_maps(count: int = 5) -> torch.Tensor:
    made = np.random.default_rng(4).random((count, 6, 4, 4))
    return F.normalize(torch.from_numpy(made).float(), dim=1)


def released_scores(features: Floats, of: Head) -> tuple[Floats, Floats]:
    """Return the scores of `PointwiseInferenceLayer` over positions, and clutter minus class at each of the best."""
    parts = np.exp(of.kappa * np.einsum("ndhw,kd->nkhw", features, of.mu.double().numpy()))
    share = of.share if of.outliers else 0.0
    a = np.clip(of.coefficients.double().numpy(), 0, 1)
    a /= a.sum(2, keepdims=True)
    beta = np.clip(of.clutter.double().numpy(), 0, 1)
    beta /= beta.sum(1, keepdims=True)
    front = np.log(np.einsum("nkhw,cmkhw->ncmhw", parts, a) * (1 - share) + 1e-10)
    back = np.log(np.einsum("nkhw,jk->njhw", parts, beta) * share + 1e-10)
    if not of.outliers:
        back = np.full_like(back, -np.inf)
    joint = np.maximum(front[:, :, :, None], back[:, None, None]).sum((-1, -2)) / 16
    best = [np.unravel_index(one.argmax(), one.shape) for one in joint]
    maps = np.array([back[n, j] - front[n, c, m] for n, (c, m, j) in enumerate(best)])
    return joint.max(3).max(2), maps


@pytest.mark.parametrize("outliers", [True, False])
def test_scores_and_occlusion_maps_are_the_released_ones(outliers: bool) -> None:
    of, features = head(outliers=outliers), feature_maps()
    scores, maps = released_scores(features.double().numpy(), of)
    seen = _scoring.cosines(features, of.mu)
    np.testing.assert_allclose(_scoring.scores(seen, of), scores, rtol=1e-5)
    if outliers:
        np.testing.assert_allclose(_scoring.occlusion(seen, of), maps, atol=1e-4)


def test_without_a_share_clutter_explains_nothing_and_large_concentrations_are_finite() -> None:
    seen = _scoring.cosines(feature_maps(), head().mu)
    none = _scoring.scores(seen, head(share=0.0))
    torch.testing.assert_close(none, _scoring.scores(seen, head(outliers=False)))
    assert (_scoring.scores(seen, head()) - none).abs().max() > 0.01
    assert _scoring.scores(seen, head(kappa=70.0)).isfinite().all()


def test_positions_of_another_part_are_outliers() -> None:
    mu = torch.eye(3)
    of = Head(mu, torch.zeros(2, 1, 3, 4, 4), torch.tensor([[0.0, 0.0, 1.0]]), 30.0, 0.6, True)
    of.coefficients[0, 0, 0] = of.coefficients[1, 0, 1] = 1.0
    features = torch.zeros(1, 3, 4, 4)
    features[0, 0] = 1.0
    features[0, :, :2, :2] = torch.tensor([0.0, 0.0, 1.0])[:, None, None]
    seen = _scoring.cosines(features, mu)
    hidden = _scoring.occlusion(seen, of)[0] > 0
    assert hidden.sum() == 4
    assert hidden[:2, :2].all()
    assert _scoring.scores(seen, of).argmax() == 0


def test_clutter_is_a_mean_of_activations_for_each_cluster() -> None:
    vectors = torch.eye(4).repeat(25, 1) + 0.01
    found = _clutter.clustered(vectors, 30.0, words())
    assert len(found) >= 4
    assert all((found - one).abs().sum(1).min() < 1e-4 for one in vectors[:4])


# --- refinement --------------------------------------------------------------------------------

OPTIONS = {"factor": 2.0, "q": 0.8, "part_weight": 3.0, "score_weight": 3.0}


def test_the_loss_has_its_three_terms_and_all_labels_of_the_batch() -> None:
    of, features, labels = head(), feature_maps(), torch.tensor([0, 1, 2, 0, 1])
    found = _refinement.loss(features, labels, of, OPTIONS).item()
    scores, _ = released_scores(features.double().numpy(), of)
    shares = np.exp(2 * scores) / np.exp(2 * scores).sum(1, keepdims=True)
    robust = ((1 - shares.max(1) ** 0.8) / 0.8).mean()
    cosines = np.einsum("ndhw,kd->nkhw", features.double().numpy(), of.mu.double().numpy())
    parts = (1 - cosines.max(1)).mean()
    own = (scores)[np.arange(5), labels.numpy()].mean()
    assert found == pytest.approx(robust + 3 * parts - 3 * own, rel=1e-4)
    for at in range(5):
        other = labels.clone()
        other[at] = (other[at] + 1) % 3
        assert _refinement.loss(features, other, of, OPTIONS).item() != pytest.approx(found, abs=1e-7)


def test_refinement_lowers_its_loss_and_makes_clutter_anew_each_epoch() -> None:
    of, features, labels = head(), feature_maps(20), torch.arange(20) % 3
    asked = []

    def clutter(mu: torch.Tensor) -> torch.Tensor:
        asked.append(mu)
        return of.clutter

    params = OPTIONS | {"epochs": 4, "batch_size": 8, "lr": 0.01, "decay": 0.98}
    found = _refinement.refine(features, labels, of, clutter, params, words())
    assert len(asked) == 4
    torch.testing.assert_close(found.mu.norm(dim=1), torch.ones(8))
    before, after = (_refinement.loss(features, labels, one, OPTIONS).item() for one in (of, found))
    assert after < before - 0.1
    assert found.kappa == of.kappa
