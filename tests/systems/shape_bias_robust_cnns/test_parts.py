"""Cue conflicts from garments and photos, contours, scrambles, silhouettes, and nets of ImageNet in released names."""

import collections
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage

from shiftbench.base import registry
from shiftbench.base.errors import ModelError, ParamsError
from shiftbench.base.registry import defaults
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.contracts import shift_digests
from shiftbench.evaluation import nets
from shiftbench.plugins.shifts import _scikit_photos
from shiftbench.systems.shape_bias_robust_cnns.datasets import _cues
from shiftbench.systems.shape_bias_robust_cnns.shifts import canny_edges

CUES = registry.find("datasets", "shape_texture")
PAIR = registry.find("models", "imagenet_pair")


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return garments, boxes of all ten classes, and photos whose left half is darker than 128, the right brighter."""
    home = tmp_path_factory.mktemp("originals")
    random = np.random.default_rng(0)
    (home / "fashion_mnist").mkdir()
    for name, count in (("train", 60), ("t10k", 120)):
        images = np.zeros((count, 28, 28), np.uint8)
        for image in images:
            top, left = random.integers(0, 8, 2)
            image[top : top + 15, left : left + 12] = random.integers(30, 256, (15, 12))
        for kind, array in (("images-idx3", images), ("labels-idx1", np.arange(count) % 10)):
            head = b"\0\0\x08" + bytes([array.ndim]) + np.array(array.shape, ">i4").tobytes()
            raw = head + array.astype(np.uint8).tobytes()
            (home / f"fashion_mnist/{name}-{kind}-ubyte").write_bytes(raw)
    (home / _scikit_photos.SOURCE).mkdir()
    for texture in _cues.TEXTURES:
        photo = random.integers(0, 128, (200, 300)).astype(np.uint8)
        photo[:, 150:] += 128
        Image.fromarray(photo).save(home / _scikit_photos.SOURCE / f"{texture}.png")
    return {folder.name: folder for folder in home.iterdir()}


def made(sources: dict[str, Path], split: str = "test", **options: Any) -> list[Sample]:
    return list(CUES.samples(split, sources, {**defaults(CUES), **options}))


def test_a_conflict_has_the_shape_of_its_label_and_five_other_textures_in_turn(sources: dict[str, Path]) -> None:
    matched, conflict = (made(sources, cue=cue, test_per_class=10) for cue in ("matched", "conflict"))
    assert [one.key for one in matched] == [one.key for one in conflict]
    for one, other in zip(matched, conflict, strict=True):
        label = one.fields["label"]
        assert label == other.fields["label"] == one.fields["meta"]["texture"]
        number = other.fields["meta"]["texture"]
        assert number != label
        assert other.fields["meta"]["group"] == f"{number:02d}_{_cues.TEXTURES[number]}"
        ground = [sample.fields["image"] == _cues.GROUND for sample in (one, other)]
        assert (ground[0] & ground[1]).sum() >= 28 * 28 - 15 * 12  # one outline
    pairs = collections.Counter((one.fields["label"], one.fields["meta"]["texture"]) for one in conflict)
    assert set(pairs.values()) == {2}
    assert len(pairs) == 30


def test_cues_alone_are_flat_or_whole(sources: dict[str, Path]) -> None:
    shape, texture = (made(sources, cue=cue)[0].fields for cue in ("shape", "texture"))
    assert set(np.unique(shape["image"]).tolist()) == {_cues.FLAT, _cues.GROUND}
    assert "meta" not in shape
    assert texture["image"].min() >= _cues.INK[0]
    assert (texture["image"] == _cues.GROUND).mean() < 0.1
    with pytest.raises(ParamsError, match="cue is 'both'"):
        made(sources, cue="both")
    with pytest.raises(ParamsError, match="seen is 'nearly'"):
        made(sources, seen="nearly")


def test_samples_are_the_same_whatever_was_made_before(sources: dict[str, Path]) -> None:
    few, many = made(sources, test_per_class=2), made(sources, test_per_class=9)
    known = {one.key: one.fields["image"] for one in many}
    assert len(few) == 12
    assert all(np.array_equal(known[one.key], one.fields["image"]) for one in few)


def test_textures_of_training_and_tests_share_no_pixel(
    sources: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_cues, "equalised", lambda crop: crop)
    for half, low, high in (("left", 0, 127), ("right", 128, 255)):
        for texture, seen in itertools.product((0, 1, 2, 3, 5), _cues.SEEN):
            for number in range(6):
                words = RandomStream(0, "t", "d", str(number))
                ink = _cues.texture(texture, words, sources, half, seen)
                assert low <= ink.min() <= ink.max() <= high


def test_near_textures_are_pixels_of_the_photo_and_far_ones_are_means(
    sources: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_cues, "equalised", lambda crop: crop)
    words = [RandomStream(0, "t", "d", "k") for _ in _cues.SEEN]
    near, far = (
        _cues.texture(0, own, sources, "left", seen).astype(int) for own, seen in zip(words, _cues.SEEN, strict=True)
    )
    with Image.open(sources[_scikit_photos.SOURCE] / "brick.png") as file:
        photo = np.asarray(file)[:, :150]
    places = np.lib.stride_tricks.sliding_window_view(photo, (28, 28))
    assert (places == near).all((2, 3)).any()
    assert not (places == far).all((2, 3)).any()
    assert far.std() < near.std()  # noise, shrunk
    board = _cues.texture(4, RandomStream(0, "t", "d", "k"), {}, "right")
    assert set(np.unique(board).tolist()) == {0, 255}


def test_an_equalised_crop_has_every_level_equally_often_and_one_mean() -> None:
    crop = np.random.default_rng(0).permutation(784).reshape(28, 28) % 251
    level = _cues.equalised(crop.astype(np.uint8))
    assert (level.min(), level.max()) == (64, 255)
    board = np.asarray(_cues._board())[:28, :28]
    for image in (crop.astype(np.uint8), board):
        assert _cues.equalised(image).mean() == pytest.approx(159.5, abs=0.5)
    order = np.argsort(crop.ravel(), kind="stable")
    assert (np.diff(level.ravel()[order].astype(int)) >= 0).all()


def literal_scramble(image: np.ndarray) -> np.ndarray:
    """Return the released scramble of a picture of 224 px: the order is drawn anew after each patch is cut."""
    patches, grid = [], 112
    for i in range(0, 229 - grid, grid):
        for j in range(0, 229 - grid, grid):
            patches.append(image[i : i + grid, j : j + grid])
            order = np.random.RandomState(212).permutation(len(patches))
    found, at = np.zeros_like(image), 0
    for i in range(0, 229 - grid, grid):
        for j in range(0, 229 - grid, grid):
            found[i : i + grid, j : j + grid] = patches[order[at]]
            at += 1
    return found


def shifted(name: str, value: Any, severity: float, **options: Any) -> Any:
    words = RandomStream(0, name, "d", "k")
    return registry.find("shifts", name).apply(value, severity, words, **options)


def test_a_scramble_is_the_released_one() -> None:
    image = shift_digests.picture(224, 224, 3)
    assert np.array_equal(shifted("patch_scramble", image, 1), literal_scramble(image))
    assert np.array_equal(shifted("patch_scramble", image, 0), image)
    rows = np.repeat(np.repeat(np.arange(4).reshape(2, 2), 2, 0), 2, 1).astype(np.uint8)
    assert shifted("patch_scramble", rows, 1)[::2, ::2].ravel().tolist() == [2, 3, 1, 0]
    small = shifted("patch_scramble", shift_digests.picture(33, 30), 1, grid=4)
    assert sorted(small.ravel()) == sorted(shift_digests.picture(33, 30).ravel())


def test_contours_are_those_of_a_square_and_not_of_texture() -> None:
    """A bright square on black has one closed contour; a step below both thresholds has none."""
    image = np.zeros((20, 20), np.uint8)
    image[5:15, 5:15] = 255
    edges = shifted("canny_edges", image, 5)
    assert set(np.unique(edges).tolist()) == {0, 255}
    assert ndimage.label(edges, np.ones((3, 3)))[1] == 1
    filled = ndimage.binary_fill_holes(edges > 0)
    assert 80 <= filled.sum() <= 144
    assert not shifted("canny_edges", (image // 16).astype(np.uint8), 5).any()
    colour = np.stack([image] * 3, axis=-1)
    assert np.array_equal(shifted("canny_edges", colour, 5)[..., 0], edges)
    assert np.array_equal(shifted("canny_edges", colour, 0), colour)


def test_thresholds_join_a_weak_edge_to_a_strong_one() -> None:
    """A vertical edge whose height falls is kept as far as the low threshold, if its top passes the high one."""
    heights = np.linspace(1.0, 0.0, 21)[:, None]
    grey = np.where(np.arange(20) >= 10, heights, 0.0)
    rows = np.flatnonzero(canny_edges.canny(grey, 0.4, 1.0, 3.0).any(1))
    alone = np.flatnonzero(canny_edges.canny(grey, 0.4, 2.9, 3.0).any(1))
    assert len(rows) > len(alone) > 0
    assert np.array_equal(rows, np.arange(rows[0], rows[-1] + 1))
    assert not canny_edges.canny(0.7 * grey, 0.4, 1.0, 3.0).any()


def test_a_silhouette_takes_the_mask_or_what_is_bright() -> None:
    image = np.full((4, 4), 10, np.uint8)
    image[1:3, 1:3] = 90
    mask = np.zeros((4, 4), np.uint8)
    mask[0, 0] = 255
    bright = shifted("silhouette", Sample("k", {"image": image}), 5).fields["image"]
    assert np.array_equal(bright == 0, image == 90)
    assert set(np.unique(bright).tolist()) == {0, 255}
    masked = shifted("silhouette", Sample("k", {"image": image, "mask": mask}), 5, inside=7)
    assert np.array_equal(masked.fields["image"] == 7, mask > 0)
    with pytest.raises(ParamsError, match="levels of 0 to 255"):
        shifted("silhouette", Sample("k", {"image": image}), 5, inside=300)


# --- nets of ImageNet --------------------------------------------------------------------------------


def test_sixteen_categories_by_the_mean_of_their_classes() -> None:
    """The released decision, on drawn probabilities: the category with the highest mean, in the order of names."""
    found = PAIR.shares()
    indices = {
        name: found[:, at].nonzero().flatten().tolist()
        for at, name in enumerate(registry.find("datasets", "texture_vs_shape").CLASSES)
    }
    sizes = {name: len(own) for name, own in indices.items()}
    assert sum(sizes.values()) == 207
    assert (sizes["dog"], sizes["bird"], sizes["airplane"]) == (109, 49, 1)
    assert indices["airplane"] == [404]
    assert indices["cat"] == [281, 282, 283, 284, 285, 286]
    probabilities = torch.softmax(3 * torch.randn(50, 1000, generator=torch.Generator().manual_seed(0)), 1)
    means = (probabilities.double() @ found).numpy()
    for row, own in zip(probabilities.double().numpy(), means, strict=True):
        best, decision = -np.inf, ""
        for name in sorted(indices):
            value = np.mean(np.take(row, indices[name]))
            if value > best:
                best, decision = value, name
        assert list(indices)[int(own.argmax())] == decision


def small(name: str, classes: int, *, robust: bool) -> tuple[Any, dict[str, Any]]:
    params = {**defaults(PAIR), "name": name, "robust": robust, "size": 64}
    torch.manual_seed(0)
    return PAIR.build(params, classes).eval(), params


def as_released(net: Any, name: str) -> nets.State:
    """Return a state dict as the robustness package writes it: the net twice, a normaliser, and its own names."""
    plain = {key.removeprefix("body."): value for key, value in net.state_dict().items()}
    head = net.head_name
    plain = {
        f"{head}.{key.removeprefix('head.')}" if key.startswith("head.") else key: value for key, value in plain.items()
    }
    if name == "alexnet":
        plain = {key.replace("classifier.6.", "last_layer."): value for key, value in plain.items()}
    if name == "googlenet":
        plain = {key.replace("branch4.1.", "branch4_conv."): value for key, value in plain.items()}
        plain["aux1.fc1.weight"] = torch.zeros(1)
    state = {f"module.{copy}.{key}": v for key, v in plain.items() for copy in ("model", "attacker.model")}
    mean, std = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    for copy in ("normalizer", "attacker.normalize"):
        state[f"module.{copy}.new_mean"] = torch.tensor(mean).reshape(-1, 1, 1)
        state[f"module.{copy}.new_std"] = torch.tensor(std).reshape(-1, 1, 1)
    return state


@pytest.mark.parametrize("name", ["alexnet", "resnet50"])
def test_released_names_are_taken_to_the_nets(name: str) -> None:
    with torch.device("meta"):
        net = small(name, 1000, robust=True)[0]
        released = as_released(net, name)
    for kept in ("normalizer.new_mean", "normalizer.new_std"):
        del released[f"module.{kept}"]  # a meta tensor has no numbers
    found, wanted = net.adopt(released), net.state_dict()
    assert {key: value.shape for key, value in found.items()} == {key: value.shape for key, value in wanted.items()}


def test_a_released_checkpoint_of_a_robust_net_loads(tmp_path: Path) -> None:
    """Nested as the release nests it; the answers are those of the net that was written."""
    net, params = small("googlenet", 16, robust=True)
    state = as_released(net, "googlenet")
    torch.save({"model": state, "epoch": 90}, tmp_path / "checkpoint.pt")
    read = PAIR.pretrained({**params, "path": str(tmp_path / "checkpoint.pt")}, {})
    torch.manual_seed(1)
    other = PAIR.build(params, 16).eval()
    nets.load_into(other, other.adopt(read), "checkpoint")
    picture = torch.randint(0, 255, (2, 3, 64, 64), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.equal(net(picture), other(picture))
        features, logits = net.predict(picture)
        means = torch.softmax(net.head(features).double(), 1) @ PAIR.shares()
    assert torch.allclose(logits, means.log())
    assert logits.shape == (2, 16)
    state["module.normalizer.new_mean"] = torch.full((3, 1, 1), 0.47)
    with pytest.raises(ModelError, match="of another dataset"):
        PAIR.uncut(state)


def test_only_the_standard_googlenet_normalises_twice() -> None:
    assert small("googlenet", 1000, robust=False)[0].body.transform_input
    assert not small("googlenet", 1000, robust=True)[0].body.transform_input
    with pytest.raises(ModelError, match="name is 'vgg16'"):
        small("vgg16", 1000, robust=False)
    with pytest.raises(ModelError, match="give the robust alexnet"):
        PAIR.pretrained({**defaults(PAIR), "name": "alexnet", "robust": True}, {})
