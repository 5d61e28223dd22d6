"""Input diversity: of how many kinds the pictures are that move a unit most.

    input_classes    distinct labels among the `top` pictures with the unit's highest activation
    input_distance   mean distance between two of these pictures: root mean square over pixels, white is 1

A picture's activation is the highest of the unit's map. A unit that no picture moves has neither. The group of a row is
the layer.

Source: Chen, Agarwal and Nguyen 2020, arXiv:2006.09373: units of robust models detect fewer kinds of inputs. How they
counted was not found in their code; the number of pictures is that of their figures (7 x 7), both measures are ours.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base.refs import Ref
from shiftbench.plugins import declare
from shiftbench.plugins.contracts import Measurement, Observation
from shiftbench.systems.shape_bias_robust_cnns.analyses import _units

CLEAN = "identity/0"


class Options(declare.Options):
    layers: _units.Layers = Field({"conv1": "body.2"})
    top: int = Field(49, ge=2, description="pictures with the highest activation that are compared")
    samples: _units.Samples = 2000
    only: _units.Only = Field([])


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The checkpoints and the tested shards."""
    weights = [Ref("checkpoints", name) for name in _units.measured(params)]
    return [*weights, _units.place(CLEAN, params)]


def measure(job: Measurement) -> Iterator[Observation]:
    """Yield both numbers of every unit of every model that some picture moves."""
    params = job.params
    for name in _units.measured(params):
        predictor = job.predictor(Ref("checkpoints", name))
        labels: list[int] = []
        peaks: dict[str, list[_units.Floats]] = {layer: [] for layer in params["layers"]}
        pixels = []
        for batch in _units.batches(job, _units.place(CLEAN, params)):
            labels += [int(sample.fields["label"]) for sample in batch]
            pixels.append(predictor.prepare(batch).reshape(len(batch), -1))
            for layer, maps in _units.activations(predictor, params["layers"], batch).items():
                peaks[layer].append(maps.flatten(2).amax(2).double().cpu().numpy())
        pictures, kinds = np.concatenate(pixels), np.asarray(labels)
        for layer, batches_of_peaks in peaks.items():
            for unit, unit_peaks in enumerate(np.concatenate(batches_of_peaks).T):
                best = strongest(unit_peaks, params["top"])
                if unit_peaks.max() > unit_peaks.min():
                    columns = {"group": layer, "dataset": params["dataset"], "split": params["split"]}
                    key = f"{layer}_{unit:04d}"
                    count, mean_distance = len(set(kinds[best].tolist())), distance(pictures[best])
                    yield Observation("input_classes", key, float(count), name, **columns)
                    yield Observation("input_distance", key, mean_distance, name, **columns)


def strongest(activations: _units.Floats, top: int) -> NDArray[np.int64]:
    """The rows of the highest activations; of equal ones those that come first."""
    return np.argsort(-activations, kind="stable")[:top].astype(np.int64)


def distance(pictures: NDArray[Any]) -> float:
    """The mean root mean square difference of two of some pictures, 0 for one; (n, pixels) of 0 to 255."""
    rows = pictures.astype(np.float64) / 255
    squares = (rows**2).sum(1)
    squared_distances = (squares[:, None] + squares - 2 * rows @ rows.T).clip(0) / rows.shape[1]
    first, second = np.triu_indices(len(rows), 1)
    return float(np.sqrt(squared_distances[first, second]).mean()) if len(first) else 0.0
