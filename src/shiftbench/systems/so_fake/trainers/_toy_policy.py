"""A toy of So-Fake-R1's reinforcement: a categorical policy over 3 labels x 9 boxes for each of a few images.

Each update samples a group of answers for each image, writes them in the format, computes the rewards of these texts,
and takes one clipped step near the reference. An answer is one token. A box is one of nine cells of a 3 x 3 grid, and
only an answer TAMPERED contains one.

    reward = format + class + location

`format` is 1 for a text that parses. `class` is 1 for the right label. `location` is the IoU of the answer's box with
the box around the true mask, if the image is tampered with and the answer says so, else 0.

Source: So-Fake, arXiv:2505.18660, names the three parts of the reward; their weights, and whether boxes or masks are
compared, were not found (reconstructed: 1 each, boxes). Shao et al. 2024, arXiv:2402.03300, as So-Fake-R1 uses it; G,
clip and beta (8, 0.2, 0.04) are the specification's, since the paper's were not found. Advantages, objective and
divergence are those of `_policy_loss`. Differs: the standard deviation is that of a sample with 1e-4 added, where
So-Fake's equation has 1e-8.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from shiftbench.base.rng import RandomStream
from shiftbench.plugins.trainers import _policy_loss
from shiftbench.systems.so_fake.datasets._forging import CLASSES, TAMPERED
from shiftbench.systems.so_fake.models import _answers
from shiftbench.systems.so_fake.models._answers import Answer, Box


class Reward(NamedTuple):
    """The parts of a reward, each 0 to 1."""

    form: float
    label: float
    location: float

    @property
    def total(self) -> float:
        """Their sum."""
        return self.form + self.label + self.location


def reward(text: str, truth: Answer) -> Reward:
    """Reward of a text for an image whose label and, if tampered with, box are known."""
    answer = _answers.parse(text)
    if answer is None:
        return Reward(0.0, 0.0, 0.0)
    is_right = answer.label == truth.label
    has_boxes = is_right and truth.label == TAMPERED and answer.box and truth.box
    return Reward(1.0, float(is_right), overlap(answer.box, truth.box) if has_boxes else 0.0)


def largest_reward(truth: Answer) -> float:
    """Largest reward of an answer to an image."""
    return 3.0 if truth.label == TAMPERED else 2.0


def overlap(one: Box | None, other: Box | None) -> float:
    """The IoU of two boxes x0, y0, x1, y1.

    Example:
        >>> overlap((0, 0, 2, 2), (1, 0, 3, 2))
        0.3333333333333333
    """
    if one is None or other is None:
        return 0.0
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(0.0, width) * max(0.0, height)
    union = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)) - shared
    return shared / union


SIDE, CELLS = 27, 3
GROUP, CLIP, BETA, RATE = 8, 0.2, 0.04, 0.1


def boxes() -> list[_answers.Box]:
    """The nine cells of a picture, row by row."""
    edges = [SIDE * number / CELLS for number in range(CELLS + 1)]
    return [(edges[x], edges[y], edges[x + 1], edges[y + 1]) for y in range(CELLS) for x in range(CELLS)]


def answers() -> list[str]:
    """Text of each of the 27 actions: the label, then the cell."""
    texts = []
    for label in range(len(CLASSES)):
        for box in boxes():
            texts.append(_answers.written(Answer(label, box if label == TAMPERED else None)))
    return texts


def truths() -> list[Answer]:
    """The images: one real, one wholly synthetic, and one tampered with in each cell."""
    return [Answer(0, None), Answer(1, None), *(Answer(TAMPERED, box) for box in boxes())]


def table(images: Sequence[Answer]) -> torch.Tensor:
    """Reward of each action for each image, as a share of the largest, float32 (images, 27)."""
    texts = answers()
    return torch.tensor([[reward(text, one).total / largest_reward(one) for text in texts] for one in images])


def trained(seed: int, updates: int = 200) -> NDArray[np.float64]:
    """Expected reward under the policy before each update and after the last one, float64 (updates + 1,)."""
    rewards = table(truths())
    logits = torch.zeros_like(rewards, requires_grad=True)
    reference = logits.detach().log_softmax(1)
    update = torch.optim.Adam([logits], lr=RATE)
    values = [_expected(logits, rewards)]
    for number in range(updates):
        actions = _actions(logits, RandomStream(seed, "toy", "so_fake", f"{number}"))
        advantages = _policy_loss.advantages(rewards.gather(1, actions))
        log_probabilities = logits.log_softmax(1).gather(1, actions).reshape(-1, 1)
        reference_log_probabilities = reference.gather(1, actions).reshape(-1, 1)
        gain = _policy_loss.objective(log_probabilities, log_probabilities.detach(), advantages.flatten(), CLIP)
        gains = gain - BETA * _policy_loss.divergence(log_probabilities, reference_log_probabilities)
        mask = torch.ones_like(gains, dtype=torch.bool)
        loss = -_policy_loss.reduced(gains, mask, "sequence", 1)
        update.zero_grad()
        loss.backward()
        update.step()
        values.append(_expected(logits, rewards))
    return np.array(values)


def _expected(logits: torch.Tensor, rewards: torch.Tensor) -> float:
    return float((logits.detach().softmax(1) * rewards).sum(1).mean())


def _actions(logits: torch.Tensor, rng: RandomStream) -> torch.Tensor:
    """A group of actions for each image, int64 (images, GROUP)."""
    numbers = torch.from_numpy(rng.uniform((len(logits), GROUP)))
    cumulative = logits.detach().softmax(1).cumsum(1)
    return torch.searchsorted(cumulative, numbers).clamp(max=logits.shape[1] - 1)
