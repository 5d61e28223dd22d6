"""Trainers, the soup's checkpoints and ImageNet's relatives, on miniatures with the official names and layout."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from shiftbench.base import registry
from shiftbench.base.errors import DataError, ModelError, ParamsError
from shiftbench.base.refs import Ref
from shiftbench.base.registry import defaults
from shiftbench.base.rng import RandomStream
from shiftbench.contracts import fake_open_clip, training_jobs
from shiftbench.evaluation import nets
from shiftbench.systems.successful_interpolation.analyses import _paths, interpolation_path
from shiftbench.systems.successful_interpolation.datasets import imagenet_relative
from shiftbench.systems.successful_interpolation.trainers import prototypes, soup_member, stepped
from shiftbench.workflow.plan import cards
from shiftbench.workflow.stages.train import train_weights


def words() -> RandomStream:
    return RandomStream(0, "mixture", "", "")


def test_a_mixture_of_strength_0_is_the_image_and_grows() -> None:
    batch = np.random.default_rng(0).integers(0, 256, (8, 1, 28, 28), dtype=np.uint8)
    assert torch.equal(stepped.mixture(batch, words(), 0.0), torch.from_numpy(batch).float())
    away = [
        float((stepped.mixture(batch, words(), most) - torch.from_numpy(batch)).abs().mean()) for most in (0.1, 0.7)
    ]
    assert 0 < away[0] < away[1]
    some = stepped.mixture(batch, words(), 0.7, 0.2) - torch.from_numpy(batch)
    assert 0 < float(some.abs().mean()) < away[1]
    still = torch.zeros(8), torch.zeros(2, 8)
    pictures = torch.from_numpy(batch).float()
    assert torch.allclose(stepped._turned_and_moved(pictures, *still), pictures, atol=1e-2)
    aside = stepped._turned_and_moved(pictures, torch.zeros(8), torch.stack([torch.full((8,), 2 / 28), torch.zeros(8)]))
    assert torch.allclose(aside[..., :-2], pictures[..., 2:], atol=1e-2)
    turned = stepped._turned_and_moved(pictures, torch.full((8,), 90.0), torch.zeros(2, 8))
    assert torch.allclose(turned, pictures.rot90(1, (2, 3)), atol=1e-2)


def test_tunings_of_a_seed_see_the_same_images_and_begin_where_they_should(tmp_path: Path) -> None:
    start = train_weights(training_jobs.job("strided_convnet", "stepped", steps=3, batch_size=8))[0]
    file = training_jobs.write(tmp_path / "w.safetensors", start)
    given = {Ref("checkpoints", "tiny/strided_convnet-generalist-s0"): file}
    seen: list[np.ndarray] = []
    states = []
    move = stepped.augmented
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stepped, "augmented", lambda batch, *rest: (seen.append(batch), move(batch, *rest))[1])
        for options in ({"lr": 0.0}, {"lr": 0.01}, {"lr": 0.01, "shift": 2, "flip": True}):
            job = training_jobs.job(
                "strided_convnet", "stepped", inputs=given, steps=3, batch_size=8, weight_decay=0.0, schedule="cosine",
                **options,
            )  # fmt: skip
            states.append(train_weights(job)[0])
    assert all(np.array_equal(seen[at], seen[at + 3]) and np.array_equal(seen[at], seen[at + 6]) for at in range(3))
    assert all(torch.equal(tensor, start[name]) for name, tensor in states[0].items())
    assert not torch.equal(states[1]["head.weight"], states[2]["head.weight"])
    with pytest.raises(ParamsError, match="mixture is 2"):
        train_weights(training_jobs.job("strided_convnet", "stepped", steps=1, mixture=2.0))


def test_prototypes_are_nearest_means(tmp_path: Path) -> None:
    start = train_weights(training_jobs.job("convnet", "erm", epochs=1))[0]
    file = training_jobs.write(tmp_path / "w.safetensors", start)
    given = {Ref("checkpoints", "imagenet/convnet-pretrained-s0"): file}
    job = training_jobs.job("convnet", "prototypes", inputs=given, per_class=4)
    state = train_weights(job)[0]
    net: Any = registry.find("models", "convnet").build(defaults(registry.find("models", "convnet")), 4)
    nets.load_into(net, state, "here")
    pictures = [
        torch.from_numpy(nets.prepare(job.plugin, job.samples(split), {"size": 28})) for split in ("train", "val")
    ]
    with torch.inference_mode():
        train, val = (net.eval().features(one).double() for one in pictures)
        logits = net(pictures[1])
    labels = torch.arange(len(train)) % 4
    means = torch.stack([train[labels == number][:4].mean(0) for number in range(4)])
    distances = torch.cdist(val, means) ** 2
    assert torch.equal(logits.argmax(1), distances.argmin(1))
    ratio = (logits[:, 0] - logits[:, 1]) / (distances[:, 1] - distances[:, 0]).float()
    assert torch.allclose(ratio, ratio[0].expand(len(ratio)), rtol=1e-2)
    assert prototypes.needs({**defaults(prototypes), "dataset": "tiny", "model": "convnet", "seed": 3})[
        0
    ].name.endswith("-s0")
    with pytest.raises(ModelError, match="no image of"):
        train_weights(training_jobs.job("convnet", "prototypes", inputs=given, train=training_jobs.pictures(2)))


def test_a_released_checkpoint_takes_the_place_of_tower_and_head(tmp_path: Path) -> None:
    fake_open_clip.install()
    model = registry.find("models", "open_clip")
    torch.manual_seed(0)
    net: Any = model.build(defaults(model), 4)
    start = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    tower = [name for name in start if name.startswith("clip.visual.")]
    assert tower
    member = {f"module.model.{name.removeprefix('clip.')}": torch.randn(start[name].shape) for name in tower}
    member["module.model.positional_embedding"] = torch.zeros(77, 12)
    member |= {f"module.classification_head.{n}": torch.randn(start[f"head.{n}"].shape) for n in ("weight", "bias")}
    torch.save(member, tmp_path / "model_7.pt")
    files = {Ref("checkpoints", "tiny/open_clip-zero_shot-s0"): training_jobs.write(tmp_path / "s.safetensors", start)}
    path = str(tmp_path / "model_{seed}.pt")
    job = training_jobs.job("open_clip", "soup_member", inputs=files, path=path, seed=7)
    state = train_weights(job)[0]
    assert torch.equal(state["head.bias"], member["module.classification_head.bias"])
    assert all(torch.equal(state[n], member[f"module.model.{n.removeprefix('clip.')}"]) for n in tower)
    assert torch.equal(state["clip.text_projection"], start["clip.text_projection"])
    assert state["unit"] == 1
    assert (
        soup_member.needs({**defaults(soup_member), "dataset": "tiny", "model": "m", "seed": 7})[0].name
        == "tiny/m-zero_shot-s0"
    )
    torch.save({"module.model.visual.weight": torch.zeros(1)}, tmp_path / "model_7.pt")
    with pytest.raises(ModelError, match=r"has no .*visual\.\*"):
        train_weights(job)


def picture(path: Path, size: int = 12) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.full((size, size, 3), 50, np.uint8)
    image[:2] = image[-2:] = image[:, :2] = image[:, -2:] = (255, 0, 0)
    Image.fromarray(image).save(path)


def read(variant: str, root: Path, **more: Any) -> tuple[tuple[str, ...], list[Any]]:
    params = {**defaults(imagenet_relative), "variant": variant, "root": str(root), **more}
    return imagenet_relative.classes(params, {}), list(imagenet_relative.samples("test", {}, params))


def test_relatives_of_imagenet_have_its_classes_in_its_order(tmp_path: Path) -> None:
    names = registry.find("datasets", "imagenet").classes({}, {})
    for name in ("10", "2", "999"):
        picture(tmp_path / "v2" / name / "a.jpeg")
    classes, samples = read("v2", tmp_path / "v2")
    assert classes == (names[2], names[10], names[999])
    assert [(s.key, s.fields["label"]) for s in samples][1] == ("imagenet_relative/test/10/a", 1)
    for name in ("n01443537", "n01484850"):
        picture(tmp_path / "r" / name / "art_0.jpg")
    assert read("r", tmp_path / "r")[0] == (names[1], names[2])
    picture(tmp_path / "r" / "cats" / "a.jpg")
    with pytest.raises(DataError, match="cats is no class"):
        read("r", tmp_path / "r")
    with pytest.raises(ParamsError, match="variant is 'o'"):
        read("o", tmp_path)


def test_objectnet_joins_classes_and_loses_its_border(tmp_path: Path) -> None:
    names = registry.find("datasets", "imagenet").classes({}, {})
    lists, root = tmp_path / "lists", tmp_path / "images"
    lists.mkdir()
    contents = {
        imagenet_relative.FILES[0]: {"alarm_clock": "Alarm clock", "banana": "Banana", "coaster": "Coaster"},
        imagenet_relative.FILES[1]: {"Banana": "banana", "Alarm clock": "analog clock; digital clock"},
        imagenet_relative.FILES[2]: {"409": 1, "530": 2, "954": 0},
    }
    for name, content in contents.items():
        (lists / name).write_text(json.dumps(content))
    (lists / imagenet_relative.FILES[3]).write_text("banana\nanalog clock\ndigital clock\n")
    for name in ("banana", "alarm_clock", "coaster"):
        picture(root / name / "x.png")
    classes, samples = read("objectnet", root, lists=str(lists))
    assert classes == (f"{names[409]}|{names[530]}", names[954])
    assert [(s.key, s.fields["label"]) for s in samples] == [
        ("imagenet_relative/test/alarm_clock/x", 0),
        ("imagenet_relative/test/banana/x", 1),
    ]
    assert samples[0].fields["image"].shape == (8, 8, 3)
    assert (samples[0].fields["image"] == 50).all()
    wanted = imagenet_relative.wants("test", {"variant": "objectnet", "root": str(root), "lists": str(lists)})
    assert len(wanted) == 5
    (lists / imagenet_relative.FILES[3]).write_text("banana\n")
    with pytest.raises(DataError, match="analog clock"):
        read("objectnet", root, lists=str(lists))


def test_all_members_of_the_pool_begin_at_member_0() -> None:
    """`hparam_info.json`: model_0 is the linear probe that the others were fine-tuned from."""
    params = cards.load("successful-interpolation").params["full"]
    paths, (pool,) = params["analyses"]["paths"], params["benchmarks"]["pools"]["models"]
    for seed in pool["seeds"]:
        member = f"imagenet/clip_vit_b32-soup-s{seed}"
        origin = interpolation_path.start_of(member, paths)
        assert origin == Ref("checkpoints", "imagenet/clip_vit_b32-soup-s0")
        assert _paths.label(member, origin.name) == f"soup_{seed}"
    assert 0 not in pool["seeds"]
    assert params["trainers"]["soup"]["path"].format(seed=0).endswith("/model_0.pt")


def test_the_released_pair_begins_at_its_zero_shot_net() -> None:
    params = cards.load("successful-interpolation").params["full"]
    path = params["analyses"]["zero_shot_path"]
    origin = interpolation_path.start_of("imagenet/clip_vit_l14-released_tuned-s0", path)
    assert origin == Ref("checkpoints", "imagenet/clip_vit_l14-released_start-s0")
    names = ("released_start", "released_tuned")
    files = {name: params["trainers"][name]["path"].rpartition("/")[2] for name in names}
    assert files == {"released_start": "zero-shot-vit-l14.pt", "released_tuned": "checkpoint-4-vit-l14.pt"}
