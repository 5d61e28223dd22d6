"""OOD data: OpenOOD's layout in miniature through the overlays, held-out classes, noise, patches of photos."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from isolation import ROOT
from makers import small_files
from shiftbench import cli
from shiftbench.base import registry
from shiftbench.base.errors import DataError, DuplicateKeyError, ParamsError
from shiftbench.base.registry import defaults
from shiftbench.base.sample import Sample
from shiftbench.data import pins, shards
from shiftbench.evaluation import nets
from shiftbench.provenance import recipe
from shiftbench.workflow.plan import loading, unavailable
from shiftbench.workflow.plan.params import Params
from shiftbench.workflow.plan.plan import Plan
from shiftbench.workflow.stages import shift, train

SCALES = {"openood_cifar10": 10, "openood_cifar100": 100, "openood_imagenet200": 200, "openood_imagenet": 1000}
EACH = 6


def read(name: str, native: str, sources: dict[str, Path] | None = None, **options: Any) -> list[Any]:
    module = registry.find("datasets", name)
    return list(module.samples(native, sources or {}, {**defaults(module), "name": "mine", **options}))


# --- the overlays, on a miniature -----------------------------------------------------------------


def overlay(scale: str, root: Path, **more: Any) -> Params:
    """Return the params of a scale with its data below `root`, six images a list."""
    content = yaml.safe_load((ROOT / f"params/{scale}.yaml").read_text())
    small = {
        name: {"root": str(root), "counts": dict.fromkeys(entry["lists"], EACH)}
        for name, entry in content["datasets"].items()
    }
    root.mkdir(exist_ok=True)
    (root / "small.yaml").write_text(yaml.safe_dump({"datasets": small} | more))
    return loading.load(ROOT / "params.yaml", ROOT / f"params/{scale}.yaml", root / "small.yaml")


def make_lists(params: Params, root: Path) -> None:
    """Write each list of the overlay and its images, large enough to be cut."""
    number = 0
    for name, entry in params.datasets.items():
        if entry.use != "image_list":
            continue
        options = params.options("datasets", name)
        for split, file in options["lists"].items():
            labels = [i % 7 if options["classes"] else -1 for i in range(EACH)]
            rows = [(f"{name}/{split}/v1.{i}.png", label) for i, label in enumerate(labels)]
            small_files.listed(root, file, options["images"], rows, number := number + 1)


@pytest.mark.parametrize("scale", SCALES)
def test_every_set_of_the_overlay_becomes_shards(scale: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    params = overlay(scale, tmp_path / "openood")
    make_lists(params, tmp_path / "openood")
    plan = Plan.of(params)
    assert all(file.exists != file.path.endswith(".ckpt") for file in unavailable.user_files(plan))
    plan.write(tmp_path)
    seen = {}
    for job in plan.of_verb("shift"):
        recipe.execute(tmp_path / job.recipe_path, shift.run)
        for artifact in (artifact for artifact in job.artifacts if artifact.ref.kind == "shards"):
            folder = (tmp_path / artifact.ref.path).parent
            dataset, split, *_ = artifact.ref.parts
            about, samples = shards.manifest(folder), list(shards.read(folder))
            options = params.options("datasets", dataset)
            side = options["side"] if options["shorter"] else None
            assert [sample.key for sample in samples] == [f"image_list/{dataset}/{split}/v1_{i}" for i in range(EACH)]
            assert {sample.fields["image"].shape for sample in samples} == {(side, side, 3) if side else (36, 40, 3)}
            assert len(about["classes"]) == (SCALES[scale] if options["classes"] else 1)
            assert about["licence"] == options["licence"] != ""
            assert artifact.ref.local
            seen[f"{dataset}/{split}"] = [sample.fields["label"] for sample in samples]
    wanted = {f"{name}/{split}" for name, entry in params.datasets.items() for split in entry.options.get("lists", ())}
    assert set(seen) == wanted
    assert seen[f"{scale}/test"] == [i % 7 for i in range(EACH)]


@pytest.mark.parametrize("scale", SCALES)
def test_plan_lists_what_is_yours_before_there_is_anything(
    scale: str, in_pristine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["shiftbench", "plan", "--config", scale])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert not end.value.code
    shown = capsys.readouterr().out
    content = yaml.safe_load(Path(f"params/{scale}.yaml").read_text())
    for entry in content["datasets"].values():
        for split, file in entry["lists"].items():
            count = entry["counts"].get(split)
            what = f"list of {count:,} images" if count else "list of images"
            line = next(line for line in shown.splitlines() if f"{entry['root']}/{file}: " in line)
            assert what in line
            assert line.endswith(entry["licence"])


def test_a_released_checkpoint_is_asked_for_by_seed_pinned_and_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given = {"trainers": {"given": {"path": "released/{model}_s{seed}.ckpt"}}}
    scale = "openood_cifar10"
    plan = Plan.of(overlay(scale, tmp_path / "openood", **given))
    jobs = plan.of_verb("train")
    spec = [job.artifacts[0].recipe["trainer"] for job in jobs]
    assert [one["options"]["path"] for one in spec] == [f"released/resnet18_32x32_s{seed}.ckpt" for seed in range(3)]
    plan.write(tmp_path)
    with pytest.raises(
        DataError, match=r"released/resnet18_32x32_s0.ckpt is not pinned; bring it, then run `shiftbench pin"
    ):
        recipe.execute(tmp_path / jobs[0].recipe_path, train.run)
    Path("released").mkdir()
    model = registry.find("models", "resnet18_32x32")
    state = model.build(defaults(model), 10).state_dict()
    torch.save(
        {name.replace("head.", "fc."): tensor for name, tensor in state.items()}, "released/resnet18_32x32_s0.ckpt"
    )
    with pytest.raises(ParamsError, match=r"trainers.given.path = 'released/resnet18_32x32_s0.ckpt' is not pinned"):
        Plan.of(overlay(scale, tmp_path / "openood", **given))
    pins.pin([Path("released/resnet18_32x32_s0.ckpt")])
    plan = Plan.of(overlay(scale, tmp_path / "openood", **given))
    plan.write(tmp_path)
    job = plan.of_verb("train")[0]
    recipe.execute(tmp_path / job.recipe_path, train.run)
    weights = tmp_path / job.artifacts[0].ref.path
    assert nets.classes_of(weights) == list(registry.find("datasets", "cifar10").CLASSES)
    loaded = nets.read_state(weights)
    assert all(torch.equal(loaded[name], tensor) for name, tensor in state.items())


def test_resnet18_has_openoods_tensors() -> None:
    model = registry.find("models", "resnet18_32x32")
    state = model.build(defaults(model), 10).state_dict()
    names = [f"layer{n}.{b}.{part}" for n in range(1, 5) for b in (0, 1) for part in ("conv1", "bn1", "conv2", "bn2")]
    names += [f"layer{n}.0.shortcut.{part}" for n in (2, 3, 4) for part in (0, 1)] + ["conv1", "bn1", "head"]
    assert {name.rpartition(".")[0] for name in state} == set(names)
    assert state["layer2.0.shortcut.0.weight"].shape == (128, 64, 1, 1)
    trained = [tensor.numel() for name, tensor in state.items() if name.rpartition(".")[2] in ("weight", "bias")]
    assert sum(trained) == 11_173_962


# --- lists -----------------------------------------------------------------------------------------


def listed(tmp_path: Path, text: str, **options: Any) -> list[Any]:
    (tmp_path / "lists").mkdir(exist_ok=True)
    (tmp_path / "lists/test.txt").write_text(text)
    return read("image_list", "test", root=str(tmp_path), lists={"test": "lists/test.txt"}, **options)


def test_lists_of_one_picture_give_one_key_whatever_the_list(tmp_path: Path) -> None:
    small_files.picture(0).save(tmp_path / "a b.png")
    found = listed(tmp_path, "a b.png -1\r\n\n")
    assert [(sample.key, sample.fields["label"]) for sample in found] == [("image_list/a b", 0)]
    again = listed(tmp_path, "a b.png 1\n", classes=["x", "y"])
    assert (again[0].key, again[0].fields["label"]) == ("image_list/a b", 1)


def test_pictures_stay_or_are_cut_or_squeezed(tmp_path: Path) -> None:
    picture = small_files.picture(0, (60, 40))
    picture.save(tmp_path / "a.png")
    found = [
        listed(tmp_path, "a.png -1\n", **options)[0].fields["image"]
        for options in ({}, {"shorter": 32, "side": 24}, {"squeezed": 24})
    ]
    resized = picture.resize((48, 32), Image.Resampling.BILINEAR).crop((12, 4, 36, 28))
    squeezed = picture.resize((24, 24), Image.Resampling.BILINEAR)
    for one, expected in zip(found, (picture, resized, squeezed), strict=True):
        assert np.abs(one.astype(int) - np.asarray(expected)).max() <= 1


@pytest.mark.parametrize(
    ("text", "options", "error", "message"),
    [
        ("a.png\n", {}, DataError, r"lists/test.txt line 1: 'a.png' is no `relative/path label`"),
        ("a.png -1\n/b.png -1\n", {}, DataError, r"test.txt line 2: '/b.png -1' is no `relative"),
        ("../a.png -1\n", {}, DataError, r"test.txt line 1: '../a.png -1' is no `relative"),
        ("a.png -1\na.jpg -1\n", {}, DuplicateKeyError, r"image_list/a: named by the lines . and . of .*test.txt"),
        ("a.png -1\n", {"counts": {"test": 2}}, DataError, r"test.txt lists 1 images, expected 2; .*mine.counts.test"),
        ("", {}, DataError, r"test.txt lists 0 images, expected 1"),
    ],
)
def test_bad_lists_are_refused(
    text: str, options: dict[str, Any], error: type[Exception], message: str, tmp_path: Path
) -> None:
    small_files.picture(0).save(tmp_path / "a.png")
    with pytest.raises(error, match=message):
        listed(tmp_path, text, **options)


@pytest.mark.parametrize(
    ("row", "options", "message"),
    [
        ("gone.png -1", {}, r"lists/test.txt line 2: the image .*gone.png does not exist"),
        ("broken.png -1", {}, r"lists/test.txt line 2: image_list/broken: the image .*broken.png\) cannot be read"),
        ("b.png 3", {}, r"test.txt line 2: b.png has the label '3', expected -1, since no `classes` are given"),
        ("b.png -1", {"classes": "cifar10"}, r"test.txt line 2: b.png has the label '-1', expected 0 to 9"),
        ("b.png 1.5", {"classes": ["x"]}, r"test.txt line 2: b.png has the label '1.5', expected 0 to 0"),
    ],
)
def test_bad_pictures_and_labels_are_yielded_as_errors(
    row: str, options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    small_files.picture(0).save(tmp_path / "a.png")
    (tmp_path / "broken.png").write_bytes((tmp_path / "a.png").read_bytes()[:60])
    first = "a.png 0" if options else "a.png -1"
    found = listed(tmp_path, f"{first}\n{row}\n", **options)
    assert isinstance(found[0], Sample)
    with pytest.raises(DataError, match=message):
        raise found[1]


def test_classes_are_the_folders_of_a_list_and_a_list_may_leave_others_out(tmp_path: Path) -> None:
    for name in ("DTD/b/b_1.png", "DTD/a/a_1.png", "DTD/a/a_2.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        small_files.picture(0).save(tmp_path / name)
    (tmp_path / "train.txt").write_text("DTD/b/b_1.png 0\nDTD/a/a_1.png 1\n")
    (tmp_path / "out.txt").write_text("DTD/a/a_2.png -1\nDTD/a/a_1.png -1\n")
    known = {"root": str(tmp_path), "lists": {"train": "train.txt"}, "classes": "folders"}
    module = registry.find("datasets", "image_list")
    assert module.classes({**defaults(module), **known}, {}) == ("b", "a")
    assert [s.fields["label"] for s in read("image_list", "train", **known)] == [1, 0]
    unknown = {"root": str(tmp_path), "lists": {"test": "out.txt"}, "without": ["train.txt"]}
    found = read("image_list", "test", **unknown, counts={"test": 2})
    assert [sample.key for sample in found] == ["image_list/DTD/a/a_2"]
    assert str(tmp_path / "train.txt") in module.wants("test", {**defaults(module), **unknown})
    for text in ("DTD/b/b_1.png 0\nDTD/a/a_1.png 0\n", "DTD/b/b_1.png 0\nDTD/a/a_1.png 2\n"):
        (tmp_path / "train.txt").write_text(text)
        with pytest.raises(DataError, match="expected labels from 0, each of the images of one"):
            module.classes({**defaults(module), **known}, {})


def test_options_of_lists_are_told(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="image_list: option root is missing"):
        read("image_list", "test", lists={"test": "a.txt"})
    with pytest.raises(ParamsError, match=r"datasets.mine.lists names no list for val; it has test"):
        read("image_list", "val", root=str(tmp_path), lists={"test": "a.txt"})
    with pytest.raises(DataError, match=r"the list .*/a.txt does not exist"):
        read("image_list", "test", root=str(tmp_path), lists={"test": "a.txt"})


def test_a_domain_shift_of_params_names_its_datasets(tmp_path: Path) -> None:
    params = overlay("openood_cifar10", tmp_path)
    artifacts = Plan.of(params).artifacts
    reads = [
        artifact.recipe["data"]
        for ref, artifact in artifacts.items()
        if ref.kind == "records" and "cifar10_to_c" in ref.name
    ]
    assert set(reads) == {"openood_cifar10c/test/identity/0"}
    with pytest.raises(ParamsError, match=r"shifts.cifar10_to_c.dataset is missing"):
        Plan.of(overlay("openood_cifar10", tmp_path, shifts={"cifar10_to_c": {"dataset": ""}}))


# --- held-out classes, noise, patches --------------------------------------------------------------


@pytest.fixture
def fashion(tmp_path: Path) -> dict[str, Path]:
    """Return a folder with thirty images in the format of Fashion-MNIST."""
    for part in ("train", "t10k"):
        images = np.random.default_rng(0).integers(0, 256, (30, 28, 28), np.uint8)
        header = b"\0\0\x08\x03" + np.array(images.shape, ">i4").tobytes()
        (tmp_path / f"{part}-images-idx3-ubyte").write_bytes(header + images.tobytes())
        labels = np.arange(30, dtype=np.uint8) % 10
        header = b"\0\0\x08\x01" + np.array(labels.shape, ">i4").tobytes()
        (tmp_path / f"{part}-labels-idx1-ubyte").write_bytes(header + labels.tobytes())
    return {"fashion_mnist": tmp_path}


@pytest.mark.parametrize("split", [0, 1, 2])
def test_parts_of_a_split_are_fashion_mnist(split: int, fashion: dict[str, Path]) -> None:
    module = registry.find("datasets", "fashion_mnist_classes")
    whole = {s.key: s for s in read("fashion_mnist", "test", fashion)}
    names = registry.find("datasets", "fashion_mnist").CLASSES
    seen = {}
    for part, count in (("in", 7), ("out", 3)):
        options = {"part": part, "split": split, "held_out": 3}
        classes = module.classes(defaults(module) | options, {})
        assert len(classes) == count
        for sample in read("fashion_mnist_classes", "test", fashion, **options):
            seen[sample.key] = classes[sample.fields["label"]]
    assert seen == {key: names[sample.fields["label"]] for key, sample in whole.items()}


def test_splits_of_classes_differ_and_the_first_is_fm8() -> None:
    module = registry.find("datasets", "fashion_mnist_classes")
    out = [module.classes(defaults(module) | {"part": "out", "split": split}, {}) for split in range(6)]
    assert out[0] == ("bag", "ankle_boot")
    assert out[1] == ("dress", "coat")
    assert len(set(out)) > 4
    for wrong, message in (({"part": "near"}, "part is 'near'"), ({"held_out": 9}, "held_out 9; expected")):
        with pytest.raises(ParamsError, match=message):
            module.classes(defaults(module) | wrong, {})


@pytest.mark.parametrize(
    ("kind", "mean", "spread"),
    [("uniform", 127.5, 73.9), ("gaussian", 127.5, 61.6), ("rademacher", 127.5, 127.5), ("blobs", 66, 96)],
)
def test_noise_has_its_moments(kind: str, mean: float, spread: float) -> None:
    found = read("noise_images", "test", kind=kind, count=40)
    images = np.stack([sample.fields["image"] for sample in found])
    assert images.shape == (40, 28, 28)
    assert abs(images.mean() - mean) < 3
    assert abs(images.std() - spread) < 3
    more = read("noise_images", "test", kind=kind, count=41, channels=3)
    assert more[0].fields["image"].shape == (28, 28, 3)
    assert {sample.key for sample in found} < {sample.key for sample in more}


def test_blobs_are_blurred_coins_by_hand() -> None:
    from scipy.ndimage import gaussian_filter

    from shiftbench.base.rng import RandomStream

    module = registry.find("datasets", "noise_images")
    coins = (RandomStream(0, "s", "d", "k").uniform((28, 28, 1)) < 0.7).astype(float)[..., 0]
    blurred = gaussian_filter(coins, 1.5, mode="nearest", truncate=3.4)
    expected = np.where(blurred < 0.75, 0, blurred * 255)
    found = module.blobs(RandomStream(0, "s", "d", "k"), (28, 28, 1))[..., 0]
    close = np.abs(blurred - 0.75) > 0.005  # there, rounding decides
    assert np.abs(found - expected)[close].max() < 2


def test_wrong_options_of_noise_and_patches(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="kind is 'pink'"):
        read("noise_images", "test", kind="pink")
    with pytest.raises(ParamsError, match="channels, size and count are 2, 28 and 1000"):
        read("noise_images", "test", channels=2)
    with pytest.raises(ParamsError, match="size 28, side 20 and shorter 426"):
        read("photo_patches", "test", {"background_photos": tmp_path}, side=20)
