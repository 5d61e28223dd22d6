"""From boxes to the targets of each cell of a map, and back; helper of `centre_points`.

Maps have a cell for every `stride` pixels. A centre-point head (Zhou et al. 2019, "Objects as Points") says at the
centre's cell how far the centre is in it and how large the box is; a head like FCOS's (Tian et al. 2019) says in all
cells near the centre how far the four sides are.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from shiftbench.plugins.models._boxes import Truth

RADIUS = 1.5
"""Cells around the centre, in each direction, that FCOS's centre sampling takes."""


def heat(truths: Sequence[Truth], classes: int, size: tuple[int, int], stride: int) -> torch.Tensor:
    """Float32 (n, classes, h, w): a Gaussian around the centre of each box, exactly 1 at its cell.

    Its width is max(1, (w + h) / (2 * stride * 6)) cells; boxes of one class meet in their maximum.
    """
    rows, columns = torch.arange(size[0])[:, None], torch.arange(size[1])[None]
    maps = torch.zeros(len(truths), classes, *size)
    for at, truth in enumerate(truths):
        x, y = centres(truth, size, stride)
        sides = truth.boxes[:, 2:] - truth.boxes[:, :2]
        sigma = (sides.sum(dim=1) / (2 * stride * 6)).clamp(min=1)
        for box, label in enumerate(truth.labels.tolist()):
            distance = (rows - y[box]) ** 2 + (columns - x[box]) ** 2
            spread = torch.exp(-distance / (2 * sigma[box] ** 2))
            maps[at, label] = torch.maximum(maps[at, label], spread)
    return maps


def centres(truth: Truth, size: tuple[int, int], stride: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Column and row of the cell of each box's centre, int64 (g,)."""
    middle = (truth.boxes[:, :2] + truth.boxes[:, 2:]) / (2 * stride)
    return middle[:, 0].long().clamp(0, size[1] - 1), middle[:, 1].long().clamp(0, size[0] - 1)


def centre_values(truth: Truth, size: tuple[int, int], stride: int) -> torch.Tensor:
    """Float32 (g, 4): the centre in its cell (x, y; in strides), log width, log height (in strides)."""
    middle = (truth.boxes[:, :2] + truth.boxes[:, 2:]) / (2 * stride)
    corner = torch.stack(centres(truth, size, stride), dim=1)
    sides = (truth.boxes[:, 2:] - truth.boxes[:, :2]) / stride
    return torch.cat([middle - corner, sides.clamp(min=1e-3).log()], dim=1)


def centre_boxes(values: torch.Tensor, x: torch.Tensor, y: torch.Tensor, stride: int) -> torch.Tensor:
    """Inverse of `centre_values`: x0, y0, x1, y1 (k, 4) from values (k, 4) and cells (k,)."""
    middle = torch.stack([x + values[:, 0], y + values[:, 1]], dim=1) * stride
    half = values[:, 2:].clamp(max=8).exp() * stride / 2
    return torch.cat([middle - half, middle + half], dim=1)


def near(truths: Sequence[Truth], size: tuple[int, int], stride: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The label of each cell near a centre, int64 (n, h, w), -1 elsewhere, and log distances (n, 4, h, w).

    A cell belongs to a box if its middle is in it and near its centre; of several boxes, to the smallest. Distances
    are to the left, upper, right and lower side, in strides.
    """
    labels = torch.full((len(truths), *size), -1, dtype=torch.int64)
    values = torch.zeros(len(truths), 4, *size)
    x, y = (torch.arange(size[1]) + 0.5)[None], (torch.arange(size[0]) + 0.5)[:, None]
    for at, truth in enumerate(truths):
        scaled = truth.boxes / stride
        area = (scaled[:, 2:] - scaled[:, :2]).prod(dim=1)
        for box in torch.argsort(area, descending=True, stable=True).tolist():
            x0, y0, x1, y1 = scaled[box]
            sides = torch.stack(
                [(x - x0).expand(size), (y - y0).expand(size), (x1 - x).expand(size), (y1 - y).expand(size)]
            )
            middle = (abs(x - (x0 + x1) / 2) < RADIUS) & (abs(y - (y0 + y1) / 2) < RADIUS)
            own = (sides.min(dim=0).values > 0) & middle
            labels[at][own] = int(truth.labels[box])
            values[at][:, own] = sides[:, own].clamp(min=1e-3).log()
    return labels, values


def near_boxes(values: torch.Tensor, x: torch.Tensor, y: torch.Tensor, stride: int) -> torch.Tensor:
    """X0, y0, x1, y1 (k, 4) from log distances (k, 4) and cells (k,)."""
    middle = torch.stack([x, y], dim=1) + 0.5
    sides = values.clamp(max=8).exp()
    return torch.cat([middle - sides[:, :2], middle + sides[:, 2:]], dim=1) * stride


def peaks(logits: torch.Tensor) -> torch.Tensor:
    """Scores (n, classes, h, w) that are 0 where a neighbour of the same class is higher."""
    scores = torch.sigmoid(logits)
    return scores * (F.max_pool2d(scores, 3, 1, 1) == scores)


def highest(scores: torch.Tensor, count: int) -> tuple[torch.Tensor, ...]:
    """Scores, classes, columns and rows of the `count` highest of (classes, h, w), from the highest down."""
    _, height, width = scores.shape
    best, at = scores.flatten().topk(min(count, scores.numel()))
    return best, at // (height * width), at % width, at % (height * width) // width
