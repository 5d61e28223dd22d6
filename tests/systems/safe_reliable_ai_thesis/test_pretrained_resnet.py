"""The full scale trains the released ResNet-34: from ImageNet's weights, with pooling, by the released schedule."""

from typing import Any

import pytest
import torch

from shiftbench.base import registry
from shiftbench.base.registry import defaults
from shiftbench.contracts import training_jobs
from shiftbench.plugins.trainers import _loop
from shiftbench.systems.safe_reliable_ai_thesis.models import resnet34_imagenet
from shiftbench.workflow.plan import cards

NAME = "resnet34_imagenet"


@pytest.fixture
def released(monkeypatch: pytest.MonkeyPatch) -> Any:
    """torchvision's ResNet-34 with weights of its own, which stand for the downloaded ones."""
    build = resnet34_imagenet._torchvision
    torch.manual_seed(7)
    net = build(None)
    monkeypatch.setattr(resnet34_imagenet, "_torchvision", lambda weights: net if weights else build(None))
    return net


def test_training_starts_from_the_released_model_but_for_stem_and_head(released: Any) -> None:
    job = training_jobs.job(NAME, "watched_erm")
    begun = _loop.fresh_net(job).state_dict()
    fresh = ("body.conv1.weight", "head.weight", "head.bias")
    for name, tensor in released.state_dict().items():
        if not name.startswith(("conv1.", "fc.")):
            assert torch.equal(begun[f"body.{name}"], tensor), name
    assert begun["body.conv1.weight"].shape == (64, 3, 3, 3)
    assert begun["head.weight"].shape == (4, 512)
    again = _loop.fresh_net(job).state_dict()
    other = _loop.fresh_net(training_jobs.job(NAME, "watched_erm", seed=1)).state_dict()
    for name in fresh:
        assert torch.equal(begun[name], again[name])
        assert not torch.equal(begun[name], other[name])


def test_the_net_is_the_released_one_with_its_pooling(released: Any) -> None:
    """`main.py`: conv1 is 3x3 with stride 1, fc has as many outputs as classes, all else is torchvision's."""
    torch.manual_seed(3)
    net = resnet34_imagenet.build(defaults(resnet34_imagenet), 10).eval()
    own = resnet34_imagenet._torchvision(None)
    own.conv1 = torch.nn.Conv2d(3, 64, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), bias=False)
    own.fc = torch.nn.Linear(512, 10)
    state = net.state_dict()
    own.load_state_dict(
        {n.removeprefix("body."): t for n, t in state.items() if n.startswith("body.")}
        | {f"fc.{n}": state[f"head.{n}"] for n in ("weight", "bias")}
    )
    pictures = torch.randint(0, 256, (2, 3, 32, 32)).float()
    mean = torch.tensor((0.491, 0.482, 0.446)).reshape(-1, 1, 1)
    std = torch.tensor((0.247, 0.243, 0.261)).reshape(-1, 1, 1)
    with torch.inference_mode():
        expected = own.eval()((pictures / 255 - mean) / std)
        assert torch.allclose(net(pictures), expected, atol=1e-4)
    places: list[torch.Size] = []
    net.body.layer1.register_forward_hook(lambda _m, _i, out: places.append(out.shape))
    with torch.inference_mode():
        net(pictures)
    assert places[0][2:] == (16, 16)


def released_rates(epochs: int, steps: int, warm: int) -> list[float]:
    """`main.py`: WarmUpLR by steps in the first epoch, then MultiStepLR by epochs; rates of each step."""
    found = []
    for epoch in range(1, epochs + 1):
        for step in range(steps):
            if epoch <= warm:
                found.append(((epoch - 1) * steps + step) / (steps * warm))
            else:
                found.append(0.2 ** sum(epoch - 1 >= one for one in (60, 120, 160)))
    return found


@pytest.mark.parametrize("steps", [1, 4, 44])
def test_the_schedule_is_the_released_one(steps: int) -> None:
    params = cards.load("safe-reliable-ai-thesis").params["full"]["trainers"]["watched_erm"]
    assert params["epochs"] == 200
    update = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    rate = _loop.schedule(update, params["schedule"], 200 * steps, params["warmup"])
    found = []
    for _ in range(200 * steps):
        found.append(rate.get_last_lr()[0])
        update.step()
        rate.step()
    assert found == pytest.approx(released_rates(200, steps, 1))


def test_every_net_of_the_full_scale_is_the_released_one() -> None:
    card = cards.load("safe-reliable-ai-thesis")
    full = card.params["full"]
    models = {
        name
        for benchmark in full["benchmarks"].values()
        for weights in benchmark["models"]
        for name in weights["architectures"]
    }
    assert models == {NAME}
    assert defaults(registry.find("models", NAME))["weights"] == "IMAGENET1K_V1"


def test_both_scales_judge_the_released_mcs_temperature_scaling() -> None:
    card = cards.load("safe-reliable-ai-thesis")
    for scale in ("embedded", "full"):
        given = card.params[scale]["methods"].get("mcs_temperature_scaling") or {}
        assert given.get("held_out", 0.0) == 0.0
        assert given.get("use", "mcs_temperature_scaling") == "mcs_temperature_scaling"
