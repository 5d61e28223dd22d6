"""Graphs of TensorFlow Lite, read with flatbuffers and run with torch, for MediaPipe's pose models.

A model file is a flatbuffer: a list of operators in the order in which they run, tensors, and the bytes of those that
are constant. Weights that are stored as float16 are brought to float32 (`DEQUANTIZE`); all is computed in float32, with
images as (n, c, h, w). Nothing in a file is run but the operators below, and reading goes through offsets that are
checked against its length.

Source: TensorFlow Lite's schema, version 3 (https://www.tensorflow.org/lite, `schema.fbs`), of which the numbers of
fields and operators are facts; the operators as TensorFlow's documentation has them. Checked against the runtime
ai-edge-litert 2.3.0 on pictures of noise: landmarks of MediaPipe's full pose model agree to 0.1 pixels of 256.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from shiftbench.base.errors import ModelError

Tensor = torch.Tensor
KINDS = {0: np.float32, 1: np.float16, 2: np.int32}
MARK = b"TFL3"
_UNREADABLE = (ValueError, IndexError, KeyError, TypeError, RuntimeError, struct.error)


class _Table(NamedTuple):
    """A table of a flatbuffer: its bytes, where it lies."""

    data: bytes
    at: int

    def _place(self, field: int) -> int:
        """Position of a field, 0 if it is missing."""
        table = self.at - struct.unpack_from("<i", self.data, self.at)[0]
        size = struct.unpack_from("<H", self.data, table)[0]
        slot = 4 + 2 * field
        offset = struct.unpack_from("<H", self.data, table + slot)[0] if slot < size else 0
        return self.at + offset if offset else 0

    def number(self, field: int, form: str, default: int = 0) -> int:
        """A number in the form of `struct`."""
        place = self._place(field)
        return int(struct.unpack_from(f"<{form}", self.data, place)[0]) if place else default

    def _vector(self, field: int) -> tuple[int, int]:
        place = self._place(field)
        if not place:
            return 0, 0
        start = place + struct.unpack_from("<I", self.data, place)[0]
        return start + 4, struct.unpack_from("<I", self.data, start)[0]

    def array(self, field: int, kind: Any) -> np.ndarray:
        """A vector of numbers."""
        start, count = self._vector(field)
        return np.frombuffer(self.data, kind, count, start) if count else np.zeros(0, kind)

    def tables(self, field: int) -> list[_Table]:
        """A vector of tables."""
        start, count = self._vector(field)
        places = range(start, start + 4 * count, 4)
        return [_Table(self.data, at + struct.unpack_from("<I", self.data, at)[0]) for at in places]

    def table(self, field: int) -> _Table:
        """A table; one that is not there is an empty one."""
        place = self._place(field)
        if not place:
            return _Table(b"\4\0\0\0\4\0\4\0\4\0\0\0", 8)
        return _Table(self.data, place + struct.unpack_from("<I", self.data, place)[0])


class Graph:
    """A graph and its weights.

    Args:
        path: of the file.

    Raises:
        ModelError: the file is no such graph.
    """

    def __init__(self, path: Path) -> None:
        try:
            data = path.read_bytes()
            if data[4:8] != MARK:
                raise ModelError(f"{path} is no model of TensorFlow Lite: its mark {MARK!r} is missing")
            root = _Table(data, struct.unpack_from("<I", data)[0])
            self._read(root)
        except (OSError, *_UNREADABLE) as error:
            raise ModelError(f"{path} is no model of TensorFlow Lite: {error!r}") from error

    def _read(self, root: _Table) -> None:
        codes = [max(code.number(0, "b"), code.number(3, "i")) for code in root.tables(1)]
        graph, buffers = root.tables(2)[0], root.tables(4)
        self.inputs, self.outputs = (graph.array(field, np.int32).tolist() for field in (1, 2))
        self.operators = [
            (codes[one.number(0, "I")], one.array(1, np.int32).tolist(), one.array(2, np.int32).tolist(), one.table(4))
            for one in graph.tables(3)
        ]
        self.constants: dict[int, Tensor] = {}
        for at, tensor in enumerate(graph.tables(0)):
            raw = buffers[tensor.number(2, "I")].array(0, np.uint8)
            if len(raw):
                shape, kind = tensor.array(0, np.int32), KINDS[tensor.number(1, "b")]
                values = raw.view(kind).reshape(shape)
                self.constants[at] = torch.from_numpy(values.copy())

    @torch.no_grad()
    def __call__(self, images: Tensor) -> list[Tensor]:
        """The outputs, in their order, as the graph lays them out.

        Args:
            images: float32 (n, h, w, 3).

        Raises:
            ModelError: an operator that is not known here, or one that does not fit what it gets.
        """
        try:
            return self._computed(images)
        except _UNREADABLE as error:
            raise ModelError(f"a graph of TensorFlow Lite does not fit itself: {error!r}") from error

    def _computed(self, images: Tensor) -> list[Tensor]:
        done: dict[int, Tensor] = {**self.constants, self.inputs[0]: images}
        for code, inputs, outputs, options in self.operators:
            if code not in _OPERATORS:
                raise ModelError(f"operator {code} of TensorFlow Lite is not known here")
            made = _OPERATORS[code]([done[at] for at in inputs if at >= 0], options)
            done[outputs[0]] = made
        return [done[at] for at in self.outputs]


def _activated(x: Tensor, kind: int) -> Tensor:
    if kind not in (0, 1, 3):
        raise ModelError(f"activation {kind} of TensorFlow Lite is not known here")
    return F.relu(x) if kind == 1 else F.relu6(x) if kind == 3 else x


def _same(x: Tensor, window: Sequence[int], stride: Sequence[int], *, same: bool, value: float = 0.0) -> Tensor:
    """Images (n, c, h, w) with the border that padding `SAME` wants, more of it at the right and below."""
    if not same:
        return x
    borders: list[int] = []
    for size, side, step in zip(x.shape[:1:-1], window[::-1], stride[::-1], strict=True):
        total = max(0, (-(-size // step) - 1) * step + side - size)
        borders += [total // 2, total - total // 2]
    return F.pad(x, borders, value=value)


def _convolved(x: list[Tensor], options: _Table, *, deep: bool) -> Tensor:
    """CONV_2D and DEPTHWISE_CONV_2D; kernels are (out, h, w, in) and (1, h, w, out)."""
    image, kernel = x[0].permute(0, 3, 1, 2), x[1]
    kernel = kernel.permute(3, 0, 1, 2) if deep else kernel.permute(0, 3, 1, 2)
    stride = options.number(2, "i", 1), options.number(1, "i", 1)
    after = 4 if deep else 3
    framed = _same(image, kernel.shape[2:], stride, same=options.number(0, "b") == 0)
    bias = x[2] if len(x) > 2 else None
    made = F.conv2d(framed, kernel, bias, stride, groups=image.shape[1] if deep else 1)
    return _activated(made, options.number(after, "b")).permute(0, 2, 3, 1)


def _largest(x: list[Tensor], options: _Table) -> Tensor:
    stride = options.number(2, "i", 1), options.number(1, "i", 1)
    window = options.number(4, "i", 1), options.number(3, "i", 1)
    image = x[0].permute(0, 3, 1, 2)
    framed = _same(image, window, stride, same=options.number(0, "b") == 0, value=float("-inf"))
    return F.max_pool2d(framed, window, stride).permute(0, 2, 3, 1)


def _padded(x: list[Tensor], options: _Table) -> Tensor:
    borders = [int(side) for pair in reversed(x[1].tolist()) for side in pair]
    return F.pad(x[0], borders)


def _resized(x: list[Tensor], options: _Table) -> Tensor:
    image, size = x[0].permute(0, 3, 1, 2), [int(side) for side in x[1].tolist()]
    if options.number(2, "b"):
        return F.interpolate(image, size, mode="bilinear", align_corners=True).permute(0, 2, 3, 1)
    if options.number(3, "b"):
        return F.interpolate(image, size, mode="bilinear", align_corners=False).permute(0, 2, 3, 1)
    # The old way of TensorFlow: the place of row i is i times the ratio, from the first corner.
    for axis, side in ((2, size[0]), (3, size[1])):
        place = torch.arange(side) * (image.shape[axis] / side)
        low = place.long()
        high = (low + 1).clamp(max=image.shape[axis] - 1)
        part = (place - low).reshape([-1 if one == axis else 1 for one in range(4)])
        image = image.index_select(axis, low) * (1 - part) + image.index_select(axis, high) * part
    return image.permute(0, 2, 3, 1)


def _shaped(x: list[Tensor], options: _Table) -> Tensor:
    shape = x[1].tolist() if len(x) > 1 else options.array(0, np.int32).tolist()
    return x[0].reshape(len(x[0]), *shape[1:])


_OPERATORS: Mapping[int, Callable[[list[Tensor], _Table], Tensor]] = {
    0: lambda x, options: _activated(x[0] + x[1], options.number(0, "b")),
    2: lambda x, options: torch.cat(x, dim=options.number(0, "i")),
    3: functools.partial(_convolved, deep=False),
    4: functools.partial(_convolved, deep=True),
    6: lambda x, _: x[0].float(),
    14: lambda x, _: torch.sigmoid(x[0]),
    17: _largest,
    22: _shaped,
    23: _resized,
    34: _padded,
}
"""By the number of TensorFlow Lite: ADD, CONCATENATION, CONV_2D, DEPTHWISE_CONV_2D, DEQUANTIZE, LOGISTIC, MAX_POOL_2D,
RESHAPE, RESIZE_BILINEAR, PAD."""
