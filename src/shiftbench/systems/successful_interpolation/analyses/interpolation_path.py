"""Paths of weights from one net to those that were fine-tuned from it: how right they are, sharpness, straggler layers.

    analyses:
      paths:
        use: interpolation_path
        start: few/strided_convnet-generalist
        sets: [fog/3, edge_sketch/3, other_dataset]

`start` is theta_0, of the same seed as each of the benchmark's weights, theta_1, or with `-sN` of that seed. Rows have
the name of theta_0 as weights, that of theta_1's training as method, and a as step, in hundredths (a in `alphas`):

| metric | is, of each block of samples |
| --- | --- |
| `path_accuracy`, `path_loss` | right answers, cross-entropy; group `id`, `val`, `ood`, `ood_finding` (`_families`) |
| | group `ood_VARIANT`, `id_VARIANT`: of a variant, see below |
| `sharpness`, `average_sharpness` | of each batch of training images, group `whole_RHO`, `stragglers_RHO` |

and, with the method `pool` and theta_1 as the unit:

| `layer_barrier` | score of a layer, its name the group; the higher, the more of a straggler |
| `straggler_share` | whether it is one |
| `fails` | whether no a between 0 and 1 is above both ends on `ood_finding` |

**Straggler layers** (reconstructed). `score: barrier` is the instability of the path on which one layer is mixed and
all others are theta_1's (`mirror`: theta_0's), sup_a L - (L at both ends) / 2, L the cross-entropy (`score_of: error`)
on val; `kept` the accuracy that is lost on val where at a = 0.5 a layer keeps its fine-tuned value. `score_on` names
another set of the val split, `fog/3`; without `score_alphas` no layer is scored. Stragglers are the `stragglers`
highest, or with 0 those above mean + 1 deviation.

**Variants.** Of nets that fail (`sparse_on: all` of all): `TARGET_SHARE_stragglers` where straggler layers of theta_1
lost a share of their weights, to theta_0's (`delta`) or to zero (`weights`), and `TARGET_SHARE_others` where as many
other layers, drawn, did (reconstructed). `fisher`: the mixture by Fisher information at `fisher_alphas`.

With `norm: recomputed` running statistics of batch normalisation are made anew between the ends.

Source: Abdollahpoorrostam 2024, arXiv:2410.16476, of which the abstract was seen; paths as Wortsman et al. 2022,
arXiv:2109.01903, instability as Frankle et al. 2020, arXiv:1912.05671, section 2.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from shiftbench.base import refs
from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.refs import CheckpointName, Ref
from shiftbench.base.rng import RandomStream
from shiftbench.data import shards
from shiftbench.evaluation import nets
from shiftbench.evaluation.nets import State
from shiftbench.plugins.contracts import Measurement, Observation
from shiftbench.plugins.trainers import _interpolation
from shiftbench.systems.successful_interpolation.analyses import _families, _sharpness
from shiftbench.systems.successful_interpolation.analyses._families import Chunk, Sets, Sums

PARAMS: dict[str, object] = {
    "start": "zero_shot",
    "sets": [],
    "alphas": [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0],
    "samples": 500,
    "val_samples": 300,
    "sets_per_sample": 0,
    "block": 20,
    "chunk": 4096,
    "batch_size": 256,
    "norm": "mixed",
    "unit": "block",
    "score": "barrier",
    "score_of": "loss",
    "score_on": "identity/0",
    "score_alphas": [0.0, 0.25, 0.5, 0.75, 1.0],
    "stragglers": 2,
    "sharpness_alphas": [],
    "radii": [0.002, 0.01, 0.05],
    "sharpness_samples": 1024,
    "sharpness_batch": 128,
    "iterations": 20,
    "rule": "paper",
    "normalise": True,
    "average_draws": 0,
    "average_kind": "uniform",
    "variants": [],
    "sparse_on": "failures",
    "fisher_samples": 0,
    "fisher_alphas": [0.5],
}
CHOICES = {
    "norm": ("mixed", "recomputed"),
    "score": ("barrier", "mirror", "kept"),
    "score_of": ("loss", "error"),
    "sparse_on": ("failures", "all"),
}
VARIANT = re.compile(r"(delta|weights)_(0(?:\.\d+)?|1)_(stragglers|others)")
MIDDLE = 0.5
Key = tuple[str, str, float]
"""theta_1, variant (empty: the plain path) and a."""


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """Return both ends of all paths, and the shards of all sets."""
    dataset, split = params["dataset"], params["split"]
    weights = [Ref("checkpoints", name) for name in params["checkpoints"]]
    starts = [start_of(name, params) for name in params["checkpoints"]]
    own = [refs.shards(dataset, one) for one in (split, "val", "train")]
    judged = [_families.place(name, params, split) for name in params["sets"]]
    scored = _families.place(params["score_on"], params, "val")
    return list(dict.fromkeys([*weights, *starts, *own, *judged, scored]))


def start_of(name: str, params: Mapping[str, Any]) -> Ref:
    """Return theta_0 of a theta_1."""
    own = CheckpointName.of(Ref("checkpoints", name))
    context = {"dataset": own.dataset, "model": own.model, "seed": own.seed}
    return _interpolation.named(params["start"], context)


def measure(job: Measurement) -> Iterator[Observation]:
    """Yield what the paths from each theta_0 gave.

    Raises:
        ParamsError: an option is none of its choices, or an a lies outside of 0 to 1.
        ModelError: a black box, or ends of two architectures.
    """
    check(job.params)
    pools: dict[str, list[str]] = {}
    for name in job.params["checkpoints"]:
        pools.setdefault(start_of(name, job.params).name, []).append(name)
    for start, members in pools.items():
        yield from Pool.of(job, start, members).observations()


def check(params: Mapping[str, Any]) -> None:
    """Refuse options that are none."""
    for name, known in CHOICES.items():
        if params[name] not in known:
            raise ParamsError(f"interpolation_path: {name} is {params[name]!r}; {suggest(params[name], known)}")
    for variant in params["variants"]:
        if not VARIANT.fullmatch(variant):
            raise ParamsError(
                f"interpolation_path: variant {variant!r}; expected TARGET_SHARE_ARM, delta_0.3_stragglers: delta "
                "or weights, a share of 0 to 1, stragglers or others"
            )
    for name in ("alphas", "score_alphas", "sharpness_alphas", "fisher_alphas"):
        if any(not 0 <= a <= 1 for a in params[name]):
            raise ParamsError(f"interpolation_path: {name} is {params[name]}; expected numbers of 0 to 1")
    if not {0.0, 1.0} <= set(params["alphas"]):
        raise ParamsError("interpolation_path: alphas lack 0 or 1, the ends, which all is compared with")


@dataclass
class Pool:
    """Nets that were fine-tuned from one, and what is measured of them."""

    job: Measurement
    start: str
    members: Mapping[str, str]
    predictor: nets.TorchPredictor
    first: State
    sets: Sets
    sums: dict[Key, Sums] = field(default_factory=dict)
    known: State = field(default_factory=dict)

    @classmethod
    def of(cls, job: Measurement, start: str, members: Sequence[str]) -> Pool:
        """Load theta_0; each theta_1 is read when it is its turn."""
        predictor = job.predictor(Ref("checkpoints", start))
        state = {name: one.clone() for name, one in predictor.net.state_dict().items()}
        classes = nets.classes_of(job.inputs[Ref("checkpoints", start)])
        named = {_label(one, start): one for one in members}
        return cls(job, start, named, predictor, state, Sets(job, predictor, classes))

    @property
    def params(self) -> Mapping[str, Any]:
        """The analysis' options and context."""
        return self.job.params

    def second(self, member: str) -> State:
        """Return theta_1, on the device of theta_0."""
        file = self.job.inputs[Ref("checkpoints", self.members[member])]
        state = {n: t.to(self.predictor.device) for n, t in nets.read_state(file).items()}
        _interpolation.check(self.first, state, f"{self.start} and {self.members[member]}")
        return state

    @cached_property
    def layers(self) -> dict[str, tuple[str, ...]]:
        """Layers of the net, name -> names of tensors."""
        names = [name for name, _ in self.predictor.net.named_parameters()]
        return _interpolation.layers(self.first, names, self.params["unit"])

    @cached_property
    def batches(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Batches of training images, inputs and labels."""
        most = self.params["sharpness_samples"]
        ref = refs.shards(self.params["dataset"], "train")
        inputs, labels = self._prepared(ref, most)
        size = self.params["sharpness_batch"]
        return list(zip(inputs.split(size), labels.split(size), strict=True))

    @cached_property
    def scored(self) -> tuple[torch.Tensor, torch.Tensor]:
        """What layers are scored on, inputs and labels."""
        ref = _families.place(self.params["score_on"], self.params, "val")
        return self._prepared(ref, self.params["val_samples"])

    def _prepared(self, ref: Ref, most: int) -> tuple[torch.Tensor, torch.Tensor]:
        samples = list(islice(shards.read(self.job.folder(ref)), most))
        labels = torch.tensor([int(sample.fields["label"]) for sample in samples])
        device = self.predictor.device
        return nets.to_inputs(self.predictor.prepare(samples), device), labels.to(device)

    def observations(self) -> Iterator[Observation]:
        """Yield all that is measured of the pool."""
        stragglers = {}
        for member in self.members:
            second = self.second(member)
            scores = self.scores(second)
            stragglers[member] = chosen(scores, self.params["stragglers"])
            for layer, score in scores.items():
                place = {"group": layer, "split": "val"}
                yield self._of_pool("layer_barrier", member, score, **place)
                share = float(layer in stragglers[member])
                yield self._of_pool("straggler_share", member, share, **place)
            yield from self.sharpness(member, second, stragglers[member])
        self.walk({(member, ""): self.params["alphas"] for member in self.members}, stragglers)
        failing = [member for member in self.members if self.fails(member)]
        for member in self.members:
            yield self._of_pool("fails", member, float(member in failing))
        self.walk(self.variants(failing), stragglers, ("id", "ood"))
        yield from self.answers()

    def _of_pool(self, metric: str, member: str, value: float, **place: Any) -> Observation:
        of = {"dataset": self.params["dataset"], "method": "pool", **place}
        return Observation(metric, member, value, self.start, **of)

    # ------------------------------------------------------------------ layers

    def scores(self, second: State) -> dict[str, float]:
        """Return the score of each layer, the higher the more of a straggler; none without `score_alphas`."""
        params = self.params
        if not params["score_alphas"]:
            return {}
        inputs, labels = self.scored

        def value(state: State, of: str) -> float:
            found = _families.logits(self.predictor.net, state, inputs, params["batch_size"])
            wrong = (found.argmax(1) != labels).float().mean()
            return float(wrong if of == "error" else F.cross_entropy(found, labels))

        if params["score"] == "kept":
            middle = _interpolation.mixed(self.first, second, MIDDLE)
            whole = value(middle, "error")
            kept = {layer: middle | {name: second[name] for name in names} for layer, names in self.layers.items()}
            return {layer: value(state, "error") - whole for layer, state in kept.items()}
        rest = second if params["score"] == "barrier" else self.first
        found = {}
        for layer, names in self.layers.items():
            line = [
                value(_interpolation.mixed(self.first, second, a, names, rest), params["score_of"])
                for a in sorted({0.0, *params["score_alphas"], 1.0})
            ]
            found[layer] = max(line) - (line[0] + line[-1]) / 2
        return found

    def sharpness(self, member: str, second: State, stragglers: Sequence[str]) -> Iterator[Observation]:
        """Yield the sharpness of the whole net and of its stragglers along the path."""
        params = self.params
        scopes = {"whole": [name for names in self.layers.values() for name in names]}
        if stragglers:
            scopes["stragglers"] = [name for layer in stragglers for name in self.layers[layer]]
        for a in params["sharpness_alphas"]:
            state = _interpolation.mixed(self.first, second, a)
            for scope, names in scopes.items():
                for number, (inputs, labels) in enumerate(self.batches):
                    of = (self.predictor.net, state, names, inputs, labels, params["normalise"])
                    loss = _sharpness.Loss(*of)
                    for rho in params["radii"]:
                        found = {"sharpness": _sharpness.worst(loss, rho, params["iterations"], params["rule"])}
                        if params["average_draws"]:
                            words = self._words(f"draws/{number}")
                            draws = (params["average_draws"], params["average_kind"])
                            found["average_sharpness"] = _sharpness.mean(loss, rho, words, *draws)
                        for metric, value in found.items():
                            yield Observation(
                                metric,
                                f"{number:03d}",
                                value,
                                self.start,
                                params["dataset"],
                                "train",
                                member,
                                group=f"{scope}_{rho:g}",
                                step=_step(a),
                            )

    def _words(self, name: str) -> RandomStream:
        return RandomStream(self.job.seed, "interpolation_path", self.start, name)

    # ------------------------------------------------------------------ paths

    def variants(self, failing: Sequence[str]) -> dict[tuple[str, str], Sequence[float]]:
        """Return what is evaluated after the plain path: (theta_1, variant) -> its a."""
        params = self.params
        inner = [a for a in params["alphas"] if 0 < a < 1]
        found: dict[tuple[str, str], Sequence[float]] = {}
        for member in self.members if params["sparse_on"] == "all" else failing:
            found |= {(member, variant): inner for variant in params["variants"]}
        if params["fisher_samples"]:
            found |= {(member, "fisher"): params["fisher_alphas"] for member in self.members}
        return found

    def walk(
        self,
        wanted: Mapping[tuple[str, str], Sequence[float]],
        stragglers: Mapping[str, Sequence[str]],
        kinds: Sequence[str] = _families.KINDS,
    ) -> None:
        """Evaluate nets on the samples of some kinds, chunk by chunk, and add up what they answer."""
        if not wanted:
            return
        spaces = self.sets.spaces()
        for chunk in self.sets.chunks(kinds):
            for member in self.members:
                own = [(variant, alphas) for (who, variant), alphas in wanted.items() if who == member]
                if not own:
                    continue
                second = self.second(member)
                for variant, alphas in own:
                    end = self.end(member, variant, second, stragglers[member])
                    for a in alphas:
                        state = self.between(member, variant, end, a)
                        self._evaluate((member, variant, a), state, chunk, spaces)

    def _evaluate(self, key: Key, state: State, chunk: Chunk, spaces: Sequence[Any]) -> None:
        found = _families.logits(self.predictor.net, state, chunk.inputs, self.params["batch_size"])
        answered = _families.answers(found, chunk, spaces)
        self.sums.setdefault(key, Sums()).add(chunk, *answered)

    def end(self, member: str, variant: str, second: State, stragglers: Sequence[str]) -> State:
        """Return theta_1 of a variant, of which weights may be lost."""
        if variant in ("", "fisher"):
            return second
        target, share, arm = variant.split("_")
        layers = stragglers if arm == "stragglers" else self.others(member, stragglers)
        names = [name for layer in layers for name in self.layers[layer]]
        towards = self.first if target == "delta" else None
        words = self._words(f"{member}/{variant}")
        return _interpolation.sparse(second, names, float(share), words, towards)

    def others(self, member: str, stragglers: Sequence[str]) -> list[str]:
        """Return as many layers that are no stragglers, drawn; the same for all shares and targets."""
        rest = [layer for layer in self.layers if layer not in stragglers]
        order = self._words(f"{member}/others").choice(len(rest))
        return [rest[at] for at in sorted(order[: len(stragglers)].tolist())]

    def between(self, member: str, variant: str, end: State, a: float) -> State:
        """Return the weights at a."""
        if variant == "fisher":
            return _interpolation.fisher_weighted(self.first, end, a, self._fishers(member, end))
        state = _interpolation.mixed(self.first, end, a)
        net = self.predictor.net
        if 0 < a < 1 and self.params["norm"] == "recomputed" and _interpolation.normalised(net):
            inputs = torch.cat([batch for batch, _ in self.batches])
            return _interpolation.recomputed(net, state, inputs)
        return state

    def _fishers(self, member: str, end: State) -> tuple[State, State]:
        """Return the Fisher information of both ends; that of theta_0 is kept."""
        if not self.known:
            self.known.update(self._fisher("fisher", self.first))
        return self.known, self._fisher(f"fisher/{member}", end)

    def _fisher(self, name: str, state: State) -> State:
        inputs = torch.cat([batch for batch, _ in self.batches])[: self.params["fisher_samples"]]
        return _interpolation.fisher(self.predictor.net, state, inputs, self._words(name))

    # ------------------------------------------------------------------ rows

    def accuracy(self, member: str, kind: str, a: float) -> float:
        """Return the accuracy of the plain path on all blocks of a kind."""
        at = [number for (own, _), number in self.sets.places.items() if own == kind]
        sums = self.sums[member, "", a]
        return float(sums.right[at].sum() / sums.count[at].sum())

    def fails(self, member: str) -> bool:
        """Tell whether nothing between the ends is above both, on the pictures that are for finding that."""
        if not any(kind == "ood_finding" for kind, _ in self.sets.places):
            return False
        line = {a: self.accuracy(member, "ood_finding", a) for a in self.params["alphas"]}
        inner = [value for a, value in line.items() if 0 < a < 1]
        return bool(inner) and max(inner) <= max(line[0.0], line[1.0])

    def answers(self) -> Iterator[Observation]:
        """Yield accuracy and loss of each block."""
        for (member, variant, a), sums in self.sums.items():
            for (kind, block), at in self.sets.places.items():
                if at >= len(sums.count) or not sums.count[at]:
                    continue
                columns = {"path_accuracy": sums.right}
                if not variant:
                    columns["path_loss"] = sums.loss
                for metric, column in columns.items():
                    yield Observation(
                        metric,
                        block,
                        float(column[at] / sums.count[at]),
                        self.start,
                        self.params["dataset"],
                        "val" if kind == "val" else self.params["split"],
                        member,
                        group=f"{kind}_{variant}" if variant else kind,
                        step=_step(a),
                    )


def chosen(scores: Mapping[str, float], count: int) -> list[str]:
    """Return the layers with the highest scores, or with 0 those above mean + 1 deviation; in the net's order."""
    values = np.array(list(scores.values()))
    if not len(values):
        return []
    if count:
        kept = np.sort(np.argsort(-values, kind="stable")[:count])
    else:
        kept = np.flatnonzero(values > values.mean() + values.std())
        kept = kept if len(kept) else np.array([int(values.argmax())])
    return [list(scores)[at] for at in kept]


def _label(name: str, start: str) -> str:
    """Return what a theta_1 is called: its training, with its seed where that of theta_0 is another."""
    own = CheckpointName.of(Ref("checkpoints", name))
    same = own.seed == CheckpointName.of(Ref("checkpoints", start)).seed
    return own.trainer if same else f"{own.trainer}_{own.seed}"


def _step(a: float) -> int:
    return round(100 * a)
