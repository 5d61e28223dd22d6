"""A net of two layers and a batch for it, for equations that are checked one by one."""

import torch
from torch import nn


def small_net(channels: int = 2, classes: int = 3) -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Flatten(), nn.Linear(channels * 30, 8), nn.Tanh(), nn.Linear(8, classes))


def batch(channels: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(2)
    return torch.randn(4, channels, 5, 6), torch.tensor([0, 2, 1, 2])
