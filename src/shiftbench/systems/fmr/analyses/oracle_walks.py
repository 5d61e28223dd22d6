"""Foundation Model-oriented Robustness: every net's pictures are walked against it, and what it answers there.

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
| `perturbation_lpips` | likewise, if `lpips` names a net of the package lpips (`alex`), to be installed |
| `reconstruction_accuracy` | right on the generator's picture of the code, nothing added (no severity) |

In the group `oracle_right` SA and PA are of the pictures that the oracle is right on. With `transfer`, PA at the
largest budget on the pictures of every other net of the same seed (`from_MODEL-TRAINER`), and on all of them
(`pooled`: a unit's value is the share of the nets' pictures on which it is right).

Under the constraint the oracle must be right on exactly the pictures that it was right on: this is checked in each
batch, and a walk that breaks it is an error, not a row. Source: Zhang et al., ICLR 2024, arXiv:2308.10632.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any

import torch

from shiftbench.base import refs
from shiftbench.base.errors import ModelError, ParamsError
from shiftbench.base.refs import Ref, without_seed
from shiftbench.base.sample import Sample
from shiftbench.data import shards
from shiftbench.evaluation import batching, nets
from shiftbench.plugins.contracts import Measurement, Observation
from shiftbench.systems.fmr.shifts import _search

PARAMS: dict[str, object] = {
    "generator": "codes/autoencoder-autoencoding-s0",
    "oracles": ["oracle_a/convnet-erm-s0"],
    "shift": "oracle_search",
    "budgets": [0, 5, 10, 20],
    "samples": 1000,
    "seeds": [],
    "transfer": False,
    "batch_size": 250,
    "lpips": "",
    **_search.RECONSTRUCTED,
}
Values = dict[tuple[str, int | None, str | None], torch.Tensor]
"""(metric, budget, group) -> one value of each picture, or NaN where it is not of the group."""


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """All checkpoints and the tested shards."""
    names = dict.fromkeys([*params["checkpoints"], params["generator"], *params["oracles"]])
    return [*(Ref("checkpoints", name) for name in names), _tested(params)]


def _tested(params: Mapping[str, Any]) -> Ref:
    return refs.shards(params["dataset"], params["split"])


def measure(job: Measurement) -> Iterator[Observation]:
    """Yield what the walks of each net gave.

    Raises:
        ParamsError: a tested net is also a member of the oracle or the generator, or an option is out of range.
        ModelError: the oracle's accuracy changed under its own constraint.
        DataError: nets see other pictures than each other.
    """
    parts, params = _Parts.of(job), job.params
    for batch in batching.batches(_pictures(job), params["batch_size"]):
        pictures, labels = parts.given(batch)
        walks = {
            name: parts.search.walk(net, pictures, labels, params["budgets"]) for name, net in parts.tested.items()
        }
        for name, walk in walks.items():
            values = parts.values(name, walk, pictures, labels)
            if params["transfer"]:
                values |= parts.transfers(name, walks, labels)
            yield from _observations(values, batch, name, params)


def _pictures(job: Measurement) -> Iterator[Sample]:
    return islice(shards.read(job.folder(_tested(job.params))), job.params["samples"])


@dataclass(frozen=True)
class _Parts:
    """All nets of an analysis; `predictors` are those that pictures are prepared for."""

    tested: Mapping[str, Any]
    search: _search.Search
    predictors: Mapping[str, nets.TorchPredictor]
    params: Mapping[str, Any]

    @classmethod
    def of(cls, job: Measurement) -> _Parts:
        """Load the nets, and find the unit of steps."""
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
        found = {name: job.predictor(Ref("checkpoints", name)) for name in every}
        maker = found[params["generator"]]
        oracle = _search.Oracle([found[name].net for name in params["oracles"]], params["rule"])
        batches = batching.batches(_pictures(job), params["batch_size"])
        seen = (nets.to_inputs(maker.prepare(batch), maker.device) for batch in batches)
        unit = _search.spread(maker.net, seen, params["unit"])
        search = _search.Search(maker.net, oracle, unit, params)
        return cls({name: found[name].net for name in names}, search, found, params)

    def given(self, batch: list[Sample]) -> tuple[torch.Tensor, torch.Tensor]:
        """Pictures and labels of a batch, on the device."""
        seen = {name: one.prepare(batch) for name, one in self.predictors.items()}
        maker = self.predictors[self.params["generator"]]
        labels = torch.tensor([int(sample.fields["label"]) for sample in batch])
        return nets.to_inputs(_search.same_pictures(seen), maker.device), labels.to(maker.device)

    def values(self, name: str, walk: _search.Walk, pictures: torch.Tensor, labels: torch.Tensor) -> Values:
        """Metrics of one model's walk, one value for each picture."""
        net, oracle = self.tested[name], self.search.oracle
        trusted = oracle(pictures) == labels
        clean = _right(net, pictures, labels)
        found: Values = {
            ("standard_accuracy", None, None): clean,
            ("standard_accuracy", None, "oracle_right"): _only(clean, trusted),
            ("oracle_accuracy", None, None): trusted,
            ("oracle_split", None, None): oracle.apart(pictures),
            ("reconstruction_accuracy", None, None): _right(net, self._rebuilt(pictures), labels),
        }
        right = {budget: _right(net, seen, labels) for budget, seen in sorted(walk.at.items())}
        for budget, seen in walk.at.items():
            agreed = oracle(seen) == labels
            if self.params["constrained"] and not torch.equal(agreed, trusted):
                changed = int((agreed != trusted).sum())
                raise ModelError(
                    f"oracle_walks: the oracle's answer to {changed} pictures of {name} changed under its own "
                    f"constraint at {budget} steps; nets must answer alike in every batch (float32, evaluation mode)"
                )
            away = (seen.float() - pictures.float()).flatten(1) / 255
            found |= {
                ("perturbed_accuracy", budget, None): right[budget],
                ("perturbed_accuracy", budget, "oracle_right"): _only(right[budget], trusted),
                ("oracle_accuracy", budget, None): agreed,
                ("oracle_split", budget, None): oracle.apart(seen),
                ("perturbation_l2", budget, None): away.norm(dim=1),
                ("perturbation_linf", budget, None): away.abs().amax(1),
            }
            if self.params["lpips"]:
                far = _perceived(self.params["lpips"], seen, pictures)
                found["perturbation_lpips", budget, None] = far
        most = max(walk.at)
        return found | {
            ("recovery_share", None, None): recovered(list(right.values())),
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
        """Whether a net is right on the pictures of the other nets of its seed, and on all of them."""
        family, seed = without_seed(name)
        found, every, most = Values(), list[torch.Tensor](), max(walks[name].at)
        for other, walk in walks.items():
            source, number = without_seed(other)
            if number == seed:
                right = _right(self.tested[name], walk.at[most], labels).float()
                every.append(right)
                if source != family:
                    group = f"from_{source.rpartition('/')[2]}"
                    found["perturbed_accuracy", most, group] = right
        pooled: Values = {("perturbed_accuracy", most, "pooled"): torch.stack(every).mean(0)}
        return {**found, **pooled}


def recovered(right: list[torch.Tensor]) -> torch.Tensor:
    """Whether a picture was wrong at one budget and right at a larger one, bool (n,); budgets ascend."""
    fallen = torch.zeros_like(right[0])
    again = torch.zeros_like(right[0])
    for now in right:
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


def _perceived(name: str, seen: torch.Tensor, pictures: torch.Tensor) -> torch.Tensor:
    """The LPIPS distance of pictures, (n,); grey ones are repeated, white is 1 and black -1."""
    pair = [(one.float() / 127.5 - 1).expand(-1, 3, -1, -1) for one in (seen, pictures)]
    with torch.inference_mode():
        far: torch.Tensor = _lpips(name).to(seen.device)(*pair).flatten()
    return far


def _right(net: Any, pictures: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        right: torch.Tensor = net(pictures).argmax(1) == labels
    return right


def _only(values: torch.Tensor, which: torch.Tensor) -> torch.Tensor:
    return values.double().masked_fill(~which, torch.nan)


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
