"""The three phases: which tensors learn, pairs apart and together, assembly, controls, the recipe's mixing."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from shiftbench.base import registry
from shiftbench.base.errors import ModelError, ParamsError
from shiftbench.base.registry import defaults
from shiftbench.base.rng import RandomStream
from shiftbench.contracts import training_jobs
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.losses.classification import logit_distillation
from shiftbench.plugins.trainers import _loop
from shiftbench.systems.m2mkd.models import modular_vit
from shiftbench.systems.m2mkd.trainers import _modules, _recipe, end_to_end, module_distillation
from shiftbench.workflow.stages.train import train_weights

BASE: dict[str, Any] = {"width": 8, "heads": 2, "pool": "mean", "spread": 0.2}
NETS: dict[str, Any] = {
    "meta": BASE,
    "teacher": {**BASE, "depths": [2, 2, 2]},
    "student": {**BASE, "experts": 2},
    "stitched": {**BASE, "experts": 2, "stitch": 8},
}
State = dict[str, torch.Tensor]


class Shop:
    """Trains nets of NETS on tiny pictures and keeps their files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def job(self, model: str, trainer: str, **params: Any) -> TrainJob:
        options = {"nets": NETS, "epochs": 1, "batch_size": 32, **params}
        plugin = registry.find("trainers", trainer)
        context = {"dataset": "tiny", "model": model, "seed": 0}
        needs = plugin.needs({**defaults(plugin), **options, **context})
        inputs = {ref: self.at(ref.name) for ref in needs if ref.kind == "checkpoints"}
        return training_jobs.job("modular_vit", trainer, model_params=NETS[model], inputs=inputs, **options)

    def at(self, name: str) -> Path:
        return self.folder / f"{name}.safetensors"

    def train(self, model: str, trainer: str, kept: str = "", **params: Any) -> State:
        state, _ = train_weights(self.job(model, trainer, **params))
        training_jobs.write(self.at(f"tiny/{model}-{kept or trainer}-s0"), state)
        return state


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    made = Shop(tmp_path_factory.mktemp("shop"))
    made.train("meta", "end_to_end")
    made.train("teacher", "deep_incubation", incubate=1)
    made.train("stitched", "module_distillation", "pairs")
    return made


def moved(before: State, after: State) -> set[str]:
    return {name for name in before if not torch.equal(before[name], after[name])}


def test_a_student_that_is_its_teacher_has_its_logits_and_no_divergence(shop: Shop) -> None:
    torch.manual_seed(0)
    teacher: Any = modular_vit.build(defaults(modular_vit) | NETS["teacher"], 4)
    meta: Any = modular_vit.build(defaults(modular_vit) | NETS["meta"], 4)
    student: Any = modular_vit.build(defaults(modular_vit) | NETS["teacher"] | {"stitch": 8}, 4)
    own = {k: v for k, v in student.state_dict().items() if modular_vit.is_stitch(k)}
    student.load_state_dict(teacher.state_dict() | own)
    for block in student.blocks:
        for stitch in modular_vit.STITCHES:
            if getattr(block, stitch) is not None:
                setattr(block, stitch, nn.Identity())
    images = torch.randint(0, 256, (3, 1, 28, 28))
    for pair in range(3):
        tokens = meta.run(images, 0, pair) if pair else images
        told, taught = (
            meta.run(one, pair + 1, 3) if pair < 2 else one
            for one in (student.run(tokens, pair, pair + 1), teacher.through(tokens, pair, pair))
        )
        assert torch.equal(told, taught)
        assert logit_distillation(told, taught).item() == pytest.approx(0, abs=1e-7)


def test_a_step_moves_all_of_one_student_and_nothing_else(shop: Shop) -> None:
    files = {name: shop.at(f"tiny/{name}-s0").read_bytes() for name in ("meta-end_to_end", "teacher-deep_incubation")}
    for pair in range(3):
        job = shop.job("stitched", "module_distillation", only=pair, batch_size=64)
        net: Any = _loop.fresh_net(job)
        before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
        after, rows = train_weights(job)
        own = {name for name in before if net.owner(name) == pair}
        assert moved(before, after) == own
        assert any(modular_vit.is_stitch(name) for name in own)
        assert {name for _, name, _ in rows} == {f"train_loss/{pair}", f"val_accuracy/{pair}"}
    for name, content in files.items():
        assert shop.at(f"tiny/{name}-s0").read_bytes() == content


def test_frozen_nets_stay_as_they_were(shop: Shop) -> None:
    """Meta and teacher in memory, not their files: gradients pass through the tail and stay nowhere."""
    job = shop.job("stitched", "module_distillation", batch_size=64)
    student: Any = _loop.fresh_net(job)
    meta, teacher = (_modules.frozen(job, job.params[name]) for name in ("meta", "teacher"))
    before = [{k: v.clone() for k, v in net.state_dict().items()} for net in (meta, teacher)]
    module_distillation.teach(job, student, meta, teacher, 0)
    for net, kept in zip((meta, teacher), before, strict=True):
        assert not moved(kept, net.state_dict())
        assert all(p.grad is None for p in net.parameters())


def test_pairs_trained_apart_are_those_trained_together(shop: Shop) -> None:
    together = shop.train("stitched", "module_distillation", "pairs")
    names = []
    for pair in range(3):
        apart = shop.train("stitched", "module_distillation", f"pair_{pair}", only=pair)
        net: Any = _loop.fresh_net(shop.job("stitched", "end_to_end"))
        own = [name for name in together if net.owner(name) == pair]
        assert all(torch.equal(apart[name], together[name]) for name in own)
        names.append(f"stitched-pair_{pair}")
    one, several = (shop.train("student", "end_to_end", "m2mkd", start=start) for start in (["stitched-pairs"], names))
    assert not moved(one, several)


def test_arms_differ_where_they_should(shop: Shop) -> None:
    arms: dict[str, dict[str, Any]] = {
        "pairs": {},
        "shifted": {"teaches": "shifted"},
        "batchmean": {"kl_reduction": "batchmean"},
        "ce": {"alpha": 0.0},
    }
    states = [shop.train("stitched", "module_distillation", name, **o) for name, o in arms.items()]
    for at, one in enumerate(states):
        assert all(len(moved(one, other)) > 20 for other in states[at + 1 :])
    start: list[dict[str, Any]] = [
        {},
        {"start": ["stitched-pairs"]},
        {"start": ["stitched-pairs"], "rotate": 1},
        {"teacher": "teacher-deep_incubation"},
    ]
    jobs = [shop.job("student", "end_to_end", **options) for options in start]
    done = [train_weights(job) for job in jobs]
    for at, (one, rows) in enumerate(done):
        assert [step for step, _, _ in rows] == [step for step, _, _ in done[0][1]]
        assert all(moved(one, other) for other, _ in done[at + 1 :])


def test_assembly_drops_stitches_and_nothing_else(shop: Shop) -> None:
    pairs = shop.train("stitched", "module_distillation", "pairs")
    job = shop.job("student", "end_to_end", start=["stitched-pairs"])
    put = _modules.assemble(job, ["stitched-pairs"]).state_dict()
    assert set(pairs) - set(put) == {name for name in pairs if modular_vit.is_stitch(name)}
    assert all(torch.equal(put[name], pairs[name]) for name in put)
    turned = _modules.assemble(job, ["stitched-pairs"], rotate=1).state_dict()
    for name, tensor in put.items():
        at = name.partition("blocks.")[2][:1]
        other = name.replace(f"blocks.{at}.", f"blocks.{(int(at) + 1) % 3}.") if at else name
        assert torch.equal(turned[other], tensor)
    kept = _modules.assemble(shop.job("stitched", "end_to_end", start=["stitched-pairs"]), ["stitched-pairs"])
    assert not moved(pairs, kept.state_dict())
    wrong = shop.job("meta", "end_to_end", start=["stitched-pairs"])
    with pytest.raises(ModelError, match="is left over, and is no stitch"):
        _modules.assemble(wrong, ["stitched-pairs"])
    with pytest.raises(ParamsError, match="cut into"):
        _modules.module_count(kept, modular_vit.build(defaults(modular_vit) | {"depths": [1, 1]}, 4))
    with pytest.raises(ParamsError, match="only is 3"):
        train_weights(shop.job("stitched", "module_distillation", only=3))
    with pytest.raises(ParamsError, match="teaches is"):
        train_weights(shop.job("stitched", "module_distillation", teaches="shuffled"))


def test_incubation_trains_one_module_at_a_time_then_all(shop: Shop) -> None:
    job = shop.job("teacher", "deep_incubation", only=1, incubate=1)
    net: Any = _loop.fresh_net(job)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    after, _ = train_weights(job)
    assert moved(before, after) == {name for name in before if net.owner(name) == 1}
    _, rows = train_weights(shop.job("teacher", "deep_incubation", incubate=1))
    logged = {name for _, name, _ in rows}
    assert {"val_accuracy/0", "val_accuracy/2", "val_accuracy"} <= logged


def test_images_and_targets_are_mixed_alike() -> None:
    net = nn.Linear(1, 1)
    batch = np.random.default_rng(0).integers(0, 256, (6, 1, 28, 28), dtype=np.uint8)
    labels = torch.arange(6) % 4
    given = torch.from_numpy(batch).float()
    seen = set()
    for step in range(12):
        words = RandomStream(0, "trainer", "tiny", str(step))
        params = {**defaults(_recipe), "smoothing": 0.0}
        images, targets = _recipe.augment(params, net, batch, labels, 4, words)
        assert torch.allclose(targets.sum(1), torch.ones(6))
        share = targets[0, labels[0]].item()  # the first is mixed with the last, of another class
        blend = share * given + (1 - share) * given.flip(0)
        if torch.allclose(images.float(), blend, atol=1e-2):
            seen.add("mixup")
        else:
            left = (images.float() == given).float().mean((1, 2, 3))
            assert left.min() >= share - 1e-6
            assert abs(left.mean() - share) < 0.02
            seen.add("cutmix")
    assert seen == {"mixup", "cutmix"}
    plain = {**defaults(_recipe), "mixup": 0.0, "cutmix": 0.0}
    images, targets = _recipe.augment(plain, net, batch, labels, 4, RandomStream(0, "t", "d", "k"))
    assert torch.equal(images, torch.from_numpy(batch))
    assert targets[1].tolist() == pytest.approx([0.025, 0.925, 0.025, 0.025])


def test_erasing_draws_a_rectangle_of_noise_in_its_share() -> None:
    images = torch.zeros(400, 1, 28, 28, dtype=torch.uint8)
    found = _recipe.erase(images, 0.25, RandomStream(0, "t", "d", "k"))
    hit = (found > 0).flatten(1).any(1)
    assert 0.18 < hit.float().mean() < 0.32
    shares = (found[hit] > 0).float().mean((1, 2, 3))
    assert 0.01 < shares.min() < shares.max() < 0.36


def test_gradients_are_bounded() -> None:
    net = nn.Linear(4, 4)
    (100 * net(torch.ones(1, 4)).sum()).backward()
    _recipe.clipper({"clip": 1.0})(net, RandomStream(0, "t", "d", "k"))
    norm = torch.cat([p.grad.flatten() for p in net.parameters() if p.grad is not None]).norm()
    assert norm.item() == pytest.approx(1.0, rel=1e-4)
    assert _recipe.clipper({"clip": 0.0}) is None


def test_needs_name_seeds_and_other_datasets() -> None:
    asked = {
        **defaults(end_to_end), "dataset": "tiny", "model": "student", "seed": 3, "start": ["other/stitched-pairs"],
        "teacher": "teacher-deep_incubation", "seeds": {"teacher-deep_incubation": 0},
    }  # fmt: skip
    names = [ref.name for ref in end_to_end.needs(asked) if ref.kind == "checkpoints"]
    assert names == ["other/stitched-pairs-s3", "tiny/teacher-deep_incubation-s0"]
