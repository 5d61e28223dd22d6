"""The net seen again: its layers, pixels, batches and what is refused, whatever the detector."""

import copy
import dataclasses
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from makers.tiny_net import ALL, LAYERS, MEAN, MODEL, NET, SEEN, STD, inputs, pictures, rows, scores
from shiftbench.base import registry
from shiftbench.base.errors import DataError, ModelError, ParamsError
from shiftbench.base.registry import defaults
from shiftbench.evaluation import nets
from shiftbench.plugins.detectors import gram, iodin, mds_ensemble, odin, rankfeat
from shiftbench.plugins.detectors._net import Net
from shiftbench.plugins.detectors._rows import Known, Rows


@pytest.mark.parametrize("detector", ALL)
@pytest.mark.parametrize("batch", [1, 2, 5, 64])
def test_batches_change_no_score(folder: Path, known: Known, unseen: Rows, detector: ModuleType, batch: int) -> None:
    params = defaults(detector)
    state = detector.fit(known, params)
    other = rows(folder / "test", pictures(21, 3), batch)
    expected = detector.score(unseen, state, params)
    # Sums of both signs nearly vanish in the Gram matrices of this net, and their tenth roots magnify rounding.
    tolerance = 1e-5 if detector is gram else 1e-6
    assert np.allclose(detector.score(other, state, params), expected, rtol=tolerance, atol=1e-9)


def test_layers_are_the_last_of_each_size() -> None:
    def names(model: str, size: int, **options: Any) -> list[str]:
        module = registry.find("models", model)
        params = defaults(module) | {"size": size} | options
        predictor = nets.TorchPredictor(module.build(params, 4), module, params, "cpu")
        net = Net(predictor, Path("nowhere"), 1, None)
        net.__dict__["_first"] = predictor.prepare(pictures(1, 0))
        return net.layers(["blocks.?"] if model == "vit" else [])

    assert names("convnet", 28) == ["body.2", "body.6", "body.10", "body.12"]
    stages = ["body.relu", "body.layer1", "body.layer2", "body.layer3", "body.layer4"]
    assert names("torchvision", 64) == stages
    assert names("vit", 28) == ["blocks.0", "blocks.1", "blocks.2", "blocks.3"]


def test_what_the_net_gives(folder: Path, unseen: Rows) -> None:
    net = unseen.net
    (x, *_) = net.batches()
    assert (x.dtype, x.shape) == (torch.float32, (8, 3, 12, 12))
    assert net.layers() == LAYERS
    assert net.layers(["body.[03]"]) == ["body.0", "body.3"]
    maps = net.maps(x)
    assert {name: tuple(found.shape) for name, found in maps.items()} == {
        "body.1": (8, 5, 12, 12),
        "body.4": (8, 6, 6, 6),
    }
    assert torch.equal(net.outputs(x)[0], net.logits(x))
    assert np.allclose(np.concatenate([net.logits(x).detach() for x in net.batches()]), unseen.logits)
    assert not any(module._forward_hooks for module in SEEN.modules())
    shifted = Net(net.predictor, folder / "test", 8, lambda batch: batch[::-1])
    assert torch.equal(next(shifted.batches()), x.flip(0))


def test_floats_say_what_a_grey_level_is(folder: Path, known: Known, unseen: Rows) -> None:
    """A net that is given normalised floats has the scores of one that normalises."""
    module = copy.deepcopy(NET)
    module.normalised = lambda x: x  # type: ignore[method-assign]
    model = SimpleNamespace(
        __name__="shiftbench.plugins.models.floats",
        prepare_batch=lambda samples, _: NET.normalised(torch.from_numpy(MODEL.prepare_batch(samples, {}))).numpy(),
    )
    some = rows(folder / "test", pictures(21, 3), model=model, module=module)
    with pytest.raises(ParamsError, match=r"model floats: .* which is float32; let `prepare` give"):
        odin.score(some, None, defaults(odin))
    model.INPUT_RANGE = ((-MEAN / STD).tolist(), ((1 - MEAN) / STD).tolist())
    some = rows(folder / "test", pictures(21, 3), model=model, module=module)
    assert torch.allclose(some.net.unit[:, 0, 0], 1 / STD)
    assert unseen.net.unit.item() == 255
    for detector in (odin, iodin):
        assert np.allclose(scores(detector, some, known), scores(detector, unseen, known), rtol=1e-6)


def test_gpu_memory_halves_a_batch(unseen: Rows) -> None:
    def small(x: torch.Tensor) -> torch.Tensor:
        if len(x) > 3:
            raise torch.cuda.OutOfMemoryError("too much")
        return x.mean((1, 2, 3))

    assert len(small(torch.ones(2, 3, 12, 12))) == 2
    expected = [float(x.mean()) for x in inputs(unseen)]
    assert np.allclose(unseen.net.scored(small), expected, rtol=1e-6)

    def never(x: torch.Tensor) -> torch.Tensor:
        raise torch.cuda.OutOfMemoryError("too much")

    with pytest.raises(ModelError, match="out of GPU memory with a single sample"):
        unseen.net.scored(never)


def test_what_is_not_finite_is_named(folder: Path, known: Known, unseen: Rows) -> None:
    module = copy.deepcopy(SEEN)
    means = [float(x.mean()) for x in inputs(known.train)]
    limit = sorted(means)[0]

    def normalised(x: torch.Tensor) -> torch.Tensor:
        return NET.normalised(x).where(x.mean((1, 2, 3), keepdim=True) > limit, torch.nan)

    module.normalised = normalised  # type: ignore[method-assign]
    key = known.train.keys[int(np.argmin(means))]
    some = rows(folder / "train", pictures(150, 1))
    broken = dataclasses.replace(some, again=Net(nets.TorchPredictor(module, MODEL, {}, "cpu"), folder / "train", 8))
    for detector in (gram, mds_ensemble):
        with pytest.raises(ModelError, match=f"no finite number for sample '{key}'"):
            scores(detector, unseen, Known({"train": broken, "val": known.val}))


@pytest.mark.parametrize("detector", ALL)
def test_black_boxes_are_refused(known: Known, unseen: Rows, detector: ModuleType) -> None:
    with pytest.raises(ModelError, match="needs the net's layers or gradients, and the model is a"):
        detector.score(Rows(unseen.table), None, defaults(detector)) if not hasattr(detector, "FIT") else detector.fit(
            Known({"train": Rows(unseen.table), "val": unseen}), defaults(detector)
        )


@pytest.mark.parametrize("detector", [gram, rankfeat, mds_ensemble])
def test_unknown_layers_are_named(known: Known, unseen: Rows, detector: ModuleType) -> None:
    with pytest.raises(ParamsError, match=r"layers: 'body.11' is no inner layer of Tiny .*body\.1"):
        scores(detector, unseen, known, layers=["body.4", "body.11"])
    assert not any(module._forward_hooks for module in SEEN.modules())


def test_options_that_cannot_be_are_named(known: Known, unseen: Rows) -> None:
    for detector, options, message in (
        (odin, {"temperature": 0.0}, "temperature: expected a number above 0"),
        (iodin, {"temperature": -1.0}, "temperature: expected a number above 0"),
        (rankfeat, {"temperature": 0.0}, "temperature: expected a number above 0"),
        (gram, {"orders": 0}, "orders is 0; expected a number of orders, 1 at least"),
        (mds_ensemble, {"attack": 0.0}, "attack: expected a number above 0"),
    ):
        with pytest.raises(ParamsError, match=message):
            scores(detector, unseen, known, **options)


def test_images_seen_are_counted(unseen: Rows) -> None:
    net = Net(unseen.net.predictor, unseen.net.folder, 8)
    assert (net.layers(), net.seen) == (LAYERS, 0)
    for times in (1, 2):
        net.scored(lambda x: x.mean((1, 2, 3)))
        assert net.seen == 21 * times


def test_too_few_samples_are_named(folder: Path, known: Known, unseen: Rows) -> None:
    some = pictures(150, 1)
    without = [sample for sample in some if sample.fields["label"] != 2]
    lacking = Known({"train": rows(folder / "lacking", without), "val": known.val})
    with pytest.raises(DataError, match="toy: class 2 has no training sample"):
        scores(mds_ensemble, unseen, lacking)
    with pytest.raises(DataError, match=r"sample 'toy/test/.*' is predicted as class 2, which no tr"):
        scores(gram, unseen, lacking)
    few = Known({"train": known.train, "val": rows(folder / "few", pictures(4, 5))})
    with pytest.raises(DataError, match="4 ID validation images; a regression in 5 folds"):
        scores(mds_ensemble, unseen, few)
    none = Known({"train": known.train, "val": rows(folder / "none", [])})
    for detector in (gram, mds_ensemble):
        with pytest.raises(DataError):
            scores(detector, unseen, none)
