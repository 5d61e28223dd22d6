"""Methods that adapt to an unlabelled target: whose statistics, what moves, what is held out."""

from pathlib import Path

import numpy as np
import pytest
import torch

from makers import tiny_targets
from makers.tiny_targets import HELD, NOISE, WRONG, net, seen
from shiftbench.base import refs, registry
from shiftbench.base.errors import DataError, ModelError, ParamsError
from shiftbench.base.refs import Ref
from shiftbench.base.registry import defaults
from shiftbench.data import shards
from shiftbench.plugins.losses.classification import generalised_cross_entropy
from shiftbench.plugins.methods import _targets, bn_adapt


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[Ref, Path]:
    return tiny_targets.places(tmp_path_factory.mktemp("targets"))


def test_a_target_has_no_labels_and_shares_no_image_with_what_is_held_out(places: dict[Ref, Path]) -> None:
    for batch in _targets.images(places[NOISE].parent, np.array([0, 7])):
        assert [set(one.fields) for one in batch] == [{"image"}] * 2
    assert _targets.find(seen(places, NOISE, HELD), "tiny").ref == NOISE
    assert _targets.find(seen(places, NOISE), "").ref == NOISE
    with pytest.raises(DataError, match=r"40 images of wrong/test/noise/3.* are also in the target"):
        _targets.find(seen(places, NOISE, WRONG), "tiny")
    asked = {"target": "tiny", "stream": "held/test/noise", "step": "3"}
    assert _targets.needs(asked) == [NOISE]
    assert _targets.needs({**asked, "target": ""}) == [HELD]
    with pytest.raises(ParamsError, match="list shifts instead"):
        _targets.needs({**asked, "stream": "rising"})


def test_batch_statistics_are_the_target_s_with_the_prior_s_share(places: dict[Ref, Path]) -> None:
    plain = net(places)
    first = bn_adapt.layers(plain.net)[0]
    own = first.running_mean.clone()
    images = [one.fields["image"] for one in shards.read(places[NOISE].parent)]
    maps = plain.net.body[0](torch.from_numpy(np.stack(images))[:, None].float() / 127.5 - 1)
    target = maps.detach().mean((0, 2, 3))
    for prior, share in ((0, 1.0), (40, 0.5), (10**9, 0.0)):
        method = bn_adapt.wrap(net(places), {"target": "", "prior": prior}, {})
        method.at(seen(places, NOISE))
        found = bn_adapt.layers(method.net)[0]
        torch.testing.assert_close(found.running_mean, share * target + (1 - share) * own, atol=1e-4, rtol=1e-4)
        assert not found.training
        assert found.momentum == first.momentum


def test_robust_pseudo_labels_move_scales_and_offsets_alone(places: dict[Ref, Path]) -> None:
    method = registry.find("methods", "robust_pseudo_labels")
    found = method.wrap(net(places), {**defaults(method), "lr": 0.1, "target": "tiny"}, {})
    before = {name: value.clone() for name, value in found.net.named_parameters()}
    found.at(seen(places, NOISE))
    after = dict(found.net.named_parameters())
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == {f"body.{at}.{part}" for at in (1, 5, 9) for part in ("weight", "bias")}
    learnt = {name: value.clone() for name, value in found.net.state_dict().items()}
    found.at(seen(places, refs.shards("tiny", "test")))
    found.at(seen(places, NOISE, HELD))
    assert all(torch.equal(value, learnt[name]) for name, value in found.net.state_dict().items())


def test_robust_cross_entropy_is_of_the_predicted_class() -> None:
    logits = torch.from_numpy(np.random.default_rng(0).normal(size=(6, 4)))
    largest = logits.softmax(1).amax(1)
    for q in (0.8, 1.0):
        expected = ((1 - largest**q) / q).mean()
        torch.testing.assert_close(generalised_cross_entropy(logits, q), expected)


def test_a_net_without_batch_normalisation_is_refused() -> None:
    with pytest.raises(ModelError, match="no batch normalisation"):
        bn_adapt.layers(torch.nn.Linear(2, 2))
