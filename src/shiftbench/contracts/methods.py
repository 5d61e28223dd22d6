"""Every method: what it declares, and that it answers each sample in its place."""

from typing import Any

import numpy as np
import pytest
import torch

from shiftbench.base import registry
from shiftbench.base.registry import defaults
from shiftbench.base.sample import Sample
from shiftbench.contracts import names
from shiftbench.evaluation import nets
from shiftbench.plugins.models import convnet

NAMES = names("methods")


def predictor(samples: list[Sample]) -> dict[str, np.ndarray]:
    """Answer with sums over rows and columns: other images, other answers."""
    images = np.stack([sample.fields["image"] for sample in samples]).astype(np.float32)
    return {"logits": images.sum(axis=1), "features": images.sum(axis=2)}


def samples(count: int = 6) -> list[Sample]:
    pixels = np.random.default_rng(0).integers(0, 256, (count, 8, 8)).astype(np.uint8)
    fields = [{"image": image, "label": i % 3} for i, image in enumerate(pixels)]
    return [Sample(f"toy/test/{i}", field) for i, field in enumerate(fields)]


def net() -> nets.TorchPredictor:
    """Return a torch net with normalisation, for methods that change one."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        options = {**defaults(convnet), "norm": "group", "width": 4}
        return nets.TorchPredictor(convnet.build(options, 3), convnet, options, "cpu")


def answers(name: str, given: list[Sample]) -> dict[str, np.ndarray]:
    module: Any = registry.find("methods", name)
    options = {**defaults(module), **({"rate": 0.1} if "rate" in defaults(module) else {})}
    around = net() if "net" in getattr(module, "NEEDS", ()) else predictor
    found: dict[str, np.ndarray] = module.wrap(around, options, {})(given)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_declarations(name: str) -> None:
    module = registry.find("methods", name)
    assert module.SEES in ("sample", "batch", "stream")
    tasks = registry.names("tasks")
    assert set(getattr(module, "TASKS", tasks if name == "plain" else ())).intersection(tasks)
    assert isinstance(defaults(module), dict)
    assert module.__doc__
    assert "Source:" in module.__doc__


ALONE = [
    name
    for name in NAMES
    if not hasattr(registry.find("methods", name), "needs")
    and "classification" in getattr(registry.find("methods", name), "TASKS", ("classification",))
]
"""Methods around images that need nothing but the predictor."""


@pytest.mark.parametrize("name", ALONE)
def test_one_row_per_sample(name: str) -> None:
    found = answers(name, samples())
    assert "logits" in found
    assert {len(rows) for rows in found.values()} == {6}


@pytest.mark.parametrize("name", [n for n in ALONE if registry.find("methods", n).SEES == "sample"])
def test_who_sees_samples_answers_each_on_its_own(name: str) -> None:
    together, given = answers(name, samples()), samples()
    own_net = "net" in getattr(registry.find("methods", name), "NEEDS", ())
    rounding = 1e-5 if own_net else 0  # a net rounds otherwise in another batch
    for at in (0, 5):
        alone = answers(name, [given[at]])
        for output, rows in alone.items():
            np.testing.assert_allclose(rows[0], together[output][at], rtol=rounding, atol=rounding)


@pytest.mark.parametrize("name", ALONE)
def test_labels_are_not_looked_at(name: str) -> None:
    given = samples()
    relabelled = [sample.with_field("label", 2) for sample in given]
    found, other = answers(name, given), answers(name, relabelled)
    for output in found:
        np.testing.assert_array_equal(found[output], other[output])
