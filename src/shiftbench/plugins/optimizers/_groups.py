"""Options of optimisers, and the groups of parameters that they treat alike."""

from typing import Annotated, Any

from pydantic import Field
from torch import nn

Beta1 = Annotated[float, Field(ge=0, lt=1, description="decay of the running mean of gradients")]
Beta2 = Annotated[float, Field(ge=0, lt=1, description="decay of the running mean of squared gradients")]
Eps = Annotated[float, Field(ge=0, description="number added to the divisor of a step")]
Head = Annotated[float, Field(ge=0, description="learning rate of the model's head, as a multiple of the others'")]
DecayAll = Annotated[bool, Field(description="decay biases and norms, too")]


def by_decay(model: nn.Module, decay: float, lr: float = 0.0, head: float = 1.0) -> list[dict[str, Any]]:
    """Groups of trained parameters: matrices, which are decayed, and biases and norms, which are not.

    Args:
        model: its parameters that need a gradient are taken.
        decay: weight decay of the first group.
        lr: learning rate.
        head: the model's `head` has groups of its own, with `lr` times this; 1: it is as the rest.
    """
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    groups = []
    for factor in dict.fromkeys((1.0, head)):
        parameters = [p for name, p in trained if head == 1.0 or (factor == 1.0) != name.startswith("head.")]
        rate = {} if factor == 1.0 else {"lr": factor * lr}
        groups += [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": decay, **rate},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0, **rate},
        ]
    return groups
