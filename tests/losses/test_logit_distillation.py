"""Distillation of logits against a 2 x 3 example by hand, and against DeiT's line of code."""

import math

import pytest
import torch
import torch.nn.functional as F

from shiftbench.base.errors import ParamsError
from shiftbench.plugins.losses.classification import logit_distillation

STUDENT = torch.tensor([[0.0, 0.0, 0.0], [math.log(2), 0.0, 0.0]])
TEACHER = torch.tensor([[math.log(2), 0.0, 0.0], [0.0, 0.0, 0.0]])


def test_two_rows_of_three_classes_by_hand() -> None:
    """KL of (1/2, 1/4, 1/4) from thirds, and of thirds from (1/2, 1/4, 1/4)."""
    first = 0.5 * math.log(1.5) + 0.5 * math.log(0.75)
    second = (math.log(2 / 3) + 2 * math.log(4 / 3)) / 3
    batchmean, numel = (logit_distillation(STUDENT, TEACHER, reduction=r).item() for r in ("batchmean", "numel"))
    assert abs(batchmean - (first + second) / 2) < 1e-6
    assert abs(numel - (first + second) / 6) < 1e-6


def test_equal_to_the_released_line_at_any_temperature() -> None:
    torch.manual_seed(0)
    student, teacher = torch.randn(5, 7, requires_grad=True), torch.randn(5, 7)
    for tau in (0.5, 1.0, 4.0):
        logs = F.log_softmax(student / tau, dim=1), F.log_softmax(teacher / tau, dim=1)
        released = F.kl_div(*logs, reduction="sum", log_target=True) * (tau * tau) / student.numel()
        assert torch.allclose(logit_distillation(student, teacher, tau, "numel"), released, atol=1e-7)
    assert logit_distillation(teacher, teacher).abs() < 1e-6
    with pytest.raises(ParamsError, match="reduction"):
        logit_distillation(student, teacher, 1.0, "sum")
