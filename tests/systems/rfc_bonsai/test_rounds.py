"""RFC: the released net and loops, literally; rounds of discovery, what is drawn for synthesis, and PI's sets."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from shiftbench.base import refs, rng
from shiftbench.base.errors import DataError, ParamsError
from shiftbench.base.refs import Ref
from shiftbench.base.registry import defaults
from shiftbench.base.sample import Sample
from shiftbench.contracts import training_jobs
from shiftbench.evaluation import nets
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.trainers import _environments, _loop
from shiftbench.systems.rfc_bonsai.models import two_channel_mlp
from shiftbench.systems.rfc_bonsai.trainers import _rounds, synthesis
from shiftbench.workflow.stages.train import train_weights

WIDTH = 12
Tensors = list[torch.Tensor]


def samples(count: int = 240, seed: int = 0) -> list[Sample]:
    """Return pictures whose label is their brighter half (wrong for a fifth) and, mostly, their colour."""
    random, made = np.random.default_rng(seed), []
    for number in range(count):
        shape, name = int(random.integers(2)), "ab"[number % 2]
        label = shape ^ int(random.random() < 0.2)
        colour = label ^ int(random.random() < {"a": 0.1, "b": 0.2}[name])
        image = np.zeros((14, 14, 3), np.uint8)
        image[7 * shape : 7 * shape + 7, :, colour] = random.integers(50, 255, (7, 14))
        fields = {"image": image, "label": label, "meta": {"environment": name}}
        made.append(Sample(f"tiny/{seed}_{number:03d}", fields))
    return made


def job(trainer: str, *, inputs: dict[Ref, Path] | None = None, **options: Any) -> TrainJob:
    made = training_jobs.job(
        "two_channel_mlp", trainer, inputs=inputs, model_params={"width": WIDTH}, **{"lr": 0.005, **options}
    )
    given = {"train": samples(), "val": samples(40, 1)}
    return TrainJob(**{**vars(made), "classes": ("no", "yes"), "samples": given.__getitem__})


def learnt(tmp_path: Path) -> dict[Ref, Path]:
    """Return weights of two rounds."""
    found: dict[Ref, Path] = {}
    for name, trainer, options in (
        ("round_0", "environments", {"risks": "pooled", "steps": 40}),
        ("round_1", "discovery", {"rounds": ["round_0"], "steps": 80}),
    ):
        state, _ = train_weights(job(trainer, inputs=found, **options))
        file = training_jobs.write(tmp_path / f"{name}.safetensors", state, ("no", "yes"))
        found = {**found, refs.checkpoint("tiny", "two_channel_mlp", name, 0): file}
    return found


# --- the released net and its loops on one logit: ours end in the same weights ----------------------------------


class Released(nn.Module):
    """392-WIDTH-WIDTH-1, with the weights that our fresh net has."""

    def __init__(self) -> None:
        super().__init__()
        self.lin1, self.lin2 = nn.Linear(392, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.top = nn.Linear(WIDTH, 1)
        torch.manual_seed(rng.derive(0, "two_channel_mlp", "init"))
        net = two_channel_mlp.build({"size": 14, "width": WIDTH}, 2)
        for mine, its in ((self.lin1, net.body[1]), (self.lin2, net.body[3])):
            mine.load_state_dict(its.state_dict())
        with torch.no_grad():
            self.top.weight.copy_(net.head.weight[1:])
            self.top.bias.copy_(net.head.bias[1:])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.top(F.relu(self.lin2(F.relu(self.lin1(x.view(len(x), 392))))))


def envs() -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Return each environment's images float (n, 2, 14, 14) and labels float (n, 1)."""
    found = []
    for name in "ab":
        own = [one for one in samples() if one.fields["meta"]["environment"] == name]
        images = np.stack([one.fields["image"] for one in own]).transpose(0, 3, 1, 2)[:, :2]
        labels = torch.tensor([[float(one.fields["label"])] for one in own])
        found.append((torch.from_numpy(images.copy()).float() / 255.0, labels))
    return found


def loop(value: Callable[[Released], torch.Tensor], steps: int) -> Released:
    net = Released()
    update = torch.optim.Adam(net.parameters(), lr=0.005)
    for _ in range(steps):
        update.zero_grad()
        value(net).backward()
        update.step()
    return net


def norms(net: nn.Module) -> torch.Tensor:
    return sum(w.norm().pow(2) for w in net.parameters())


def erm(net: Released) -> torch.Tensor:
    x, y = (torch.cat(parts) for parts in zip(*envs(), strict=True))
    return F.binary_cross_entropy_with_logits(net(x), y) + 0.0011 * norms(net)


def vrex(net: Released) -> torch.Tensor:
    losses = torch.stack([F.binary_cross_entropy_with_logits(net(x), y) for x, y in envs()])
    loss = losses.sum() + 0.0011 * norms(net) + 10000.0 * losses.var()
    return loss / 10000.0


def spectral(net: Released) -> torch.Tensor:
    loss = sum(F.binary_cross_entropy_with_logits(net(x), y) for x, y in envs())
    loss = loss + 0.0011 * norms(net) + 100.0 * sum((net(x) ** 2).mean() for x, _ in envs())
    return loss / 100.0


@pytest.mark.parametrize(
    ("trainer", "options", "value"),
    [("environments", {"risks": "pooled"}, erm), ("vrex", {}, vrex), ("spectral_decoupling", {}, spectral)],
)
def test_a_loop_ends_with_the_weights_of_the_released_one(
    trainer: str, options: dict[str, Any], value: Callable[[Released], torch.Tensor]
) -> None:
    state, _ = train_weights(job(trainer, steps=12, **options))
    wanted = loop(value, 12)
    for name, tensor in (
        ("body.1.weight", wanted.lin1.weight), ("body.3.weight", wanted.lin2.weight),
        ("body.3.bias", wanted.lin2.bias), ("head.weight", wanted.top.weight), ("head.bias", wanted.top.bias),
    ):  # fmt: skip
        found = state[name][1:] if name.startswith("head") else state[name]
        assert torch.allclose(found, tensor, atol=2e-5), name
    assert not state["head.weight"][0].any()
    assert not state["head.bias"][0].any()


def test_two_classes_have_one_free_logit_and_more_have_all() -> None:
    x = torch.rand(5, 2, 14, 14)
    net = two_channel_mlp.build({"size": 14, "width": 390}, 2)
    assert not net(x)[:, 0].any()
    bound = (6 / 391) ** 0.5
    weight = net.head.weight.detach()
    assert 0.95 * bound < weight[1].abs().max() <= bound
    assert sum(p.numel() for p in net.parameters()) - 391 == 392 * 390 + 390 + 390 * 390 + 390 + 390 + 1
    assert two_channel_mlp.build({"size": 14, "width": 8}, 3)(x).abs().sum(0).min() > 0


# --- discovery and synthesis --------------------------------------------------------------------------------------


def test_groups_are_the_sides_of_each_earlier_round(tmp_path: Path) -> None:
    inputs = learnt(tmp_path)
    third = job("discovery", inputs=inputs, rounds=["round_0", "round_1"], steps=20)
    data = _environments.read(third)
    found = _rounds.answers(third, data)
    groups = _rounds.sides(found, data.labels)
    assert list(groups) == ["round_0_right", "round_0_wrong", "round_1_right", "round_1_wrong"]
    for name in ("round_0", "round_1"):
        both = np.concatenate([groups[f"{name}_right"], groups[f"{name}_wrong"]])
        assert sorted(both) == list(range(240))
        right = groups[f"{name}_right"]
        assert (found[name][right] == data.labels.numpy()[right]).all()
    assert not np.array_equal(groups["round_0_wrong"], groups["round_1_wrong"])
    _, log = train_weights(third)
    told = {row[1]: row[2] for row in log}
    assert {name.removeprefix("size_") for name in told if name.startswith("size_")} == set(groups)
    assert {name.removeprefix("risk_") for name in told if name.startswith("risk_")} == set(groups)


def test_a_round_works_where_the_earlier_one_fails(tmp_path: Path) -> None:
    """On images whose colour is wrong, round 1 is above round 0, and round 0 is below chance."""
    inputs, made = learnt(tmp_path), job("discovery", rounds=["round_0", "round_1"])
    accuracy = {}
    for name in ("round_0", "round_1"):
        net = _loop.fresh_net(made)
        path = inputs[refs.checkpoint("tiny", "two_channel_mlp", name, 0)]
        nets.load_into(net, nets.read_state(path), path)
        other = [one for one in samples(400, 2) if one.fields["image"][..., 1 - one.fields["label"]].any()]
        x = torch.from_numpy(two_channel_mlp.prepare_batch(other, {"size": 14}))
        labels = torch.tensor([one.fields["label"] for one in other])
        accuracy[name] = float((net(x).argmax(1) == labels).float().mean())
    assert accuracy["round_0"] < 0.4
    assert accuracy["round_1"] > accuracy["round_0"] + 0.2


def test_the_weights_of_each_earlier_round_are_needed_once() -> None:
    with pytest.raises(ParamsError, match="name the trainers of earlier rounds, each once"):
        _rounds.needs({"rounds": ["round_0", "round_0"], "dataset": "a", "model": "b", "seed": 0})
    found = _rounds.needs({"rounds": ["x", "y"], "dataset": "a", "model": "b", "seed": 3})
    assert [ref.name for ref in found][2:] == ["a/b-x-s3", "a/b-y-s3"]


def test_agreement_is_all_right_or_all_wrong_or_all_right_alone() -> None:
    right = np.array([[1, 1, 0, 0], [1, 0, 1, 0]], bool)
    assert synthesis.agreeing(right, "same").tolist() == [True, False, False, True]
    assert synthesis.agreeing(right, "right").tolist() == [True, False, False, False]
    with pytest.raises(ParamsError, match="agreement is 'wrong'"):
        synthesis.agreeing(right, "wrong")
    with pytest.raises(DataError, match="the 2 predictors agree on all samples"):
        synthesis.agreeing(np.ones((2, 3), bool), "same")


def test_half_of_what_is_drawn_agrees_and_full_batches_are_drawn_once() -> None:
    agree = np.arange(240) < 200
    whole = list(synthesis.batches_of_rows(job("synthesis", steps=3), agree))
    assert [len(rows) for rows in whole] == [240] * 3
    assert all(np.array_equal(rows, whole[0]) for rows in whole)
    assert agree[whole[0]].sum() == 120
    assert len(set(whole[0][120:])) < 40 < len(set(whole[0][:120]))  # with replacement
    small = list(synthesis.batches_of_rows(job("synthesis", steps=3, batch_size=16), agree))
    assert [int(agree[rows].sum()) for rows in small] == [8, 8, 8]
    assert not np.array_equal(small[0], small[1])


def test_synthesis_gives_the_answers_of_each_round_from_one_trunk(tmp_path: Path) -> None:
    """The mean head of heads that were learnt; each head's answers are those of its predictor nearly always."""
    inputs = learnt(tmp_path)
    state, log = train_weights(job("synthesis", inputs=inputs, steps=300, l2=0.0001))
    told = {row[1]: row[2] for row in log}
    assert 0.4 < told["agreement"] < 0.95
    assert min(told["given_round_0"], told["given_round_1"]) > 0.95
    # ... and not of the labels, of which a fifth is wrong.
    assert state["head.weight"].shape == (2, WIDTH)
    heads = [two_channel_mlp.Head(WIDTH, 2) for _ in range(3)]
    mean = synthesis.mean_head(heads)
    wanted = sum(head.weight for head in heads) / 3
    assert torch.allclose(mean["head.weight"], wanted)
    assert set(mean) == {"head.weight", "head.bias"}


# --- PI -----------------------------------------------------------------------------------------------------------


def test_sets_of_pi_are_split_by_the_own_net_or_by_the_other(tmp_path: Path) -> None:
    told = {}
    for split in ("own", "crossed"):
        options = {"split": split, "steps": 5, "first_steps": 60}
        _, log = train_weights(job("predict_then_interpolate", **options))
        told[split] = {row[1].removeprefix("size_"): row[2] for row in log if row[1].startswith("size_")}
    assert set(told["own"]) == {f"{e}_by_{e}_{side}" for e in "ab" for side in ("right", "wrong")}
    assert set(told["crossed"]) == {f"{e}_by_{by}_{side}" for e, by in ("ab", "ba") for side in ("right", "wrong")}
    for sizes in told.values():
        assert sum(sizes.values()) == 240
    # A net errs less where it learnt.
    own = told["own"]["a_by_a_wrong"] + told["own"]["b_by_b_wrong"]
    assert own < told["crossed"]["a_by_b_wrong"] + told["crossed"]["b_by_a_wrong"]
    with pytest.raises(ParamsError, match="split is 'each'"):
        train_weights(job("predict_then_interpolate", split="each"))


def test_camelyon_weights_of_the_released_run_load() -> None:
    """DenseNet-121 of torchvision has the tensors of WILDS' checkpoints, below `model.`; the head is `classifier`."""
    torchvision = pytest.importorskip("torchvision")
    from shiftbench.base import registry

    model = registry.find("models", "torchvision")
    params = {**defaults(model), "name": "densenet121", "size": 96, "crop": 1.0}
    net = model.build(params, 2)
    official = torchvision.models.densenet121(num_classes=2).state_dict()
    nets.load_into(net, net.adopt(official), "official")
    assert net(torch.zeros(1, 3, 96, 96)).shape == (1, 2)
