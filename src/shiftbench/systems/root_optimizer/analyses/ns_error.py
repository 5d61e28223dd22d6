"""Distance of five Newton-Schulz steps from orthogonal, with each set of coefficients, on each shape and spectrum.

Metric `ns_error`: the root mean square of phi^5(s) - 1 over the singular values of a matrix of unit Frobenius norm,
which is |X - UV'|_F / |UV'|_F. `method` names the coefficients (`classic`, `muon`, `fitted`), `dataset` the spectrum:

- `gaussian`, `student_t` (3 degrees of freedom): matrices drawn by keyed words that no fit has seen; `group` is the
  shape. The shapes of the paper's model (2048 and more) have the released triples;
- `momentum`: real momenta, seen while a model is trained with Muon; `group` is the layer, a unit
  is a layer at a step, `weights` has the training seed.

Source: ROOT, arXiv 2511.20626, its figure of relative errors; see `optimizers/_newton_schulz.py`.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from pydantic import Field

from shiftbench.base import refs, registry, rng
from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.refs import Ref
from shiftbench.base.rng import RandomStream
from shiftbench.data import shards
from shiftbench.plugins import declare, fields
from shiftbench.plugins.contracts import Measurement, Observation, TrainJob
from shiftbench.plugins.optimizers import _newton_schulz, _orthogonal
from shiftbench.plugins.optimizers._newton_schulz import Floats
from shiftbench.systems.root_optimizer.optimizers import _momenta

SMALL = dict.fromkeys(("32x32", "48x48", "64x64", "128x128", "256x256", "48x96", "48x144", "64x128", "64x256"), 20)
KINDS = ("gaussian", "student_t")
METHODS = ("classic", "muon", "fitted")


class Options(declare.Options):
    spectra: dict[Literal["gaussian", "student_t"], dict[str, int]] = Field(
        {"gaussian": {**SMALL, "2048x2048": 2, "2048x3072": 2, "2048x8192": 2, "2048x16384": 2}, "student_t": SMALL},
        description="distribution of the entries -> shape of a matrix -> number of matrices",
    )
    model: str = Field("vit", description="model whose momenta are measured")
    model_params: dict[str, Any] | None = Field(None, description="options of this model; null: its defaults")
    seeds: list[int] = Field([0, 1, 2], description="training seeds of this model")
    steps: int = Field(200, ge=1, description="steps of its training with Muon")
    batch_size: fields.BatchSize = 64
    lr: fields.LearningRate = 0.01
    seen: list[int] = Field([50, 100, 150, 200], description="steps at which momenta are measured")


def uses(params: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The plugins whose code decides: the model whose momenta are measured, and Muon."""
    return [("models", params["model"]), ("optimizers", "muon")]


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The shards that the model learns from."""
    return [refs.shards(params["dataset"], split) for split in ("train", "val")]


def measure(job: Measurement) -> Iterator[Observation]:
    """Yield one observation per coefficients and matrix."""
    for kind, shapes in job.params["spectra"].items():
        for shape, count in shapes.items():
            for number in range(count):
                values = _newton_schulz.spectrum(random_matrix(kind, shape, number, job.seed))
                yield from _errors(values, "matrices", kind, shape, f"{kind}/{shape}/{number}")
    for seed in job.params["seeds"]:
        name = refs.checkpoint(job.params["dataset"], job.params["model"], "muon", seed).name
        for layer, step, momentum in _momenta.momenta_of_steps(_training(job, seed), job.params["seen"]):
            values = _newton_schulz.spectrum(momentum)
            yield from _errors(values, name, "momentum", layer, f"s{seed}/{layer}/{step}")


def _errors(values: Floats, name: str, kind: str, group: str, key: str) -> Iterator[Observation]:
    """Yield the error of each set of coefficients on one spectrum; `group` ends in the shape."""
    for method in METHODS:
        triple: Sequence[float] = _orthogonal.COEFFICIENTS[method](_shape(group))
        error = _newton_schulz.error(values, triple)
        yield Observation("ns_error", key, error, name, kind, method=method, group=group)


def _shape(name: str) -> tuple[int, int]:
    rows, columns = name.rpartition("/")[2].split("x")
    return int(rows), int(columns)


def random_matrix(kind: str, shape: str, number: int, seed: int) -> Floats:
    """A random matrix, float64 (m, n).

    Raises:
        ParamsError: `kind` is none of KINDS.
    """
    rows, columns = _shape(shape)
    rng = RandomStream(seed, "ns_error", kind, f"{shape}/{number}")
    matrix: Floats = rng.normal((rows, columns)).astype(np.float64)
    if kind == "student_t":
        normal = rng.normal((3, rows, columns)).astype(np.float64)
        matrix = matrix / np.sqrt((normal**2).mean(axis=0))
    elif kind != "gaussian":
        raise ParamsError(f"ns_error: no spectrum is called {kind!r}; {suggest(kind, KINDS)}")
    return matrix


def _training(job: Measurement, seed: int) -> TrainJob:
    """A training with Muon on the first images of the train split."""
    params, train_shards = job.params, refs.shards(job.params["dataset"], "train")
    samples = job.samples(train_shards)[: params["steps"] * params["batch_size"]]
    model = registry.find("models", params["model"])
    job_without_muon = TrainJob(
        dataset=params["dataset"],
        model=params["model"],
        trainer="ns_error",
        seed=rng.derive(job.seed, "ns_error", str(seed)),
        params={},
        model_params={**registry.defaults(model), **(params["model_params"] or {})},
        classes=tuple(shards.manifest(job.folder(train_shards))["classes"]),
        inputs={},
        samples=lambda _: samples,
    )
    return _momenta.with_muon(job_without_muon, params)
