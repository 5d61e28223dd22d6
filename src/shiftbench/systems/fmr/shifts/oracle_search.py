"""Oracle search: each picture walks along a generator's code against one model, while an oracle still gives its label.

Source: Zhang et al., ICLR 2024 (FMR), arXiv:2308.10632; the walk and what of it is reconstructed are in `_search.py`.

A severity is the budget of steps, whole. Checkpoints are given by their names (`fashion_mnist/convnet-erm-s0`) and
decide the bytes: shards are of one tested model, for all others they are a transfer. The deviation of codes is over the
split that is shifted. Pictures have the size that all models take. Takes no random words; without checkpoints (in
Python) only severity 0 can be applied, the picture itself unless `residual` is false.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from shiftbench.base import refs, registry
from shiftbench.base.errors import DataError, ParamsError, RangeError
from shiftbench.base.refs import CheckpointName, Ref
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.data import shards
from shiftbench.evaluation import batching
from shiftbench.plugins import declare
from shiftbench.plugins.shifts import _levels
from shiftbench.systems.fmr.shifts import _reconstructed

FIELD = None
LEVELS: dict[int, float] = {}
RANGE = (0.0, 1000.0)
INPUTS = True


class Options(declare.Options):
    tested: str = Field(
        "fashion_mnist/convnet-erm-s0", description="checkpoint of the model that pictures walk against"
    )
    generator: str = Field("codes/autoencoder-autoencoding-s0", description="checkpoint of the generator")
    oracles: list[str] = Field(
        ["oracle_a/convnet-erm-s0"], description="checkpoints that answer together as the oracle"
    )
    models: dict[str, dict[str, Any]] = Field(
        {}, description="file (`use`) and options of these models, by name; none: the file of that name"
    )
    spread_from: str = Field("", description="data set whose codes give the deviation; empty: the shifted one")
    eta: _reconstructed.Eta = 0.28
    unit: _reconstructed.Unit = "std"
    residual: _reconstructed.Residual = True
    rule: _reconstructed.Rule = "mean"
    keep: _reconstructed.Keep = "last"
    constrained: _reconstructed.Constrained = True


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """Checkpoints of all networks, and the pictures whose codes' deviation is the unit."""
    names = dict.fromkeys([params["tested"], params["generator"], *params["oracles"]])
    clean = refs.shards(params["spread_from"] or params["dataset"], params["split"])
    return [*(Ref("checkpoints", name) for name in names), clean]


def uses(params: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The models whose code decides."""
    names = [params["tested"], params["generator"], *params["oracles"]]
    models = [CheckpointName.of(Ref("checkpoints", name)).model for name in names]
    return [("models", _model(params, model)[0]) for model in dict.fromkeys(models)]


def apply(
    value: Sample, severity: float, rng: RandomStream, *, inputs: Mapping[Ref, Path] | None = None, **params: Any
) -> Sample:
    """A sample with the picture that the walk ends at.

    Args:
        value: with `image`, uint8 of the size that the networks take, and `label`.
        severity: the budget of steps, a whole number from 0 to 1000.
        rng: not used.
        inputs: where the weights and the clean pictures lie.
        **params: options of the shift.

    Raises:
        RangeError: another severity.
        DataError: a field or the weights are missing, or the networks take other pictures than the sample's.
    """
    _levels.check(__name__, severity, RANGE)
    if severity != int(severity):
        raise RangeError(f"oracle_search: severity {severity:g} is no whole number of steps")
    options = {**Options().model_dump(), **params}
    if not inputs:
        if severity == 0 and options["residual"]:
            return value.with_field("image", np.ascontiguousarray(value.fields["image"]).copy())
        raise DataError("oracle_search asks nets, which are not here; ask for the shift in a benchmark")
    return value.with_field("image", _walker(_Key(inputs, options))(value, int(severity)))


class _Key:
    """Key of a walker: its files and options."""

    def __init__(self, inputs: Mapping[Ref, Path], options: Mapping[str, Any]) -> None:
        self.inputs, self.options = dict(inputs), dict(options)
        self._text = repr((sorted(self.inputs.items()), sorted(self.options.items())))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


@lru_cache(maxsize=2)
def _walker(key: _Key) -> _Walker:
    return _Walker(key.inputs, key.options)


class _Walker:
    """All networks, loaded, and the unit of steps."""

    def __init__(self, inputs: Mapping[Ref, Path], options: Mapping[str, Any]) -> None:
        from shiftbench.evaluation import nets  # here, since planning does without torch
        from shiftbench.systems.fmr.shifts import _search

        def load(name: str) -> Any:
            ref = Ref("checkpoints", name)
            model, own_options = _model(options, CheckpointName.of(ref).model)
            plugin, file = registry.find("models", model), inputs[ref]
            predictor = nets.load_predictor(
                plugin, file, {**registry.defaults(plugin), **own_options}, nets.classes_of(file), "cpu", inputs=inputs
            )
            if not isinstance(predictor, nets.TorchPredictor):
                raise ParamsError(f"oracle_search: {name} is a black box, and gradients are asked of nets")
            return predictor

        self._nets, self._same = nets, _search.same_pictures
        self._tested, generator = load(options["tested"]), load(options["generator"])
        oracles = [load(name) for name in options["oracles"]]
        self._all = {
            options["tested"]: self._tested,
            options["generator"]: generator,
            **dict(zip(options["oracles"], oracles, strict=True)),
        }
        oracle = _search.Oracle([one.net for one in oracles], options["rule"])
        folder = next(path.parent for ref, path in inputs.items() if ref.kind == "shards")
        unit = _search.spread(generator.net, self._batches(generator, folder), options["unit"])
        self._search = _search.Search(generator.net, oracle, unit, options)

    def _batches(self, generator: Any, folder: Path) -> Iterator[Any]:
        for batch in batching.batches(shards.read(folder), 250):
            yield self._nets.to_inputs(generator.prepare(batch), generator.device)

    def __call__(self, sample: Sample, budget: int) -> np.ndarray[Any, Any]:
        """The picture after a walk, uint8 of the sample's shape.

        Raises:
            DataError: the networks take other pictures than the sample's, or than each other.
        """
        import torch

        image = sample.fields["image"]
        inputs = self._same({name: network.prepare([sample]) for name, network in self._all.items()})
        own = np.atleast_3d(image).transpose(2, 0, 1)[None]
        if inputs.shape != own.shape or (inputs != own).any():
            raise DataError(
                f"oracle_search: the nets take {inputs.shape[1:]}, the image is {image.shape}; give them that size, or "
                "the dataset's pictures theirs"
            )
        label = torch.tensor([int(sample.fields["label"])])
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # sums in one order
        tensor = torch.from_numpy(np.ascontiguousarray(inputs))
        walk = self._search.walk(self._tested.net, tensor, label, [budget])
        torch.set_num_threads(threads)
        picture = walk.at[budget][0].numpy().transpose(1, 2, 0)
        return np.ascontiguousarray(picture[..., 0] if image.ndim == 2 else picture)


def _model(params: Mapping[str, Any], name: str) -> tuple[str, dict[str, Any]]:
    """The file and the options of a model: `models: {NAME: {use: FILE, ...}}`, else the name with none."""
    options = dict(params["models"].get(name, {}))
    return options.pop("use", name), options
