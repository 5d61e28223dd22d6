"""Graphs of TensorFlow Lite: operators against torch by hand, damaged files; BlazePose finds the joints of a body."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from shiftbench import plugins, refs
from shiftbench.data.skeletons import COCO_17
from shiftbench.data.source_files import kept
from shiftbench.datasets import _bodies
from shiftbench.errors import ModelError
from shiftbench.inference import nets
from shiftbench.models import _tflite
from shiftbench.sample import Sample
from shiftbench.stages import fetch


class Options:
    """Options of an operator: number of a field -> value."""

    def __init__(self, **fields: int) -> None:
        self.fields = {int(name[1:]): value for name, value in fields.items()}

    def number(self, field: int, _: str, default: int = 0) -> int:
        return self.fields.get(field, default)


def test_padding_same_puts_more_at_the_right_and_below() -> None:
    image = torch.arange(25.0).reshape(1, 5, 5, 1)
    kernel = torch.ones(1, 3, 3, 1)
    found = _tflite._convolved([image, kernel], Options(f0=0, f1=2, f2=2), deep=False)  # type: ignore[arg-type]
    whole = torch.nn.functional.pad(image[..., 0], (1, 1, 1, 1))
    assert found[0, :, :, 0].tolist() == [
        [float(whole[0, 2 * r : 2 * r + 3, 2 * c : 2 * c + 3].sum()) for c in range(3)]
        for r in range(3)
    ]
    even = torch.arange(16.0).reshape(1, 4, 4, 1)  # a border of one: at the right and below
    found = _tflite._convolved([even, kernel], Options(f0=0, f1=2, f2=2), deep=False)  # type: ignore[arg-type]
    assert found[0, 0, 0, 0] == even[0, :3, :3].sum()
    assert found[0, 1, 1, 0] == even[0, 2:, 2:].sum()


def test_resizing_as_tensorflow_did() -> None:
    image = torch.tensor([0.0, 10.0]).reshape(1, 1, 2, 1)
    size = torch.tensor([1, 4])
    old = _tflite._resized([image, size], Options())  # type: ignore[arg-type]
    assert old.flatten().tolist() == [0, 5, 10, 10]
    half = _tflite._resized([image, size], Options(f3=1))  # type: ignore[arg-type]
    assert half.flatten().tolist() == [0, 2.5, 7.5, 10]


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.tflite"
    for content in (
        b"",
        b"no model at all",
        b"\x10\0\0\0TFL3",
        struct.pack("<I", 1 << 30) + b"TFL3" + bytes(64),
    ):
        file.write_bytes(content)
        with pytest.raises(ModelError, match="is no model of TensorFlow Lite"):
            _tflite.Graph(file)


@pytest.mark.network
def test_blazepose_finds_a_body_in_the_picture_and_in_space(tmp_path: Path) -> None:
    fetch.keep("blazepose")
    model = plugins.find("models", "blazepose")
    inputs = {refs.sources("blazepose"): kept("blazepose") / "manifest.json"}
    weights = tmp_path / "w.safetensors"
    weights.write_bytes(nets.state_bytes(model.pretrained({}, inputs)))
    one = _bodies.Body(_bodies.REST)
    made = _bodies.render(
        one, _bodies.fitted(one, 256, 192, 0.8), np.full((256, 192, 3), 170, np.uint8)
    )
    sample = Sample("a/test/0", {"image": made.image, "poses": [made.pose]})
    found = model.load(weights, model.PARAMS, COCO_17, "cpu", inputs)([sample])
    true = np.array(made.pose["joints"])[5:, :2]
    apart = np.hypot(*(found["joints"][0][0, 5:, :2] - true).T)
    torso = np.hypot(*(true[0] - true[7]))
    assert apart.mean() / torso < 0.15  # shoulders to ankles, of a body of capsules
    space = found["joints3d"][0][0]
    assert abs(space[11:13].mean(axis=0)).max() < 0.05  # in metres, from the middle of the hips
    assert 0.3 < np.linalg.norm(space[5] - space[11]) < 0.8
    with pytest.raises(ModelError, match="BlazePose has no joint 'tail'; it has nose"):
        model.load(weights, model.PARAMS, ("nose", "tail"), "cpu", inputs)
