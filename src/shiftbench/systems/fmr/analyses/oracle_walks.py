"""Foundation Model-oriented Robustness: every network's pictures are walked against it, and what it answers there.

    analyses:
      search:
        use: oracle_walks
        generator: codes/autoencoder-autoencoding-s0
        oracles: [oracle_a/convnet-erm-s0, oracle_b/convnet-erm-s0]

The walk is `shifts/_search.py`, in batches; all budgets are places on one walk. Of each of the benchmark's weights and
the first `samples` pictures of the tested split, under the name `shift`:

| metric | is |
| --- | --- |
| `standard_accuracy` | SA, right on the clean picture |
| `perturbed_accuracy` | PA at each budget (severity); metrics/fmr.py makes FMR of both |
| `oracle_accuracy` | the oracle's, on the clean picture (no severity) and at each budget |
| `oracle_split` | whether the members of the oracle disagree, likewise |
| `accepted_steps` | steps accepted within the largest budget |
| `oracle_stop_share`, `unmoved_share` | walks that the oracle stopped; pictures that it errs on, left alone |
| `recovery_share` | wrong at some budget and right at a larger one (no severity) |
| `perturbation_l2`, `perturbation_linf` | distance to the clean picture at each budget, white as 1 |
| `perturbation_lpips` | likewise, if `lpips` names a network of the package lpips (`alex`), to be installed |
| `reconstruction_accuracy` | right on the generator's picture of the code, nothing added (no severity) |

In the group `oracle_right` SA and PA are of the pictures that the oracle is right on. With `transfer`, PA at the
largest budget on the pictures of every other network of the same seed (`from_MODEL-TRAINER`), and on all of them
(`pooled`: a unit's value is the share of the networks' pictures on which it is right).

Under the constraint the oracle must be right on exactly the pictures that it was right on: this is checked in each
batch, and a walk that breaks it is an error, not a row. Source: Zhang et al., ICLR 2024, arXiv:2308.10632.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Annotated, Any, Literal

import torch
from pydantic import Field

from shiftbench.base import refs
from shiftbench.base.errors import ModelError, ParamsError
from shiftbench.base.refs import Ref, without_seed
from shiftbench.base.sample import Sample
from shiftbench.data import shards
from shiftbench.evaluation import batching, nets
from shiftbench.plugins import declare, fields
from shiftbench.plugins.contracts import Measurement, Observation
from shiftbench.systems.fmr.shifts import _reconstructed, _search

Values = dict[tuple[str, int | None, str | None], torch.Tensor]
"""(metric, budget, group) -> one value of each picture, or NaN where it is not of the group."""


class Options(declare.Options):
    generator: str = Field("codes/autoencoder-autoencoding-s0", description="checkpoint of the generator")
    oracles: list[str] = Field(
        ["oracle_a/convnet-erm-s0"], description="checkpoints that answer together as the oracle"
    )
    shift: str = Field("oracle_search", description="name of the shift in the rows")
    budgets: list[Annotated[int, Field(ge=0)]] = Field([0, 5, 10, 20], description="budgets, in steps")
    samples: int = Field(1000, ge=1, description="pictures of the tested split, the first ones")
    seeds: list[int] = Field([], description="training seeds of the tested models; none: all")
    transfer: bool = Field(False, description="whether each model is also tested on the pictures of the others")
    batch_size: fields.BatchSize = 250
    lpips: Literal["", "alex", "vgg", "squeeze"] = Field(
        "", description="network of the package lpips for `perturbation_lpips`; empty: not measured"
    )
    eta: _reconstructed.Eta = 0.28
    unit: _reconstructed.Unit = "std"
    residual: _reconstructed.Residual = True
    rule: _reconstructed.Rule = "mean"
    keep: _reconstructed.Keep = "last"
    constrained: _reconstructed.Constrained = True


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """All checkpoints and the tested shards."""
    names = dict.fromkeys([*params["checkpoints"], params["generator"], *params["oracles"]])
    return [*(Ref("checkpoints", name) for name in names), _test_shards(params)]


def _test_shards(params: Mapping[str, Any]) -> Ref:
    return refs.shards(params["dataset"], params["split"])


def measure(job: Measurement) -> Iterator[Observation]:
    """Yield what the walks of each network gave.

    Raises:
        ParamsError: a tested network is also a member of the oracle or the generator, or an option is out of range.
        ModelError: the oracle's accuracy changed under its own constraint.
        DataError: networks see other pictures than each other.
    """
    parts, params = _Parts.of(job), job.params
    for batch in batching.batches(_pictures(job), params["batch_size"]):
        pictures, labels = parts.batch_tensors(batch)
        walks = {
            name: parts.search.walk(model, pictures, labels, params["budgets"]) for name, model in parts.tested.items()
        }
        for name, walk in walks.items():
            values = parts.values(name, walk, pictures, labels)
            if params["transfer"]:
                values |= parts.transfers(name, walks, labels)
            yield from _observations(values, batch, name, params)


def _pictures(job: Measurement) -> Iterator[Sample]:
    return islice(shards.read(job.folder(_test_shards(job.params))), job.params["samples"])


@dataclass(frozen=True)
class _Parts:
    """All networks of an analysis; `predictors` are those that pictures are prepared for."""

    tested: Mapping[str, Any]
    search: _search.Search
    predictors: Mapping[str, nets.TorchPredictor]
    params: Mapping[str, Any]

    @classmethod
    def of(cls, job: Measurement) -> _Parts:
        """Load the networks, and find the unit of steps."""
        params = job.params
        names = [
            name for name in params["checkpoints"] if not params["seeds"] or without_seed(name)[1] in params["seeds"]
        ]
        inside = sorted({*params["oracles"], params["generator"]} & set(names))
        if inside:
            raise ParamsError(
                f"oracle_walks: {inside[0]} is tested and part of oracle or generator, which must be nets apart"
            )
        every = dict.fromkeys([*names, params["generator"], *params["oracles"]])
        predictors = {name: job.predictor(Ref("checkpoints", name)) for name in every}
        maker = predictors[params["generator"]]
        oracle = _search.Oracle([predictors[name].net for name in params["oracles"]], params["rule"])
        batches = batching.batches(_pictures(job), params["batch_size"])
        inputs = (nets.to_inputs(maker.prepare(batch), maker.device) for batch in batches)
        unit = _search.spread(maker.net, inputs, params["unit"])
        search = _search.Search(maker.net, oracle, unit, params)
        return cls({name: predictors[name].net for name in names}, search, predictors, params)

    def batch_tensors(self, batch: list[Sample]) -> tuple[torch.Tensor, torch.Tensor]:
        """Pictures and labels of a batch, on the device."""
        inputs = {name: one.prepare(batch) for name, one in self.predictors.items()}
        maker = self.predictors[self.params["generator"]]
        labels = torch.tensor([int(sample.fields["label"]) for sample in batch])
        return nets.to_inputs(_search.same_pictures(inputs), maker.device), labels.to(maker.device)

    def values(self, name: str, walk: _search.Walk, pictures: torch.Tensor, labels: torch.Tensor) -> Values:
        """Metrics of one model's walk, one value for each picture."""
        model, oracle = self.tested[name], self.search.oracle
        is_trusted = oracle(pictures) == labels
        clean = _is_right(model, pictures, labels)
        metrics: Values = {
            ("standard_accuracy", None, None): clean,
            ("standard_accuracy", None, "oracle_right"): _restrict(clean, is_trusted),
            ("oracle_accuracy", None, None): is_trusted,
            ("oracle_split", None, None): oracle.apart(pictures),
            ("reconstruction_accuracy", None, None): _is_right(model, self._rebuilt(pictures), labels),
        }
        correct = {budget: _is_right(model, images, labels) for budget, images in sorted(walk.at.items())}
        for budget, images in walk.at.items():
            agrees = oracle(images) == labels
            if self.params["constrained"] and not torch.equal(agrees, is_trusted):
                changes = int((agrees != is_trusted).sum())
                raise ModelError(
                    f"oracle_walks: the oracle's answer to {changes} pictures of {name} changed under its own "
                    f"constraint at {budget} steps; nets must answer alike in every batch (float32, evaluation mode)"
                )
            away = (images.float() - pictures.float()).flatten(1) / 255
            metrics |= {
                ("perturbed_accuracy", budget, None): correct[budget],
                ("perturbed_accuracy", budget, "oracle_right"): _restrict(correct[budget], is_trusted),
                ("oracle_accuracy", budget, None): agrees,
                ("oracle_split", budget, None): oracle.apart(images),
                ("perturbation_l2", budget, None): away.norm(dim=1),
                ("perturbation_linf", budget, None): away.abs().amax(1),
            }
            if self.params["lpips"]:
                distance = _lpips_distance(self.params["lpips"], images, pictures)
                metrics["perturbation_lpips", budget, None] = distance
        most = max(walk.at)
        return metrics | {
            ("recovery_share", None, None): recoveries(list(correct.values())),
            ("accepted_steps", most, None): walk.accepted,
            ("oracle_stop_share", most, None): walk.ended == _search.STOPPED,
            ("unmoved_share", most, None): walk.ended == _search.UNMOVED,
        }

    def _rebuilt(self, pictures: torch.Tensor) -> torch.Tensor:
        maker = self.search.generator
        with torch.inference_mode():
            rebuilt: torch.Tensor = maker.decode(maker.apart(pictures)[0])
        return rebuilt

    def transfers(self, name: str, walks: Mapping[str, _search.Walk], labels: torch.Tensor) -> Values:
        """Whether a network is right on the pictures of the other networks of its seed, and on all of them."""
        architecture, seed = without_seed(name)
        values, every, most = Values(), list[torch.Tensor](), max(walks[name].at)
        for other, walk in walks.items():
            source, number = without_seed(other)
            if number == seed:
                correct = _is_right(self.tested[name], walk.at[most], labels).float()
                every.append(correct)
                if source != architecture:
                    group = f"from_{source.rpartition('/')[2]}"
                    values["perturbed_accuracy", most, group] = correct
        pool: Values = {("perturbed_accuracy", most, "pooled"): torch.stack(every).mean(0)}
        return {**values, **pool}


def recoveries(correct: list[torch.Tensor]) -> torch.Tensor:
    """Whether a picture was wrong at one budget and right at a larger one, bool (n,); budgets ascend."""
    fallen = torch.zeros_like(correct[0])
    again = torch.zeros_like(correct[0])
    for now in correct:
        again |= fallen & now
        fallen |= ~now
    return again


@lru_cache(maxsize=1)
def _lpips(name: str) -> Any:
    try:
        import lpips  # type: ignore[import-not-found]
    except ModuleNotFoundError:
        raise ModelError(
            "oracle_walks: lpips is asked for and not installed; run `pip install lpips`, or leave the option empty"
        ) from None
    return lpips.LPIPS(net=name, verbose=False).eval()


def _lpips_distance(name: str, images: torch.Tensor, pictures: torch.Tensor) -> torch.Tensor:
    """The LPIPS distance of pictures, (n,); grey ones are repeated, white is 1 and black -1."""
    pair = [(one.float() / 127.5 - 1).expand(-1, 3, -1, -1) for one in (images, pictures)]
    with torch.inference_mode():
        distance: torch.Tensor = _lpips(name).to(images.device)(*pair).flatten()
    return distance


def _is_right(model: Any, pictures: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        correct: torch.Tensor = model(pictures).argmax(1) == labels
    return correct


def _restrict(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return values.double().masked_fill(~mask, torch.nan)


def _observations(values: Values, batch: list[Sample], name: str, params: Mapping[str, Any]) -> Iterable[Observation]:
    for (metric, budget, group), column in values.items():
        for sample, value in zip(batch, column.double().tolist(), strict=True):
            if not math.isnan(value):  # NaN: not of the group
                yield Observation(
                    metric,
                    sample.key,
                    value,
                    name,
                    params["dataset"],
                    params["split"],
                    shift=params["shift"],
                    severity=None if budget is None else float(budget),
                    group=group,
                )
