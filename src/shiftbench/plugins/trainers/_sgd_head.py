"""A linear head on fixed features by stochastic gradient descent: what a probe is in most papers' code.

Source: Bottou, "Large-scale machine learning with stochastic gradient descent", COMPSTAT 2010, with momentum; a rate
that falls along a cosine is that of Loshchilov and Hutter, ICLR 2017, without restarts.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from shiftbench.base.rng import RandomStream
from shiftbench.evaluation import nets
from shiftbench.plugins.trainers import _loop

MOMENTUM = 0.9


def fit(  # noqa: PLR0913 - a training
    features: npt.NDArray[np.float32],
    labels: npt.NDArray[np.int64],
    classes: int,
    words: tuple[int, str, str],
    *,
    epochs: int,
    batch: int,
    lr: float,
    device: str = "cpu",
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Weight float32 (classes, d) and bias (classes,) after the last epoch, from zeros.

    Cross-entropy of a linear head is convex, so that where it begins decides nothing but the first steps.

    Args:
        features: (n, d), taken as they are.
        labels: int (n,).
        classes: rows of the head.
        words: seed, trainer and dataset, by which each epoch's order is keyed.
        epochs: passes over the features.
        batch: features a step.
        lr: of the first step; the last one's is nearly 0.
        device: where it computes.
    """
    place = nets.pick_device(device)
    head = torch.nn.Linear(features.shape[1], classes, device=place)
    for tensor in head.parameters():
        torch.nn.init.zeros_(tensor)
    steps = -(-len(labels) // batch)
    update = torch.optim.SGD(head.parameters(), lr, momentum=MOMENTUM)
    rate = _loop.schedule(update, "cosine", epochs * steps)
    targets = torch.from_numpy(labels)
    for epoch in range(epochs):
        order = RandomStream(*words, f"{epoch}/order").choice(len(labels))
        for rows in np.array_split(order, steps):
            seen = torch.from_numpy(features[rows]).to(place)
            loss = F.cross_entropy(head(seen), targets[rows].to(place))
            update.zero_grad()
            loss.backward()
            update.step()
            rate.step()
    return nets.to_numpy(head.weight), nets.to_numpy(head.bias)
