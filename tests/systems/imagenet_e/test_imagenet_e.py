"""ImageNet-E's parts: composites, edits of one attribute, complexity and its gradient, drops."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from shiftbench.base import refs, registry
from shiftbench.base.errors import DataError, ParamsError
from shiftbench.base.registry import defaults
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.contracts import shift_digests
from shiftbench.data.source_files import original_folder
from shiftbench.evaluation import nets
from shiftbench.plugins.metrics.severity import accuracy_drop_relative, flip_rate
from shiftbench.plugins.shifts import _masks, _scikit_photos
from shiftbench.statistics.contributions import weighted_sums
from shiftbench.statistics.rows import Row, Rows, SeverityPath
from shiftbench.systems.imagenet_e.shifts import _complexity

COMPOSITES = registry.find("datasets", "fashion_composites")


OBJECTS = ("object_size", "object_position", "object_direction", "object_control")


@pytest.fixture(scope="module")
def clothes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return originals in the layout of the real ones: items of rounded random boxes, photos of ours."""
    folder = tmp_path_factory.mktemp("fashion_mnist")
    random = np.random.default_rng(0)
    for name, count in (("train", 60), ("t10k", 60)):
        images = np.zeros((count, 28, 28), np.uint8)
        for image in images:
            top, left = random.integers(0, 8, 2)
            tall, wide = random.integers(10, 20, 2)
            image[top : top + tall, left : left + wide] = random.integers(30, 256, (tall, wide))
        for kind, array in (("images-idx3", images), ("labels-idx1", np.arange(count) % 10)):
            head = b"\0\0\x08" + bytes([array.ndim]) + np.array(array.shape, ">i4").tobytes()
            raw = head + array.astype(np.uint8).tobytes()
            (folder / f"{name}-{kind}-ubyte").write_bytes(raw)
    return {**shift_digests.originals(), "fashion_mnist": folder}


def composites(sources: dict[str, Path], split: str, **options: Any) -> list[Sample]:
    found = list(COMPOSITES.samples(split, sources, {**defaults(COMPOSITES), **options}))
    assert all(isinstance(sample, Sample) for sample in found)
    return found


def edited(name: str, sample: Sample, severity: float, **options: Any) -> Sample:
    rng = RandomStream(0, name, "d", sample.key)
    result = shift_digests.apply(registry.find("shifts", name), sample, severity, rng, **options)
    assert isinstance(result, Sample)
    return result


def same(one: Sample, other: Sample) -> bool:
    return all(np.array_equal(one.fields[f], other.fields[f]) for f in ("image", "mask"))


# --- composites -------------------------------------------------------------------------------------


def test_composite_is_the_item_on_a_piece_of_a_photo(clothes: dict[str, Path]) -> None:
    for sample in composites(clothes, "test")[:20]:
        image, mask, meta = (sample.fields[name] for name in ("image", "mask", "meta"))
        left, top, right, bottom = map(int, meta["region"].split(","))
        with Image.open(clothes[_scikit_photos.SOURCE] / meta["photo"]) as file:
            piece = file.convert("L").crop((left, top, right, bottom))
        behind = np.asarray(piece.resize((48, 48), Image.Resampling.BILINEAR))
        outside = mask == 0
        assert np.abs(image[outside].astype(int) - behind[outside]).max() <= 1
        assert _masks.rate(mask) == pytest.approx(0.2, abs=0.015)
        box = _masks.box("test", mask)
        middle = np.array([box.top + box.bottom, box.left + box.right]) / 2
        assert np.abs(middle - 24).max() <= 0.03 * 48 + 0.5


def test_no_place_of_training_is_in_a_test_or_held_out_background(clothes: dict[str, Path]) -> None:
    home = clothes[_scikit_photos.SOURCE]
    seen = {split: composites(clothes, split) for split in ("train", "test")}
    photos = {s.fields["meta"]["photo"] for part in seen.values() for s in part}
    assert photos <= set(_scikit_photos.TRAINING)
    assert photos.isdisjoint(_scikit_photos.HELD_OUT)
    sums = {
        name: hashlib.sha256((home / name).read_bytes()).hexdigest()
        for name in (*_scikit_photos.TRAINING, *_scikit_photos.HELD_OUT)
    }
    held_out = {sums[name] for name in _scikit_photos.HELD_OUT}
    assert held_out.isdisjoint(sums[name] for name in photos)
    for name in photos:
        with Image.open(home / name) as file:
            covered = {split: np.zeros(file.size, bool) for split in seen}
        for split, part in seen.items():
            for meta in (s.fields["meta"] for s in part if s.fields["meta"]["photo"] == name):
                left, top, right, bottom = map(int, meta["region"].split(","))
                covered[split][left:right, top:bottom] = True
        assert not (covered["train"] & covered["test"]).any()
    whole = _scikit_photos.crop((48, 48), RandomStream(0, "a", "b", "c"), clothes, _scikit_photos.HELD_OUT)
    assert whole.photo in _scikit_photos.HELD_OUT


def test_real_photos_are_apart_by_checksum() -> None:
    from shiftbench.data.source_files import load_source

    files = load_source(_scikit_photos.SOURCE).files
    train, held_out = (
        {files[name].sha256 for name in names} for names in (_scikit_photos.TRAINING, _scikit_photos.HELD_OUT)
    )
    assert len(train) == 8
    assert len(held_out) == 5
    assert train.isdisjoint(held_out)


def test_held_out_photos_replace_the_background(clothes: dict[str, Path]) -> None:
    sample = composites(clothes, "test")[0]
    rng = RandomStream(0, "background_replaced", "d", sample.key)
    held_out = _scikit_photos.crop((48, 48), rng, clothes, _scikit_photos.HELD_OUT)
    result = edited("background_replaced", sample, 5.0, photos="held_out")
    outside, inside = sample.fields["mask"] == 0, sample.fields["mask"] == 255
    assert np.array_equal(result.fields["image"][outside], held_out.pixels[outside])
    assert np.array_equal(result.fields["image"][inside], sample.fields["image"][inside])
    asks = registry.find("shifts", "background_replaced").needs
    assert asks({"photos": "held_out"}) == [refs.sources("scikit_image_photos")]
    assert asks({"photos": "all"}) == [refs.sources("background_photos")]


def test_composites_of_wrong_options_are_refused(clothes: dict[str, Path]) -> None:
    for wrong in ({"side": 4}, {"share": 0.0}, {"jitter": 0.5}):
        with pytest.raises(ParamsError, match="fashion_composites: side"):
            composites(clothes, "test", **wrong)


# --- edits of the object ----------------------------------------------------------------------------


def test_edits_of_nothing_are_the_control(clothes: dict[str, Path]) -> None:
    for sample in composites(clothes, "test", share=0.25)[:10]:
        control = edited("object_control", sample, 1.0)
        for name in ("object_size", "object_position", "object_direction"):
            assert same(edited(name, sample, 1e-9), control)
        assert same(edited("background_guided", control, 1e-9), control)
        assert same(edited("object_full", control, 1e-9), control)
        opaque = sample.fields["mask"] == 255
        assert np.array_equal(control.fields["image"][opaque], sample.fields["image"][opaque])
        change = np.abs(control.fields["image"].astype(int) - sample.fields["image"])
        assert change.mean() < 0.5


@pytest.mark.parametrize(("severity", "share"), [(3.0, 0.1), (4.0, 0.08), (5.0, 0.05), (3.5, 0.09)])
def test_size_reaches_its_share(clothes: dict[str, Path], severity: float, share: float) -> None:
    for sample in composites(clothes, "test")[:20]:
        result = edited("object_size", sample, severity)
        assert abs(_masks.rate(result.fields["mask"]) - share) <= 0.015


def test_position_keeps_the_whole_object_inside(clothes: dict[str, Path]) -> None:
    for sample in composites(clothes, "test")[:20]:
        before = sample.fields["mask"]
        after = edited("object_position", sample, 5.0).fields["mask"]
        own, found = _masks.box("test", before), _masks.box("test", after)
        assert (own.height, own.width) == (found.height, found.width)
        assert _masks.rate(after) == pytest.approx(_masks.rate(before), rel=0.01)


def test_full_is_the_crop_to_the_box(clothes: dict[str, Path]) -> None:
    for sample in composites(clothes, "test")[:10]:
        box = _masks.box("test", sample.fields["mask"])
        side = max(box.height, box.width)
        top, left = (
            min(max((low + high - side) / 2, 0), 48 - side)
            for low, high in ((box.top, box.bottom), (box.left, box.right))
        )
        for severity in (2.5, 5.0):
            part = severity / 5
            corner = np.array([left, top]) * part
            size = 48 + (side - 48) * part
            literal = Image.fromarray(sample.fields["image"]).transform(
                (48, 48),
                Image.Transform.AFFINE,
                (size / 48, 0, corner[0], 0, size / 48, corner[1]),
                Image.Resampling.BILINEAR,
            )
            result = edited("object_full", sample, severity)
            inner = np.s_[2:-2, 2:-2]  # Pillow fills what is half outside with black
            far = np.abs(result.fields["image"].astype(float) - np.asarray(literal))[inner]
            assert far.mean() < 0.6
        assert _masks.rate(result.fields["mask"]) > 1.5 * _masks.rate(sample.fields["mask"])


# --- complexity -------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(48, 48), (28, 28), (33, 57), (7, 1), (1, 1), (64, 30)])
def test_gradient_of_complexity_is_that_of_autograd(shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(1).random(shape).astype(np.float32)
    x = torch.from_numpy(pixels).double().requires_grad_()
    transform = torch.fft.fft2(x)
    (transform.real**2 + transform.imag**2 + 1e-8).sqrt().sum().backward()
    assert x.grad is not None
    found = _complexity.gradient(pixels)
    assert np.abs(found - x.grad.numpy()).max() < 1e-5 * np.abs(x.grad.numpy()).max()


def test_complexity_is_the_mean_size_of_the_transform() -> None:
    image = shift_digests.picture(12, 9, 3)
    literal = torch.fft.fftn(torch.from_numpy(image / 255.0).permute(2, 0, 1), dim=(1, 2)).abs()
    assert _complexity.complexity(image) == pytest.approx(float(literal.mean()))
    brighter = (image // 2 + 60).astype(np.uint8), (image // 2 + 20).astype(np.uint8)
    without = [_complexity.complexity(one, mean=False) for one in brighter]
    assert without[0] == pytest.approx(without[1])


@pytest.mark.parametrize("colour", [False, True])
def test_five_steps_raise_or_lower_complexity_and_leave_the_object(clothes: dict[str, Path], *, colour: bool) -> None:
    for grey in composites(clothes, "test")[:6]:
        layers = [np.roll(grey.fields["image"], i, axis=0) for i in range(3)]
        sample = grey.with_field("image", np.stack(layers, axis=-1)) if colour else grey
        own = _complexity.complexity(sample.fields["image"])
        opaque = sample.fields["mask"] == 255
        for way, sign in (("up", 1), ("down", -1)):
            last = own
            for severity in (1.0, 2.0):  # lambda 10 and 20
                result = edited("background_guided", sample, severity, way=way, steps=5)
                found = _complexity.complexity(result.fields["image"])
                assert sign * (found - last) > 0
                last = found
                kept_ = result.fields["image"][opaque]
                assert np.array_equal(kept_, sample.fields["image"][opaque])
                assert np.array_equal(result.fields["mask"], sample.fields["mask"])


def test_lambda_is_how_far_the_background_goes() -> None:
    """On a grey ground nothing is clipped and every step goes the same way: 20 grey levels, root mean square."""
    noise = np.random.default_rng(0).integers(100, 156, (48, 48)).astype(np.uint8)
    mask = np.zeros((48, 48), np.uint8)
    mask[14:34, 14:34] = 255
    result = edited("background_guided", Sample("a", {"image": noise, "mask": mask}), 2.0)
    change = (result.fields["image"].astype(float) - noise)[mask == 0]
    assert np.sqrt((change**2).mean()) == pytest.approx(20, rel=0.1)


def test_wrong_options_of_guidance_are_refused(clothes: dict[str, Path]) -> None:
    sample = composites(clothes, "test")[0]
    with pytest.raises(ParamsError, match="way is 'left'; allowed are up and down"):
        edited("background_guided", sample, 1.0, way="left")
    with pytest.raises(ParamsError, match="steps is 0; at least 1"):
        edited("background_guided", sample, 1.0, steps=0)


def test_adversarial_background_raises_the_classifiers_loss(clothes: dict[str, Path], tmp_path: Path) -> None:
    model, options = registry.find("models", "convnet"), {"size": 48, "width": 4}
    torch.manual_seed(0)
    net = model.build({**defaults(model), **options}, 10).eval()
    file = tmp_path / "weights.safetensors"
    file.write_bytes(nets.state_bytes(net.state_dict(), {"classes": str(list("0123456789")).replace("'", '"')}))
    samples = composites(clothes, "test")[:12]
    module = registry.find("shifts", "background_adversarial")
    ref = module.needs({**defaults(module), "dataset": "d"})[0]
    assert ref == refs.checkpoint("d", "convnet", "erm", 0)
    attacked = [
        module.apply(s, 2.0, RandomStream(0, "a", "d", s.key), inputs={ref: file}, options=options) for s in samples
    ]
    busier = [edited("background_guided", s, 2.0) for s in samples]

    def loss(of: list[Sample]) -> float:
        pixels = torch.from_numpy(np.stack([s.fields["image"] for s in of]))[:, None]
        labels = torch.tensor([s.fields["label"] for s in of])
        with torch.no_grad():
            return float(torch.nn.functional.cross_entropy(net(pixels), labels))

    assert loss(attacked) > loss(busier) + 0.005
    assert loss(attacked) > loss(samples) + 0.005
    for sample, result in zip(samples, attacked, strict=True):
        opaque = sample.fields["mask"] == 255
        own, found = sample.fields["image"], result.fields["image"]
        assert np.array_equal(own[opaque], found[opaque])
        assert _complexity.complexity(found) > _complexity.complexity(own)
    with pytest.raises(DataError, match="asks a classifier, which is not here"):
        edited("background_adversarial", samples[0], 1.0)
    with pytest.raises(DataError, match="the classifier's input is .1, 28, 28., the image .48, 48."):
        module.apply(
            samples[0], 2.0, RandomStream(0, "a", "d", "k"), inputs={ref: file}, options={"size": 28, "width": 4}
        )


# --- drops ------------------------------------------------------------------------------------------


def test_flip_rate_by_hand() -> None:
    import pyarrow as pa

    clean, mild, hard = (
        Rows(pa.table({"correct": [bool(int(c)) for c in line]})) for line in ("111100", "110111", "000111")
    )
    path = SeverityPath((0.0, 2.0, 5.0), (clean, mild, hard))
    ones = np.ones((6, 1), np.uint8)
    (sums,) = weighted_sums([flip_rate.reduce(path)], ones)
    found = {severity: float(v[0]) for severity, v in flip_rate.finish(sums, path).items()}
    assert found == {None: 0.5, 2.0: 0.25, 5.0: 0.75}  # of four right ones: the third; the first three


def row(shift: str, severity: float | None, values: list[float]) -> Row:
    reference = None if shift == "identity" else "d/test/identity/0"
    who = ("c", "classification", "d/net-erm-s0", "plain", None, "d", "test")
    rest = ("accuracy", values[0], np.array(values[1:]), 4, 0, "key")
    return Row(*who, reference, shift, severity, None, None, *rest)


def test_relative_drop_is_paired_and_by_its_clean_accuracy() -> None:
    rows = [
        row("identity", 0.0, [0.8, 0.5, 0.0]),
        row("size", 3.0, [0.4, 0.25, 0.0]),
        row("size", 5.0, [0.2, 0.5, 0.0]),
        row("turn", None, [0.6, 0.4, 0.0]),
    ]
    found = {(one.shift, one.severity): one.all.tolist() for one in accuracy_drop_relative.compute(rows, "accuracy")}
    expected = {
        ("size", 3.0): [0.5, 0.5, np.nan],
        ("size", 5.0): [0.75, 0.0, np.nan],
        ("size", None): [0.625, 0.25, np.nan],
        ("turn", None): [0.25, 0.2, np.nan],
        (None, None): [0.4375, 0.225, np.nan],
    }
    assert found.keys() == expected.keys()
    for place, values in expected.items():
        assert found[place] == pytest.approx(values, nan_ok=True)


# --- photos with a clear object ---------------------------------------------------------------------


def test_outline_is_filled() -> None:
    filled = registry.find("datasets", "photo_objects").fill_polygon
    square = filled(np.array([2, 1, 6, 1, 6, 4, 2, 4]), 6, 8)
    literal = np.zeros((6, 8), np.uint8)
    literal[1:4, 2:6] = 255
    assert np.array_equal(square, literal)
    from PIL import ImageDraw

    corners = [10, 3, 38, 20, 20, 45, 24, 22, 4, 30]
    picture = Image.new("L", (50 * 8, 48 * 8))
    ImageDraw.Draw(picture).polygon([8 * c for c in corners], fill=255)
    share = np.asarray(picture).reshape(48, 8, 50, 8).mean(axis=(1, 3))
    found = filled(np.array(corners), 48, 50)
    assert np.abs(found - share).max() <= 255 * 0.7  # by the middle, not by the larger part
    assert found.mean() == pytest.approx(share.mean(), rel=0.03)


def test_labels_are_what_efficientnet_says_and_some_edits_cost() -> None:
    """The path of 224 px: four photos, a net that knows ImageNet, every edit. The pipeline alone costs nothing."""
    module, model = (registry.find("datasets", "photo_objects"), registry.find("models", "efficientnet_lite0"))
    sources = {name: original_folder(name) for name in (*module.SOURCES, "efficientnet_lite0")}
    absent = [name for name, folder in sources.items() if not folder.is_dir()]
    if absent:
        pytest.skip(f"the source {absent[0]} is not in the cache")
    options = {**defaults(model), "size": 224}
    net = model.build(options, 1000)
    inputs = {refs.sources("efficientnet_lite0"): sources["efficientnet_lite0"] / "manifest.json"}
    state = model.pretrained(options, inputs)
    nets.load_into(net, net.adopt(state), "efficientnet_lite0")
    samples = list(module.samples("test", sources, defaults(module)))

    def right(of: list[Sample]) -> list[bool]:
        with torch.inference_mode():
            logits = net.eval()(torch.from_numpy(model.prepare_batch(of, options)))
        return [int(row.argmax()) == s.fields["label"] for row, s in zip(logits, of, strict=True)]

    assert all(right(samples))
    kept_right = {}
    for name in OBJECTS:
        results = [edited(name, s, 5.0) for s in samples]
        assert {s.fields["image"].shape for s in results} == {(224, 224, 3)}
        kept_right[name] = sum(right(results))
    assert kept_right["object_control"] == len(samples)
    assert min(kept_right.values()) < len(samples)
    for way in ("up", "down"):
        for sample in samples[:2]:
            result = edited("background_guided", sample, 2.0, way=way)
            opaque = sample.fields["mask"] == 255
            own, found = sample.fields["image"], result.fields["image"]
            assert np.array_equal(own[opaque], found[opaque])
            assert not np.array_equal(own, found)
