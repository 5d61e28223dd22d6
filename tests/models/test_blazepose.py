"""Graphs of TensorFlow Lite: operators against torch by hand, damaged files; BlazePose finds the joints of a body."""

import math
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from shiftbench.base import refs, registry
from shiftbench.base.errors import ModelError
from shiftbench.base.registry import defaults
from shiftbench.base.sample import Sample
from shiftbench.data.skeletons import COCO_17
from shiftbench.data.source_files import original_folder
from shiftbench.evaluation import nets
from shiftbench.plugins.datasets import _bodies
from shiftbench.plugins.models import _tflite
from shiftbench.workflow.stages import fetch


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
        [float(whole[0, 2 * r : 2 * r + 3, 2 * c : 2 * c + 3].sum()) for c in range(3)] for r in range(3)
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
    for content in (b"", b"no model at all", b"\x10\0\0\0TFL3", struct.pack("<I", 1 << 30) + b"TFL3" + bytes(64)):
        file.write_bytes(content)
        with pytest.raises(ModelError, match="is no model of TensorFlow Lite"):
            _tflite.Graph(file)


Part = int | bytes | tuple[int, ...] | list["Part"] | dict[int, "Part"]


def flat(part: Part, at: int) -> tuple[bytes, int]:
    """Return the bytes of a part that begins at a place, and where it is.

    A part is a vector of bytes, numbers or tables, or a table {number of a field: part}, in which a number is a
    field of four bytes.
    """
    if isinstance(part, bytes):
        return struct.pack("<I", len(part)) + part + bytes(-len(part) % 4), at
    if isinstance(part, tuple):
        return struct.pack(f"<I{len(part)}i", len(part), *part), at
    fields = dict(enumerate(part)) if isinstance(part, list) else part
    slots = b"" if isinstance(part, list) else struct.pack(
        f"<HH{max(fields) + 1}H", 4 + 2 * (max(fields) + 1), 4 + 4 * len(fields),
        *(4 + 4 * list(fields).index(n) if n in fields else 0 for n in range(max(fields) + 1)),
    )  # fmt: skip
    slots += bytes(-len(slots) % 4)
    place = at + len(slots)
    head = struct.pack("<i", len(fields) if isinstance(part, list) else len(slots))
    inline, after = b"", b""
    for number, one in enumerate(fields.values()):
        if isinstance(one, int):
            inline += struct.pack("<i", one)
            continue
        made, to = flat(one, place + 4 + 4 * len(fields) + len(after))
        inline += struct.pack("<I", to - (place + 4 + 4 * number))
        after += made
    return slots + head + inline + after, place


def graph(kind: int, shape: tuple[int, ...], values: bytes, operator: int, inputs: tuple[int, ...]) -> bytes:
    """Return a model of one constant of a type, shape and values, and an operator whose output is the graph's."""
    tensors: Part = [{0: shape, 1: kind, 2: 0}, {0: shape, 1: 0, 2: 1}, {0: shape, 1: 0, 2: 1}]
    net: Part = {0: tensors, 1: (1,), 2: (2,), 3: [{0: 0, 1: inputs, 2: (2,)}]}
    body, at = flat({1: [{0: 0, 3: operator}], 2: [net], 4: [{0: values}, {1: 0}]}, 8)
    return struct.pack("<I", at) + _tflite.MARK + body


def test_drawn_graphs_give_an_answer_or_one_clear_error(tmp_path: Path) -> None:
    random, file, causes = np.random.default_rng(2), tmp_path / "a.tflite", set()
    answers = 0
    for _ in range(1500):
        kind, operator = (int(random.choice([0, 0, 0, *range(12)])), int(random.choice([0, 6, 14, *range(30)])))
        shape = tuple(random.integers(-1, 6, int(random.integers(0, 4))).tolist())
        given = tuple(random.integers(-1, 2, int(random.integers(0, 3))).tolist())
        size = int(random.choice([4 * math.prod(shape), 8, random.integers(0, 20)]))
        data = bytearray(graph(kind, shape, bytes(max(size, 0)), operator, given))
        if random.random() < 0.5:
            data[int(random.integers(8, len(data)))] = int(random.integers(256))
        file.write_bytes(data)
        try:
            _tflite.Graph(file)(torch.zeros(1, 2, 2, 3))
            answers += 1
        except ModelError as error:
            causes.add(type(error.__cause__))
    assert answers
    assert {KeyError, ValueError, struct.error} <= causes


@pytest.mark.network
def test_blazepose_finds_a_body_in_the_picture_and_in_space(tmp_path: Path) -> None:
    fetch.keep("blazepose")
    model = registry.find("models", "blazepose")
    inputs = {refs.sources("blazepose"): original_folder("blazepose") / "manifest.json"}
    weights = tmp_path / "w.safetensors"
    weights.write_bytes(nets.state_bytes(model.pretrained({}, inputs)))
    one = _bodies.Body(_bodies.REST)
    made = _bodies.render(one, _bodies.fitted(one, 256, 192, 0.8), np.full((256, 192, 3), 170, np.uint8))
    sample = Sample("a/test/0", {"image": made.image, "poses": [made.pose]})
    found = model.load(weights, defaults(model), COCO_17, "cpu", inputs)([sample])
    true = np.array(made.pose["joints"])[5:, :2]
    apart = np.hypot(*(found["joints"][0][0, 5:, :2] - true).T)
    torso = np.hypot(*(true[0] - true[7]))
    assert apart.mean() / torso < 0.15  # shoulders to ankles, of a body of capsules
    space = found["joints3d"][0][0]
    assert abs(space[11:13].mean(axis=0)).max() < 0.05  # in metres, from the middle of the hips
    assert 0.3 < np.linalg.norm(space[5] - space[11]) < 0.8
    with pytest.raises(ModelError, match="BlazePose has no joint 'tail'; it has nose"):
        model.load(weights, defaults(model), ("nose", "tail"), "cpu", inputs)
