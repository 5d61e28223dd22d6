"""A toy of So-Fake-R1's reinforcement: a categorical policy over 3 labels x 9 boxes for each of a few images.

Each update samples a group of answers for each image, written in the format and rewarded as texts, and takes one
clipped step near the reference. Advantages within groups, clipped objective and divergence are those of
`shiftbench.plugins.trainers._policy_loss`. An answer is one token. A box, one of nine cells of a 3 x 3 grid, is
written with TAMPERED alone.

Source: Shao et al. 2024, arXiv:2402.03300, as So-Fake-R1 uses it; G, clip and beta (8, 0.2, 0.04) are the
specification's, since the paper's were not found. Differs: the standard deviation is that of a sample with 1e-4 added
(`_policy_loss`), where So-Fake's equation has 1e-8.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from shiftbench.base.rng import RandomStream
from shiftbench.plugins.trainers import _policy_loss
from shiftbench.systems.so_fake.datasets._forging import CLASSES, TAMPERED
from shiftbench.systems.so_fake.models import _answers
from shiftbench.systems.so_fake.models._answers import Answer
from shiftbench.systems.so_fake.trainers import _rewards

SIDE, CELLS = 27, 3
GROUP, CLIP, BETA, RATE = 8, 0.2, 0.04, 0.1


def boxes() -> list[_answers.Box]:
    """Return the nine cells of a picture, row by row."""
    edges = [SIDE * at / CELLS for at in range(CELLS + 1)]
    return [(edges[x], edges[y], edges[x + 1], edges[y + 1]) for y in range(CELLS) for x in range(CELLS)]


def answers() -> list[str]:
    """Return the text of each of the 27 actions: the label, then the cell."""
    texts = []
    for label in range(len(CLASSES)):
        for box in boxes():
            texts.append(_answers.written(Answer(label, box if label == TAMPERED else None)))
    return texts


def truths() -> list[Answer]:
    """Return what the images are: one real, one wholly synthetic, and one tampered with in each cell."""
    return [Answer(0, None), Answer(1, None), *(Answer(TAMPERED, box) for box in boxes())]


def table(images: Sequence[Answer]) -> torch.Tensor:
    """Return the reward of each action for each image, as a share of the largest, float32 (images, 27)."""
    texts = answers()
    return torch.tensor([[_rewards.reward(text, one).total / _rewards.most(one) for text in texts] for one in images])


def trained(seed: int, updates: int = 200) -> NDArray[np.float64]:
    """Return the expected reward under the policy before each update and after the last, float64 (updates + 1,)."""
    rewards = table(truths())
    logits = torch.zeros_like(rewards, requires_grad=True)
    reference = logits.detach().log_softmax(1)
    update = torch.optim.Adam([logits], lr=RATE)
    told = [_expected(logits, rewards)]
    for number in range(updates):
        drawn = _drawn(logits, RandomStream(seed, "toy", "so_fake", f"{number}"))
        advantages = _policy_loss.advantages(rewards.gather(1, drawn))
        own = logits.log_softmax(1).gather(1, drawn).reshape(-1, 1)
        base = reference.gather(1, drawn).reshape(-1, 1)
        gain = _policy_loss.objective(own, own.detach(), advantages.flatten(), CLIP)
        values = gain - BETA * _policy_loss.divergence(own, base)
        inside = torch.ones_like(values, dtype=torch.bool)
        loss = -_policy_loss.reduced(values, inside, "sequence", 1)
        update.zero_grad()
        loss.backward()
        update.step()
        told.append(_expected(logits, rewards))
    return np.array(told)


def _expected(logits: torch.Tensor, rewards: torch.Tensor) -> float:
    return float((logits.detach().softmax(1) * rewards).sum(1).mean())


def _drawn(logits: torch.Tensor, rng: RandomStream) -> torch.Tensor:
    """Return a group of actions for each image, int64 (images, GROUP)."""
    numbers = torch.from_numpy(rng.uniform((len(logits), GROUP)))
    below = logits.detach().softmax(1).cumsum(1)
    return torch.searchsorted(below, numbers).clamp(max=logits.shape[1] - 1)
