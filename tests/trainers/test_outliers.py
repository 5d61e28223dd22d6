"""Training with auxiliary outliers: the second stream, mixtures with exact shares, and the losses."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from shiftbench.base import refs, registry
from shiftbench.base.errors import ParamsError
from shiftbench.base.registry import defaults
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.contracts import training_jobs
from shiftbench.data import shards
from shiftbench.evaluation import nets
from shiftbench.plugins.losses.outliers import energy_hinge
from shiftbench.plugins.trainers import _mixing, _outliers, finetune, rotation_head
from shiftbench.systems.mixoe.trainers import outlier_mining
from shiftbench.workflow.stages.train import train_weights


def words(key: str = "k") -> RandomStream:
    return RandomStream(0, "test", "d", key)


def outliers(tmp_path: Path, count: int = 24) -> dict[Any, Path]:
    """Write starting weights and a set of checkerboards; return where they lie."""
    boards = np.indices((28, 28)).sum(0) % 2 * 255
    samples = [
        Sample(f"boards/{n:03d}", {"image": np.roll(boards, n, 0).astype(np.uint8) // (1 + n), "label": 0})
        for n in range(count)
    ]
    folder = tmp_path / "boards"
    folder.mkdir()
    shards.write(samples, folder, {"image": "png", "label": "cls"}, {}, 10**6)
    body, _ = train_weights(training_jobs.job("convnet", "erm", epochs=3, batch_size=16))
    return {
        refs.checkpoint("tiny", "convnet", "erm"): training_jobs.write(tmp_path / "erm.safetensors", body),
        refs.shards("boards", "train"): folder / "manifest.json",
    }


# --- the stream --------------------------------------------------------------------------------


def test_outliers_are_drawn_by_the_words_of_a_step(tmp_path: Path) -> None:
    job = training_jobs.job("convnet", "outlier_exposure", inputs=outliers(tmp_path), outliers="boards")
    known = _outliers.load(job)
    assert known.inputs[:].shape == (24, 1, 28, 28)
    assert np.array_equal(known.draw(words(), 99), known.draw(words(), 99))
    drawn = {row.tobytes() for row in known.draw(words(), 500)}
    assert drawn == {row.tobytes() for row in known.inputs[:]}
    with pytest.raises(ParamsError, match="name a dataset other than the one that is learnt from"):
        _outliers.needs({"outliers": "tiny", "dataset": "tiny"})


# --- mixtures ----------------------------------------------------------------------------------


def test_cutmix_states_the_share_of_pixels_that_is_left() -> None:
    ours, others = torch.zeros(2, 3, 28, 21), torch.ones(2, 3, 28, 21)
    for key in range(200):
        share = float(words(str(key)).uniform())
        where = _mixing.box(words(f"box {key}"), 28, 21, share)
        mixed, left = _mixing.cutmix(ours, others, where)
        assert left == pytest.approx(1 - mixed.mean().item(), abs=1e-7)
        assert where.area == int(mixed[0, 0].sum())
    assert ours.sum() == 0  # not in place


def test_boxes_are_where_cutmix_puts_them() -> None:
    sizes, corners = set(), []
    for key in range(400):
        where = _mixing.box(words(str(key)), 28, 28, 0.75)  # sides 14, halves 7
        sizes.add((where.bottom - where.top, where.right - where.left))
        corners.append((where.top, where.left))
        assert 0 <= where.top < where.bottom <= 28
    assert max(sizes) == (14, 14)
    assert min(height for height, _ in sizes) < 14  # cut off by the border
    assert np.mean(corners) == pytest.approx(np.maximum(np.arange(28) - 7, 0).mean(), abs=0.6)
    assert _mixing.box(words(), 28, 28, 1.0).area == 0


@pytest.mark.parametrize(("a", "b"), [(1.0, 1.0), (2.0, 2.0), (0.1, 1.0)])
def test_shares_are_beta_distributed(a: float, b: float) -> None:
    drawn = [_mixing.beta(words(str(key)), a, b) for key in range(2000)]
    assert np.mean(drawn) == pytest.approx(a / (a + b), abs=0.02)
    assert np.var(drawn) == pytest.approx(a * b / ((a + b) ** 2 * (a + b + 1)), abs=0.01)


def test_mixup_and_its_targets_are_linear() -> None:
    ours, others = torch.randint(0, 256, (2, 5, 1, 4, 4), dtype=torch.uint8)
    assert torch.equal(_mixing.mixup(ours, others, 1.0), ours.float())
    assert torch.equal(_mixing.mixup(ours, others, 0.0), others.float())
    each = torch.linspace(0, 1, 5).reshape(5, 1, 1, 1)
    half = _mixing.mixup(ours, others, each)[2]
    assert torch.allclose(half, (ours[2].float() + others[2].float()) / 2)
    found = _mixing.with_uniform(torch.tensor([2]), 4, 0.6)
    assert torch.allclose(found, torch.tensor([[0.1, 0.1, 0.7, 0.1]]))


# --- trainers ----------------------------------------------------------------------------------


def test_energy_hinges_are_what_the_paper_writes_one_by_one() -> None:
    known, unknown = torch.randn(5, 4), torch.randn(3, 4)
    inside = [max(0.0, -np.log(np.exp(row).sum()) + 1.5) ** 2 for row in known.double().numpy()]
    outside = [max(0.0, -1.0 + np.log(np.exp(row).sum())) ** 2 for row in unknown.double().numpy()]
    expected = np.mean(inside) + np.mean(outside)
    assert energy_hinge(known, unknown, -1.5, -1.0).item() == pytest.approx(expected, rel=1e-5)


def logits(state: nets.State, inputs: Any) -> torch.Tensor:
    model = registry.find("models", "convnet")
    net = model.build(defaults(model), 4)
    net.load_state_dict(state)
    with torch.inference_mode():
        return net.eval()(torch.from_numpy(inputs))


@pytest.mark.parametrize(
    ("trainer", "options"), [("outlier_exposure", {}), ("energy_oe", {"margin_in": -5.0, "margin_out": -1.0})]
)
def test_outliers_are_unlearnt_and_classes_stay(tmp_path: Path, trainer: str, options: dict[str, float]) -> None:
    inputs = outliers(tmp_path)
    short = {"epochs": 8, "batch_size": 16, "shift": 0, "start": "erm"}
    job = training_jobs.job("convnet", trainer, inputs=inputs, outliers="boards", **short, **options)
    plain = {"trained": 1.0, "statistics": "learnt", "optimizer": "sgd", "lr": 0.01, "flip": False}
    control = training_jobs.job("convnet", "finetune", inputs=inputs, **short, **plain)
    state, rows = train_weights(job)
    exposed, naive = (logits(trained, _outliers.load(job).inputs[:]) for trained in (state, train_weights(control)[0]))
    assert exposed.logsumexp(1).mean() < naive.logsumexp(1).mean()
    assert exposed.softmax(1).max(1).values.mean() < naive.softmax(1).max(1).values.mean()
    assert rows[-1][1] == "val_accuracy"
    assert rows[-1][2] > 0.9
    assert nets.state_bytes(train_weights(job)[0]) == nets.state_bytes(state)


def test_statistics_are_kept_or_learnt() -> None:
    with pytest.raises(ParamsError, match=r"statistics = 'learned'; did you mean learnt\?"):
        finetune.mode("learned")


def test_the_outliers_that_the_net_is_surest_of_are_mined(tmp_path: Path) -> None:
    job = training_jobs.job("convnet", "outlier_mining", inputs=outliers(tmp_path), outliers="boards")
    net, outliers_ = finetune.begin(job), _outliers.load(job)
    sure = logits(net.state_dict(), outliers_.inputs[:]).softmax(1).max(1).values.numpy()
    pool = np.arange(24)[::2]
    found = outlier_mining.hardest(net, outliers_, pool, 5, batch=7)
    assert found.tolist() == sorted(pool.tolist(), key=lambda n: -sure[n])[:5]
    short = {"epochs": 2, "batch_size": 16, "pool": 12, "outliers": "boards"}
    job = training_jobs.job("convnet", "outlier_mining", inputs=job.inputs, **short)
    first, again = (nets.state_bytes(train_weights(job)[0]) for _ in range(2))
    assert first == again


def test_turns_are_learnt_beside_classes_and_forgotten(tmp_path: Path) -> None:
    images = torch.arange(2 * 9, dtype=torch.uint8).reshape(2, 1, 3, 3)
    by_hand = [np.rot90(images.numpy(), turns, (2, 3)) for turns in range(4)]
    assert np.array_equal(rotation_head.turned(images).numpy(), np.concatenate(by_hand))
    inputs = outliers(tmp_path)
    job = training_jobs.job("convnet", "rotation_head", inputs=inputs, epochs=2, batch_size=16, shift=0)
    state, log = train_weights(job)
    assert set(state) == set(finetune.begin(job).state_dict())
    assert log[-1][2] > 0.9
