"""Training on several environments: what is drawn, what learns, what is kept, and that options do what they say."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from shiftbench.base import refs, registry
from shiftbench.base.errors import DataError, ParamsError
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.contracts import training_jobs
from shiftbench.data import shards
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.trainers import _environments, environments
from shiftbench.workflow.stages.train import train_weights

ENTRIES = ("irmv1", "vrex", "spectral_decoupling", "iga", "fishr", "clove", "worst_group", "group_dro")
SMALL = {"steps": 4, "batch_size": 0, "weight": 10.0, "lr": 0.01}


def samples(count: int = 60, seed: int = 0, names: tuple[str, ...] = ("a", "b")) -> list[Sample]:
    """Return pictures of four classes in turn, each with its environment: the second is darker."""
    made = []
    for number, one in enumerate(training_jobs.pictures(count, size=14, colour=True, seed=seed)):
        name = names[number // 2 % len(names)]
        image = one.fields["image"] // (1 + names.index(name))
        fields = {**one.fields, "image": image, "meta": {"environment": name}}
        made.append(Sample(one.key, fields))
    return made


def job(trainer: str = "environments", *, inputs: dict[Ref, Path] | None = None, **options: Any) -> TrainJob:
    made = training_jobs.job(
        "two_channel_mlp", trainer, inputs=inputs, model_params={"width": 8}, **{**SMALL, **options}
    )
    given = {"train": samples(), "val": samples(24, 1, ("a", "b", "c"))}
    return TrainJob(**{**vars(made), "samples": given.__getitem__})


def test_seeds_take_other_samples_of_each_environment() -> None:
    seen = []
    for seed in (0, 1, 2):
        envs = _environments.read(job(seed=seed, per_environment=10))
        again = _environments.read(job("vrex", seed=seed, per_environment=10))
        assert {name: len(rows) for name, rows in envs.rows.items()} == {"a": 10, "b": 10}
        inputs = envs.inputs[np.arange(20)]
        assert np.array_equal(inputs, again.inputs[np.arange(20)])  # whatever the trainer
        assert inputs[envs.rows["b"]].mean() < inputs[envs.rows["a"]].mean()
        seen.append({row.tobytes() for row in inputs})
    assert [len(one) for one in seen] == [20, 20, 20]
    assert len(set.union(*seen)) > 35
    with pytest.raises(DataError, match="environment a has 30 samples, per_environment asks for 31"):
        _environments.read(job(per_environment=31))
    with pytest.raises(DataError, match="states no environment"):
        _environments.read(training_jobs.job("convnet", "environments"))


def test_shards_give_what_memory_gives(tmp_path: Path) -> None:
    fields = registry.find("tasks", "classification").FIELDS
    ordered = sorted(samples(), key=lambda one: one.key)
    shards.write(ordered, tmp_path, fields, {"classes": list("abcd")}, 10**9)
    whole = job(per_environment=10, seed=1)
    held = TrainJob(**{**vars(whole), "samples": lambda _: ordered})
    read = TrainJob(**{**vars(whole), "folder": lambda _: tmp_path})
    one, other = _environments.read(held), _environments.read(read)
    assert np.array_equal(one.inputs[np.arange(20)], other.inputs[np.arange(20)])
    assert torch.equal(one.labels, other.labels)


def test_batches_have_as_many_of_each_environment_drawn() -> None:
    small = job(batch_size=8, environments_per_batch=2, steps=30)
    envs = _environments.read(small)
    third = envs.regrouped({"a": envs.rows["a"], "b": envs.rows["b"][:15], "c": envs.rows["b"][15:]})
    net, drawn = environments._steps.begun(small), []
    for batch in _environments.batches(small, third, net, 30):
        assert [len(part.labels) for part in batch] == [8, 8]
        drawn.append(tuple(part.name for part in batch))
    assert set(drawn) == {("a", "b"), ("a", "c"), ("b", "c")}
    assert len(list(_environments.batches(job(), envs, net, 2))[1]) == 2


def test_each_entry_is_another_trainer() -> None:
    states = {}
    for name in ENTRIES:
        options = {**SMALL, "batch_size": 10} if name == "clove" else SMALL
        state, log = train_weights(job(name, **options))
        assert any(row[1].startswith("risk_") for row in log)
        states[name] = state["head.weight"].numpy().tobytes()
    assert len(set(states.values())) == len(ENTRIES)


def begun(tmp_path: Path) -> dict[Ref, Path]:
    state, _ = train_weights(job(risks="pooled"))
    file = training_jobs.write(tmp_path / "start.safetensors", state)
    return {refs.checkpoint("tiny", "two_channel_mlp", "rich", 0): file}


@pytest.mark.parametrize("name", ENTRIES)
def test_a_frozen_trunk_stays_bit_for_bit(name: str, tmp_path: Path) -> None:
    inputs = begun(tmp_path)
    before = environments.nets.read_state(next(iter(inputs.values())))
    options = {**SMALL, "batch_size": 10} if name == "clove" else SMALL
    for frozen in (True, False):
        state, _ = train_weights(job(name, inputs=inputs, start="rich", frozen=frozen, **options))
        same = [torch.equal(state[key], before[key]) for key in state if key.startswith("body.")]
        assert all(same) == frozen
        assert not torch.equal(state["head.weight"], before["head.weight"])


def loss(**options: Any) -> float:
    """Return the second step's loss of a net on the data above."""
    made = job(**options)
    net = environments._steps.begun(made)
    batch = next(_environments.batches(made, _environments.read(made), net, 1))
    value = environments.Loss(made.params, net)
    said = environments.Seen(net, made.params)(batch)
    value(["a", "b"], said, 0)
    return value(["a", "b"], said, 1).item()


def test_the_loss_is_what_its_options_say() -> None:
    plain = {"l2": 0.0, "penalty": "vrex", "weight": 0.5}
    risks = loss(l2=0.0, penalty="none", risks="sum")
    penalty = (loss(**plain) - risks) / 0.5
    assert penalty > 0
    assert loss(l2=0.0, penalty="none", weight=9.0) == risks  # without a penalty the loss is not divided
    assert loss(l2=0.0, penalty="none", risks="mean") == pytest.approx(risks / 2)
    assert loss(**plain, risks="mean") == pytest.approx((risks + 0.5 * penalty) / 2)
    assert loss(**{**plain, "weight": 100.0}) == pytest.approx(risks / 100 + penalty, rel=1e-4)
    assert loss(**plain, warmup=2, warmup_weight=0.0) == pytest.approx(risks)
    assert loss(**plain, warmup=1, after_warmup=500.0) == pytest.approx((risks + 0.5 * penalty) / 500)
    irm = {"l2": 0.0, "penalty": "irmv1", "weight": 1.0}
    assert loss(**irm, risks="mean") - risks / 2 == pytest.approx(loss(**irm) - risks, rel=1e-4)


def test_l2_is_on_all_parameters_the_trunk_or_none() -> None:
    net = environments._steps.begun(job())
    squares = {name: float(p.detach().square().sum()) for name, p in net.named_parameters()}
    trunk = sum(value for name, value in squares.items() if name.startswith("body."))
    base = loss(l2=0.0)
    assert loss(l2=0.1) - base == pytest.approx(0.1 * sum(squares.values()), rel=1e-4)
    assert loss(l2=0.1, l2_on="trunk") - base == pytest.approx(0.1 * trunk, rel=1e-4)
    assert loss(l2=0.1, l2_on="none") == base


def test_robust_losses_weigh_the_worse_environment() -> None:
    sizes = {"l2": 0.0, "penalty": "none"}
    largest = loss(**{**sizes, "penalty": "worst_group"})
    other = loss(**sizes) - largest
    assert other < largest
    assert loss(**{**sizes, "penalty": "group_dro"}, step_size=0.0) == pytest.approx((largest + other) / 2)
    grown = np.exp([2 * 3.0 * largest, 2 * 3.0 * other])  # after two steps
    wanted = grown @ [largest, other] / grown.sum()
    assert loss(**{**sizes, "penalty": "group_dro"}, step_size=3.0) == pytest.approx(wanted, rel=1e-5)


def test_what_is_kept_is_the_best_on_val(tmp_path: Path) -> None:
    """The log of all evaluations tells the best one, and the kept weights are those of that step."""
    states = {}
    for keep in ("iid", "ood"):
        made = job(keep=keep, every=1, steps=6, lr=0.05)
        states[keep], log = train_weights(made)
        seen = {row[0]: row[2] for row in log if row[1] == f"val_{keep}"}
        assert sorted(seen) == [1, 2, 3, 4, 5, 6]
        best = max(seen, key=lambda step: (seen[step], -step))
        alone, _ = train_weights(job(steps=best, lr=0.05))
        assert all(torch.equal(states[keep][name], alone[name]) for name in alone)
    with pytest.raises(ParamsError, match="say by `every`"):
        train_weights(job(keep="ood"))
    given = job(keep="ood", every=1)
    inside = TrainJob(**{**vars(given), "samples": {"train": samples(), "val": samples()}.__getitem__})
    with pytest.raises(ParamsError, match="val has no environments beside those of training"):
        environments.train(inside)


@pytest.mark.parametrize(
    ("option", "value"), [("penalty", "rex"), ("risks", "max"), ("l2_on", "head"), ("keep", "best")]
)
def test_options_that_no_word_stands_for(option: str, value: str) -> None:
    with pytest.raises(ParamsError, match=f"environments: {option} is '{value}'"):
        environments.train(job(**{option: value}))
