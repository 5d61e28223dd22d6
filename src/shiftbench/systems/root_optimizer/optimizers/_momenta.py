"""Momenta of hidden matrices while a model is trained with Muon, and the spectra of some that fits may see.

    python -m shiftbench.systems.root_optimizer.optimizers._momenta

writes `_spectra.json`: singular values of the momenta of a ViT on Fashion-MNIST, from a training seed that no analysis
uses. `_coefficients.py` fits to them; then fit again.
"""

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from shiftbench.base import registry
from shiftbench.base.rng import RandomStream
from shiftbench.data import source_files
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.optimizers import _coefficients, _newton_schulz, _orthogonal
from shiftbench.plugins.optimizers._newton_schulz import Floats
from shiftbench.plugins.trainers import _loop

SEED = 1_000_003
SEEN = (50, 100, 150, 200)
STEPS: Mapping[str, float] = {"steps": 200, "batch_size": 64, "lr": 0.01}


def with_muon(job: TrainJob, size: Mapping[str, float]) -> TrainJob:
    """A training with Muon at a constant rate, for as many epochs as make `steps` steps.

    Args:
        job: what learns, and from what.
        size: `steps`, `batch_size`, `lr`.
    """
    batch = int(size["batch_size"])
    epochs = -(-int(size["steps"]) * batch // max(1, len(job.samples("train"))))
    params = {"epochs": epochs, "batch_size": batch, "lr": size["lr"], "weight_decay": 0.1}
    muon = {"use": "muon", "options": registry.defaults(registry.find("optimizers", "muon"))}
    return replace(job, params={**params, "schedule": "constant"}, optimizer=muon)


def momenta_of_steps(job: TrainJob, steps: Sequence[int]) -> list[tuple[str, int, Floats]]:
    """Train and return what Muon orthogonalises at some steps, from 1, as (layer/shape, step, float64 (m, n))."""
    rule, momenta = _orthogonal.Rule(average=True), []
    states: dict[str, torch.Tensor] = {}
    step = 0

    def record_momenta(model: nn.Module, _: RandomStream) -> None:
        nonlocal step
        step += 1
        for name, parameter in model.named_parameters():
            if not _orthogonal.is_hidden(name, parameter) or parameter.grad is None:
                continue
            state = states.setdefault(name, torch.zeros_like(parameter))
            direction = _orthogonal.advanced(state, parameter.grad, rule).flatten(1)
            if step in steps:
                shape = f"{direction.shape[0]}x{direction.shape[1]}"
                matrix = direction.double().cpu().numpy().copy()
                momenta.append((f"{name.removesuffix('.weight')}/{shape}", step, matrix))

    def loss(model: nn.Module, batch: Any, labels: torch.Tensor, _: RandomStream) -> torch.Tensor:
        return nn.functional.cross_entropy(model(_loop.tensor(batch, model)), labels)

    with torch.random.fork_rng(devices=[]):
        model = _loop.fresh_net(job)
        _loop.fit(job, model, loss, between=record_momenta, validate=lambda _: 0.0)
    return momenta


def main() -> None:
    """Write the spectra of one training again, on what `shiftbench fetch fashion_mnist` brought."""
    data, model = registry.find("datasets", "fashion_mnist"), registry.find("models", "vit")
    folder = {"fashion_mnist": Path(source_files.original_folder("fashion_mnist"))}
    count = int(STEPS["steps"] * STEPS["batch_size"])
    samples = list(itertools.islice(data.samples("train", folder, {}), count))
    options = {**registry.defaults(model), "depth": 2, "patch": 7}
    classes = tuple(data.CLASSES)
    plain = TrainJob("fashion_mnist", "vit", "ns_error", SEED, {}, options, classes, {}, lambda _: samples)
    spectra: dict[str, list[list[float]]] = {}
    for _, _, matrix in momenta_of_steps(with_muon(plain, STEPS), SEEN):
        values = [round(float(value), 6) for value in _newton_schulz.spectrum(matrix)]
        spectra.setdefault(_coefficients.spell(matrix.shape), []).append(values)
    _coefficients.SPECTRA.write_text(json.dumps(spectra, indent=None, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
