"""Nets around their weights, and the adapters that bring models of one's own."""

import io
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image
from torch import nn

from shiftbench.base import refs, registry
from shiftbench.base.errors import ModelError
from shiftbench.base.refs import Ref
from shiftbench.base.registry import defaults
from shiftbench.base.sample import Sample
from shiftbench.contracts import training_jobs
from shiftbench.evaluation import nets
from shiftbench.plugins.models import _images, _optional, _pretrained, squeezenet
from shiftbench.workflow.stages import fetch
from shiftbench.workflow.stages.train import train_weights

COLOUR = training_jobs.pictures(5, size=32, colour=True)


def trained(path: Path) -> Path:
    return training_jobs.write(path, train_weights(training_jobs.job("convnet", "erm", epochs=1))[0])


def predictor(
    model: str,
    weights: Path,
    params: dict[str, Any] | None = None,
    classes: tuple[str, ...] = training_jobs.CLASSES,
    **options: Any,
) -> Any:
    module = registry.find("models", model)
    return nets.load_predictor(module, weights, defaults(module) | (params or {}), classes, "cpu", **options)


# --- weights files -----------------------------------------------------------------------------


def test_weights_keep_their_bytes_classes_and_logits(tmp_path: Path) -> None:
    weights = trained(tmp_path / "net.safetensors")
    state = nets.read_state(weights)
    backwards = dict(reversed(state.items()))
    assert nets.state_bytes(backwards, {"b": "2", "a": "1"}) == nets.state_bytes(state, {"a": "1", "b": "2"})
    assert nets.classes_of(weights) == list(training_jobs.CLASSES)
    samples = training_jobs.pictures(8)
    outputs = predictor("convnet", weights)(samples)
    assert {name: array.shape for name, array in outputs.items()} == {"logits": (8, 4), "features": (8, 96)}
    assert all(array.dtype == np.float32 for array in outputs.values())
    net = registry.find("models", "convnet").build(defaults(registry.find("models", "convnet")), 4)
    nets.load_into(net, state, weights)
    images = torch.from_numpy(np.stack([sample.fields["image"] for sample in samples]))[:, None]
    assert np.allclose(outputs["logits"], net.eval()(images).detach().numpy(), atol=1e-5)


def test_low_precision_is_near_and_float32_back(tmp_path: Path) -> None:
    weights = trained(tmp_path / "net.safetensors")
    exact = predictor("convnet", weights)(training_jobs.pictures(8))
    rough = predictor("convnet", weights, precision="bfloat16")(training_jobs.pictures(8))
    assert rough["logits"].dtype == np.float32
    assert 0 < np.abs(rough["logits"] - exact["logits"]).max() < 0.2


def test_weights_of_another_net_are_refused(tmp_path: Path) -> None:
    weights = trained(tmp_path / "net.safetensors")
    with pytest.raises(ModelError, match=r"head.weight is \(4, 96\), expected \(5, 96\)"):
        predictor("convnet", weights, classes=tuple("abcde"))
    with pytest.raises(ModelError, match=r"does not fit VisionTransformer: .* is missing.* and \d+ more"):
        predictor("vit", weights)
    bare = tmp_path / "bare.safetensors"
    bare.write_bytes(nets.state_bytes({"x": torch.zeros(1)}))
    with pytest.raises(ModelError, match="does not state its classes"):
        nets.classes_of(bare)


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("hacked",)


def test_checkpoints_that_could_run_code_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "evil.pt"
    torch.save({"state_dict": {"a": torch.zeros(1)}, "extra": Evil()}, file)
    with pytest.raises(ModelError, match=r"evil.pt is refused: it holds pickled Python objects"):
        nets.read_state(file)
    plain = tmp_path / "plain.pkl"
    plain.write_bytes(pickle.dumps(Evil(), 2))
    with pytest.raises(ModelError, match=r"plain.pkl is (refused|no readable torch checkpoint)"):
        nets.read_state(plain)
    with pytest.raises(ModelError, match=r"refused to load (posix|nt).mkdir from a pickle"):
        squeezenet.read_arrays(io.BytesIO(pickle.dumps(Evil())))
    assert not Path("hacked").exists()
    array = np.arange(3, dtype=np.float32)
    assert squeezenet.read_arrays(io.BytesIO(pickle.dumps({"a": [array]}, 3)))["a"][0].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.pt", None, "checkpoint .*missing.pt does not exist"),
        ("broken.safetensors", b"no", "broken.safetensors is no readable safetensors file"),
        ("empty.pt", b"", "empty.pt is no readable torch checkpoint"),
        ("list.pt", [1, 2], "list.pt holds no state dict of tensors"),
    ],
)
def test_damaged_checkpoints(tmp_path: Path, name: str, content: Any, message: str) -> None:
    file = tmp_path / name
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content is not None:
        torch.save(content, file)
    with pytest.raises(ModelError, match=message):
        nets.read_state(file)


def test_nested_checkpoints_are_unwrapped(tmp_path: Path) -> None:
    torch.save({"epoch": 3, "state_dict": {"a": torch.ones(2)}}, tmp_path / "nested.pt")
    assert list(nets.read_state(tmp_path / "nested.pt")) == ["a"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(ModelError, match="device 'cuda:0' asked for, but torch sees no CUDA device"):
        nets.pick_device("cuda:0")


def test_wrong_outputs_are_refused() -> None:
    with pytest.raises(ModelError, match=r"mine gave logits of shape \(3, 5\), expected \(3, 4\)"):
        nets.check_outputs({"logits": np.zeros((3, 5))}, 3, 4, "mine")
    with pytest.raises(ModelError, match=r"mine gave \['boxes'\], expected logits"):
        nets.check_outputs({"boxes": np.zeros(3)}, 3, 4, "mine")


# --- images ------------------------------------------------------------------------------------


def test_grey_and_resizing_equal_pillow() -> None:
    image = COLOUR[0].fields["image"]
    assert np.array_equal(_images.to_grey(image), np.asarray(Image.fromarray(image).convert("L")))
    expected = Image.fromarray(image).resize((20, 24), Image.Resampling.BICUBIC)
    assert np.array_equal(_images.resize(image, 24, 20), np.asarray(expected))


def test_cropping_equals_torchvision() -> None:
    from torchvision.transforms import v2

    image = np.random.default_rng(0).integers(0, 256, (60, 91, 3), dtype=np.uint8)
    usual = v2.Compose([v2.Resize(40, v2.InterpolationMode.BICUBIC), v2.CenterCrop(32)])
    expected = np.asarray(usual(Image.fromarray(image)))
    assert np.array_equal(_images.resize_and_crop(image, 40, 32), expected)


# --- models of one's own -----------------------------------------------------------------------


class Quadrants(nn.Module):
    """Logits: brightness of the four quadrants; features: the mean colour."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        parts = nn.functional.avg_pool2d(x.mean(1, keepdim=True), 16)
        return parts.flatten(1), x.mean((2, 3))


def onnx_graph(file: Path) -> None:
    onnx = pytest.importorskip("onnx")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    nodes = [
        helper.make_node("ReduceMean", ["x", "axis"], ["grey"], keepdims=1),
        helper.make_node("AveragePool", ["grey"], ["parts"], kernel_shape=[16, 16], strides=[16, 16]),
        helper.make_node("Flatten", ["parts"], ["logits"]),
    ]
    axis = helper.make_tensor("axis", onnx.TensorProto.INT64, [1], [1])
    images = helper.make_tensor_value_info("x", kind, ["n", 3, 32, 32])
    logits = helper.make_tensor_value_info("logits", kind, ["n", 4])
    graph = helper.make_graph(nodes, "quadrants", [images], [logits], [axis])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    file.write_bytes(model.SerializeToString())


def torchscript(file: Path) -> None:
    torch.jit.trace(Quadrants(), torch.zeros(2, 3, 32, 32)).save(str(file))


def exported(file: Path) -> None:
    batch = {0: torch.export.Dim("n", min=1)}
    program = torch.export.export(Quadrants(), (torch.zeros(2, 3, 32, 32),), dynamic_shapes=(batch,))
    torch.export.save(program, file)


def function(file: Path) -> None:
    file.write_text(
        "import numpy as np\n"
        "def predict(samples):\n"
        "    images = np.stack([s.fields['image'] for s in samples]).mean(3)\n"
        "    return {'logits': images.reshape(-1, 2, 16, 2, 16).mean((2, 4)).reshape(-1, 4)}\n"
    )


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
@pytest.mark.parametrize(
    ("model", "file", "make", "name"),
    [
        ("onnx", "m.onnx", onnx_graph, ""),
        ("torchscript", "m.pt", torchscript, ""),
        ("torch_export", "m.pt2", exported, ""),
        ("callable", "m.py", function, ":predict"),
    ],
)
def test_black_boxes_answer_and_are_known_by_their_bytes(
    tmp_path: Path, model: str, file: str, make: Any, name: str
) -> None:
    if model == "onnx":
        pytest.importorskip("onnxruntime")
    make(tmp_path / file)
    trust = {"trust": True} if "trust" in defaults(registry.find("models", model)) else {}
    params = {"path": f"{tmp_path / file}{name}", **trust}
    state, _ = train_weights(training_jobs.job(model, "given", model_params=params))
    weights = training_jobs.write(tmp_path / "w.safetensors", state)
    outputs = predictor(model, weights, params)(COLOUR)
    assert outputs["logits"].argmax(1).tolist() == [0, 1, 2, 3, 0]
    with pytest.raises(ModelError, match=r"gave logits of shape \(5, 4\), expected \(5, 3\)"):
        predictor(model, weights, params, classes=tuple("abc"))(COLOUR)
    (tmp_path / file).write_bytes((tmp_path / file).read_bytes() + b"\n")
    with pytest.raises(ModelError, match="is not the file that .*w.safetensors was made from"):
        predictor(model, weights, params)


def test_callables_are_found_by_name(tmp_path: Path) -> None:
    function(tmp_path / "m.py")
    find = registry.find("models", "callable").find
    with pytest.raises(ModelError, match=r"has no function 'predicte'; did you mean predict\?"):
        find({"path": f"{tmp_path / 'm.py'}:predicte", "target": ""})
    with pytest.raises(ModelError, match="names no function; expected file.py:function"):
        find({"path": "m.py", "target": ""})
    with pytest.raises(ModelError, match="module 'not_there' cannot be imported"):
        find({"path": "", "target": "not_there:predict"})
    assert find({"path": "", "target": "numpy:stack"}) is np.stack


@pytest.mark.parametrize("form", ["names", "indices", "logits", "list"])
def test_published_predictions_become_outputs(tmp_path: Path, form: str) -> None:
    samples, logits = training_jobs.pictures(4), np.eye(4) * 3
    columns = {
        "names": {"prediction": list("abcd")},
        "indices": {"prediction": [0, 1, 2, 3]},
        "logits": {f"logit_{n}": logits[:, n] for n in (3, 0, 1, 2)},
        "list": {"logits": logits.tolist()},
    }[form]
    table = pl.DataFrame({"key": [sample.key for sample in samples], **columns}).reverse()
    file = tmp_path / ("p.parquet" if form == "list" else "p.csv")
    table.write_parquet(file) if form == "list" else table.write_csv(file)
    params = {"path": str(file)}
    state, _ = train_weights(training_jobs.job("predictions", "given", model_params=params))
    answer = predictor("predictions", training_jobs.write(tmp_path / "w.safetensors", state), params)
    assert answer(samples)["logits"].argmax(1).tolist() == [0, 1, 2, 3]
    with pytest.raises(ModelError, match=r"has no row for 'tiny/train/9_000' \(1 of 1 samples"):
        answer(training_jobs.pictures(1, seed=9))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"id": ["k"], "prediction": ["a"]}, "has no column `key`; it has id, prediction"),
        ({"key": ["k"], "label": ["a"]}, "has neither logits nor `prediction`; it has key, label"),
        ({"key": ["k", "k"], "prediction": ["a", "b"]}, "has the key 'k' twice"),
        ({"key": ["k"], "prediction": ["e"]}, "predicts the class 'e'; known: a, b, c, d"),
        ({"key": ["k"], "logit_0": [1.0]}, r"has logits of shape \(1, 1\), expected \(1, 4\)"),
    ],
)
def test_wrong_predictions_are_refused(tmp_path: Path, columns: Any, message: str) -> None:
    pl.DataFrame(columns).write_csv(tmp_path / "p.csv")
    with pytest.raises(ModelError, match=message):
        registry.find("models", "predictions").read(tmp_path / "p.csv", training_jobs.CLASSES)


def test_a_checkpoint_of_an_uncut_net_is_adopted(tmp_path: Path) -> None:
    from torchvision.models import resnet18

    torch.manual_seed(0)
    net = resnet18(num_classes=4).eval()
    parallel = {f"module.{name}": tensor for name, tensor in net.state_dict().items()}
    torch.save({"state_dict": parallel}, tmp_path / "mine.pt")
    options = {"name": "resnet18", "size": 32, "crop": 1.0}
    params = {"path": str(tmp_path / "mine.pt"), "net": "torchvision", "options": options}
    state, _ = train_weights(training_jobs.job("checkpoint", "given", model_params=params))
    weights = training_jobs.write(tmp_path / "w.safetensors", state)
    outputs = predictor("checkpoint", weights, params)(COLOUR)
    x = np.stack([sample.fields["image"] for sample in COLOUR]).transpose(0, 3, 1, 2) / 255
    mean, std = (np.reshape(value, (3, 1, 1)) for value in (_pretrained.IMAGENET_MEAN, _pretrained.IMAGENET_STD))
    expected = net(torch.from_numpy((x - mean) / std).float()).detach().numpy()
    assert np.allclose(outputs["logits"], expected, atol=1e-4)
    assert outputs["features"].shape == (5, 512)


@pytest.mark.parametrize("depth", [18, 34])
def test_a_resnet_for_32_pixels_is_torchvisions_with_another_stem(depth: int) -> None:
    from torchvision.models import get_model

    torch.manual_seed(0)
    theirs = get_model(f"resnet{depth}", num_classes=10)
    theirs.conv1, theirs.maxpool = (torch.nn.Conv2d(3, 64, 3, padding=1, bias=False), torch.nn.Identity())
    model = registry.find("models", f"resnet{depth}_32x32")
    ours = model.build({**defaults(model), "mean": [0, 0, 0], "std": [1, 1, 1]}, 10)
    state = {
        name.replace("downsample", "shortcut").replace("fc.", "head."): tensor
        for name, tensor in theirs.state_dict().items()
    }
    ours.load_state_dict(state)
    x = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    assert torch.allclose(ours.eval()(x), theirs.eval()(x / 255), atol=1e-5)
    assert ours.features(x).shape == (2, 512)


def test_zoo_names_and_heads_are_checked() -> None:
    vision = registry.find("models", "torchvision")
    with pytest.raises(ModelError, match=r"no classifier 'resnet19'; did you mean resnet1"):
        vision.build(defaults(vision) | {"name": "resnet19"}, 4)
    with pytest.raises(ModelError, match="expected a last linear layer with 4 outputs, found none"):
        vision.build(defaults(vision) | {"name": "squeezenet1_1"}, 4)
    with pytest.raises(
        ModelError, match=r"needs nothing_at_all, which is not installed; run `pip install 'shiftbench\[onnx\]'"
    ):
        _optional.package("nothing_at_all", "onnx")


# --- packaged weights --------------------------------------------------------------------------


@pytest.mark.network
@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "size", "crop", "top1", "top5"),
    [
        ("efficientnet_lite0", 224, 0.875, 18, 19),
        ("efficientnet_lite1", 240, 0.875, 18, 20),
        ("efficientnet_lite2", 260, 0.875, 18, 20),
        ("squeezenet", 227, 0.8867, 14, 19),
    ],
)
def test_packaged_weights_know_twenty_imagenet_pictures(
    tmp_path: Path, model: str, size: int, crop: float, top1: int, top5: int
) -> None:
    """Scores of the same packages through other code, of 20 images that foolbox ships."""
    if model.startswith("efficientnet"):
        pytest.importorskip("timm")
    folders = {name: tmp_path / name for name in (model, "foolbox_images")}
    for name, folder in folders.items():
        fetch.fetch(name, folder, [])
    files = sorted(folders["foolbox_images"].glob("imagenet_*.jpg"))
    samples = [Sample(file.stem, {"image": np.asarray(Image.open(file).convert("RGB"))}) for file in files]
    labels = np.array([int(file.stem.rpartition("_")[2]) for file in files])
    inputs = {refs.sources(model): folders[model] / "manifest.json"}
    params = {"size": size, "crop": crop}
    order = np.argsort(-imagenet_logits(model, params, inputs, samples), axis=1)
    assert (order[:, 0] == labels).sum() == top1
    assert (order[:, :5] == labels[:, None]).any(1).sum() == top5


def imagenet_logits(model: str, params: dict[str, Any], inputs: dict[Ref, Path], samples: list[Sample]) -> np.ndarray:
    module = registry.find("models", model)
    options = defaults(module) | params
    net = module.build(options, 1000)
    state = module.pretrained(options, inputs)
    nets.load_into(net, net.adopt(state) if hasattr(net, "adopt") else state, model)
    return nets.TorchPredictor(net, module, options, "cpu")(samples)["logits"]
