"""The small net: pooled before it is rectified, it says and learns bit for bit what its layers do in their order."""

import copy

import pytest
import torch

from shiftbench.base.registry import defaults
from shiftbench.plugins.models import convnet


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("norm", ["batch", "group"])
def test_the_same_numbers_and_gradients(norm: str, seed: int) -> None:
    """Black corners, where whole windows are equal, and the layout of training."""
    torch.manual_seed(seed)
    net = convnet.build({**defaults(convnet), "norm": norm}, 10).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    images = torch.randint(0, 256, (8, 1, 28, 28)) * (torch.rand(8, 1, 28, 28) < 0.3)
    images[:, :, :10] = 0
    other = copy.deepcopy(net)
    other.body[2].register_forward_hook(lambda *_: None)  # somebody listens: layer by layer
    for mode in (True, False):
        found, wanted = net.train(mode)(images), other.train(mode)(images)
        assert torch.equal(found, wanted)
    net.train()(images).square().sum().backward()
    other.train()(images).square().sum().backward()
    for (name, one), two in zip(net.named_parameters(), other.parameters(), strict=True):
        assert torch.equal(one.grad, two.grad), name
    for one, two in zip(net.buffers(), other.buffers(), strict=True):
        assert torch.equal(one, two)


def test_a_layer_is_heard_where_its_name_stands() -> None:
    net, heard = convnet.build(defaults(convnet), 10).eval(), []
    net.body[2].register_forward_hook(lambda *given: heard.append(given[2].shape))
    net(torch.zeros(1, 1, 28, 28))
    assert heard == [(1, 12, 28, 28)]
