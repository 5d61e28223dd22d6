"""Smoothness: total variation of first-layer kernels and of units' maps, and how much of noise passes a unit.

    kernel_tv     a kernel of the first convolution, at unit norm: TV summed over its input channels
    map_tv        a unit's map: TV, mean over pictures
    noise_tv      |map_tv of clean - of noisy pictures| / map_tv of clean ones
    noise_passes  1 where |difference| >= `share` x the mean map_tv of the layer in the standard model, else 0
    dead_unit     1 where the clean maps of a unit are flat, so that it has no noise_tv

TV(A) is the sum of |A[i+1, j] - A[i, j]| and |A[i, j+1] - A[i, j]|. The group of a row is the layer, of kernels none.
The standard model has the same dataset and seed.

Source: Chen, Agarwal and Nguyen 2020, arXiv:2006.09373, section on smoothness; `tv_obs.py` of
https://github.com/anguyen8/shape-bias (maps after the rectifiers, 0.2). The norm of kernels is ours, since weight decay
and scales differ between nets.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from pydantic import Field

from shiftbench.base.refs import Ref
from shiftbench.plugins import declare
from shiftbench.plugins.contracts import Measurement, Observation
from shiftbench.systems.shape_bias_robust_cnns.analyses import _units

CLEAN = "identity/0"
Variations = dict[str, _units.Floats]


class Options(declare.Options):
    layers: _units.Layers = Field({"conv1": "body.2"})
    noisy: str = Field("gaussian_noise/1.5", description="shift of the noisy pictures, SHIFT/SEVERITY")
    standard: str = Field(
        "", description="model of the threshold of `noise_passes`, MODEL-TRAINER; empty: no such rows"
    )
    share: float = Field(0.2, ge=0, description="this threshold, as a share of the mean `map_tv` of the layer")
    samples: _units.Samples = 1000
    only: _units.Only = Field([])


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The checkpoints, those of the standard arm, and the clean and noisy shards."""
    names = _units.measured(params)
    others = [_units.partner(name, params["standard"]) for name in names if params["standard"]]
    weights = [Ref("checkpoints", name) for name in dict.fromkeys([*names, *others])]
    return [*weights, *(_units.place(shift, params) for shift in (CLEAN, params["noisy"]))]


def measure(job: Measurement) -> Iterator[Observation]:
    """Yield the numbers of every unit of every model."""
    clean: dict[str, Variations] = {}

    def clean_variations(name: str) -> Variations:
        if name not in clean:
            unit = _units.place(CLEAN, job.params)
            clean[name] = _units.mean_variations(job, job.predictor(Ref("checkpoints", name)), unit)
        return clean[name]

    for name in _units.measured(job.params):
        columns = {"model": name, "dataset": job.params["dataset"], "split": job.params["split"]}
        predictor = job.predictor(Ref("checkpoints", name))
        for unit, value in enumerate(kernels(predictor.net)):
            yield Observation("kernel_tv", f"kernel_{unit:04d}", value, **columns)
        noisy = _units.mean_variations(job, predictor, _units.place(job.params["noisy"], job.params))
        standard = clean_variations(_units.partner(name, job.params["standard"])) if job.params["standard"] else {}
        for layer, variations in clean_variations(name).items():
            for metric, unit, value in units(variations, noisy[layer], standard.get(layer), job.params["share"]):
                yield Observation(metric, f"{layer}_{unit:04d}", value, group=layer, **columns)


def kernels(model: torch.nn.Module) -> list[float]:
    """The total variation of each kernel of the first convolution, at unit norm; a kernel of zeros has none."""
    weight = _units.first_convolution(model).weight.detach().double()
    lengths = weight.flatten(1).norm(dim=1)
    unit = weight / lengths.clamp(min=1e-12).reshape(-1, 1, 1, 1)
    variations: list[float] = _units.total_variation(unit).sum(1)[lengths > 0].tolist()
    return variations


def units(
    clean: _units.Floats, noisy: _units.Floats, standard: _units.Floats | None, share: float
) -> Iterator[tuple[str, int, float]]:
    """Yield metric, unit and value of a layer.

    Args:
        clean: mean TV of each unit's maps, float64 (c,).
        noisy: the same of noisy pictures.
        standard: the same of the standard model and clean pictures, whose mean is what `share` is of; or none.
        share: of that mean, from which noise is said to pass.
    """
    change = np.abs(clean - noisy)
    for unit_number, (clean_value, difference) in enumerate(zip(clean.tolist(), change.tolist(), strict=True)):
        yield "map_tv", unit_number, clean_value
        yield "dead_unit", unit_number, float(clean_value == 0)
        if clean_value > 0:
            yield "noise_tv", unit_number, difference / clean_value
        if standard is not None:
            yield "noise_passes", unit_number, float(difference >= share * standard.mean())
