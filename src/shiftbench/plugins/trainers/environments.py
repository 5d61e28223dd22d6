"""Several environments at once: the sum of their risks, a penalty on how they differ, and squared weights.

    trainers:
      vrex: {weight: 10000, warmup: 100}
      vrex_on_frozen: {use: vrex, start: rich, frozen: true}

    loss = sum_e R_e + l2 |parameters|^2 + weight x penalty,  divided by the weight where that is above 1

`penalty` is a name of `_penalties.py`, `worst_group` or `group_dro`. Each of them is also a variant of this trainer.

- `worst_group`: the largest R_e instead of their sum. `group_dro`: sum_e q_e R_e, where q_e grows by the factor
  exp(`step_size` R_e) and is normalised. Neither has a weight.
- `risks: mean` also divides the penalties that are sums by the number of environments, as in WILDS. `pooled` is
  empirical risk minimisation.
- In the released code, `fishr` has `l2_on: trunk` and `clove` has `l2_on: none`.
- `keep: iid` chooses by the accuracy on all training environments of `val`, `ood` by the worst of the others.

Source: Zhang, Lopez-Paz and Bottou, "Rich Feature Construction for the Optimization-Generalization Dilemma", ICML 2022,
arXiv:2203.15516, and its code (TjuJianyu/RFC, coloredmnist/train.py, src/algorithms); `group_dro` is Sagawa et al.,
ICLR 2020, algorithm 1; the sources of the penalties are in `_penalties.py`. The released `clove` draws
one batch of 512 of each environment for a step, which is `batch_size: 512`; it has neither the other batches nor l2.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from pydantic import Field
from torch import nn

from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.refs import Ref
from shiftbench.evaluation import nets
from shiftbench.plugins import fields
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.trainers import _environments, _loop, _penalties, _steps, finetune
from shiftbench.plugins.trainers._environments import Batch, Environments
from shiftbench.plugins.trainers._penalties import Environment, Settings

TASKS = ("classification",)
DRO = ("worst_group", "group_dro")
RISKS = ("sum", "mean", "pooled")
L2_ON = ("all", "trunk", "none")
KEEP = ("last", "iid", "ood")
State = dict[str, torch.Tensor]


class Options(_environments.Options):
    penalty: Literal[
        "none", "irmv1", "vrex", "spectral_decoupling", "iga", "fishr", "clove", "worst_group", "group_dro"
    ] = Field("none", description="penalty on how the environments differ, or a loss that weighs their risks")
    weight: float = Field(10000.0, ge=0, description="weight of the penalty after the warm-up")
    warmup: int = Field(0, ge=0, description="number of first steps with `warmup_weight`")
    warmup_weight: float = Field(1.0, ge=0, description="weight of the penalty during the warm-up")
    after_warmup: float = Field(1.0, gt=0, description="divisor of the loss after the warm-up")
    restart: bool = Field(False, description="start a new optimiser after the warm-up")
    risks: Literal["sum", "mean", "pooled"] = Field(
        "sum", description="sum or mean over environments, or one mean over all samples"
    )
    step_size: float = Field(0.01, ge=0, description="rate of growth of the weights of environments in `group_dro`")
    kernel: float = Field(0.4, gt=0, description="width of the Laplacian kernel of `clove`")
    halves: bool = Field(
        False, description="`irmv1` multiplies the gradients of two halves of a batch, which removes the noise's bias"
    )
    l2: float = Field(0.0011, ge=0, description="weight of the squared parameters in the loss")
    l2_on: Literal["all", "trunk", "none"] = Field("all", description="parameters that `l2` applies to")
    steps: _steps.Steps = 1001
    optimizer: fields.Optimizer = "adamw"
    lr: fields.LearningRate = 0.0005
    weight_decay: fields.WeightDecay = 0.0
    start: _steps.Start = ""
    frozen: bool = Field(False, description="train the head alone, on fixed features")
    keep: Literal["last", "iid", "ood"] = Field(
        "last", description="checkpoint to keep: last, or best on val, in training environments or the others"
    )
    every: int = Field(0, ge=0, description="steps between two evaluations on val; 0: none (`keep: last` only)")


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The train and val shards, and the weights to begin with."""
    return _steps.needs(params)


def train(job: TrainJob) -> State:
    """The state dict that `keep` says."""
    return fitted(job, _steps.begun(job), _environments.read(job))


def fitted(job: TrainJob, network: nn.Module, envs: Environments, purpose: str = "order") -> State:
    """The state of a network after the job's steps on environments.

    Args:
        job: its options are those above.
        network: trained in place.
        envs: the training samples, in these groups.
        purpose: names the random words, where a job trains several networks.

    Raises:
        ParamsError: an unknown value of an option.
    """
    check(job.params)
    nets.place(network, nets.pick_device(job.device))
    kept = Kept(job, envs)
    if job.params["risks"] == "pooled":
        envs = envs.pooled()
    if job.params["frozen"]:
        finetune.freeze(network, 0.0)
    loss, see = Loss(job.params, network), Seen(network, job.params)
    update = _loop.optimiser(job, network)
    steps = job.params["steps"]
    for step, batch in enumerate(_environments.batches(job, envs, network, steps, purpose)):
        if job.params["restart"] and 0 < step == job.params["warmup"]:
            update = _loop.optimiser(job, network)
        value = loss([part.name for part in batch], see(batch), step)
        update.zero_grad()
        value.backward()
        update.step()
        kept.look(network, step + 1)
    for name, number in loss.last().items():
        job.log(steps, name, number)
    return kept.state(network)


def check(params: Mapping[str, Any]) -> None:
    """Refuse unknown values of options.

    Raises:
        ParamsError: names the option and what is known.
    """
    for option, known in (
        ("penalty", (*_penalties.PENALTIES, *DRO)),
        ("risks", RISKS),
        ("l2_on", L2_ON),
        ("keep", KEEP),
    ):
        if params[option] not in known:
            hint = suggest(params[option], known)
            raise ParamsError(f"environments: {option} is {params[option]!r}; {hint}")
    if params["keep"] != "last" and not params["every"]:
        raise ParamsError(
            f"environments: keep is {params['keep']!r}; say by `every` after how many steps val is looked at"
        )


class Seen:
    """What a network says of batches; features of a frozen trunk on full batches are computed once.

    Args:
        network: in training mode while it learns, its trunk in evaluation mode where it is frozen.
        params: the options `frozen` and `batch_size`.
    """

    def __init__(self, network: nn.Module, params: Mapping[str, Any]) -> None:
        self.net, self.frozen = network, params["frozen"]
        self.whole = not params["batch_size"]
        self._inputs: torch.Tensor | None = None
        self._features: torch.Tensor | None = None

    def __call__(self, batch: Batch) -> list[Environment]:
        """An environment for each part of a batch; the network sees all of them together."""
        if self._inputs is None or not self.whole:
            self._inputs = torch.cat([part.inputs for part in batch])
            self._features = None
        features, logits = self._both(self._inputs)
        sizes = [len(part.labels) for part in batch]
        split = zip(batch, logits.split(sizes), features.split(sizes), strict=True)
        return [Environment(said, part.labels, seen) for part, said, seen in split]

    def _both(self, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if not self.frozen:
            self.net.train()
            return nets.both(self.net, inputs)
        if self._features is None:
            self.net.eval()
            with torch.no_grad():
                self._features = self.net.features(inputs)  # type: ignore[operator]
        return self._features, self.net.get_submodule("head")(self._features)


class Loss:
    """The loss of a step.

    Args:
        params: the options above.
        network: has a `head`; what learns in it is what has a gradient now.
    """

    def __init__(self, params: Mapping[str, Any], network: nn.Module) -> None:
        self.params, head = params, network.get_submodule("head")
        trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
        own = {id(parameter) for parameter in head.parameters()}
        decayed = {
            "all": trained,
            "trunk": [parameter for parameter in trained if id(parameter) not in own],
            "none": [],
        }
        self.decayed = decayed[params["l2_on"]] if params["l2"] else []
        self.options = Settings(head, trained, params["kernel"], halves=params["halves"])
        self.shares: dict[str, float] = {}
        self._last: tuple[Sequence[str], torch.Tensor, torch.Tensor | None] = ((), torch.zeros(0), None)

    def __call__(self, names: Sequence[str], envs: Sequence[Environment], step: int) -> torch.Tensor:
        """The loss; `step` counts from 0."""
        params, risks = self.params, torch.stack([env.risk() for env in envs])
        self._last = names, risks.detach(), None
        l2 = params["l2"] * sum(parameter.square().sum() for parameter in self.decayed)
        if params["penalty"] in DRO:
            dro: torch.Tensor = self._robust(names, risks) + l2
            return dro
        penalty = _penalties.find(params["penalty"])(envs, risks, self.options)
        total = risks.sum()
        if params["risks"] == "mean":
            total = risks.mean()
            penalty = penalty if params["penalty"] in _penalties.MEANS else penalty / len(risks)
        self._last = names, risks.detach(), penalty.detach()
        weight = self._weight(step)
        loss: torch.Tensor = (total + l2 + weight * penalty) / max(1.0, weight)
        return loss / params["after_warmup"] if 0 < params["warmup"] <= step else loss

    def last(self) -> dict[str, float]:
        """The risk of each environment (`risk_NAME`) and the penalty, of the last step."""
        names, risks, penalty = self._last
        values = {f"risk_{name}": risk for name, risk in zip(names, risks.tolist(), strict=True)}
        return values if penalty is None else {**values, "penalty": penalty.item()}

    def _weight(self, step: int) -> float:
        params = self.params
        if params["penalty"] == "none":  # nothing to weigh, and so nothing to divide by
            return 0.0
        weight: float = params["warmup_weight"] if step < params["warmup"] else params["weight"]
        return weight

    def _robust(self, names: Sequence[str], risks: torch.Tensor) -> torch.Tensor:
        if self.params["penalty"] == "worst_group":
            return risks.max()
        for name, risk in zip(names, risks.tolist(), strict=True):
            grown = math.exp(self.params["step_size"] * risk)
            self.shares[name] = self.shares.get(name, 1.0) * grown
        all_of_them = sum(self.shares.values())
        shares = torch.tensor([self.shares[name] / all_of_them for name in names])
        return shares.to(risks) @ risks


class Kept:
    """The weights that a training ends with: those of the last step, or the best on `val`.

    Args:
        job: the options `keep` and `every` are read.
        envs: those of training, by which `val` has `iid` and `ood` ones.

    Raises:
        ParamsError: `val` has no environment of that kind.
    """

    def __init__(self, job: TrainJob, envs: Environments) -> None:
        self.job, self.keep, self.every = job, job.params["keep"], job.params["every"]
        self.best: tuple[float, State] | None = None
        if self.keep == "last":
            return
        held = _environments.read(job, "val")
        inside = self.keep == "iid"
        rows = {name: one for name, one in held.rows.items() if (name in envs.home) == inside}
        if not rows:
            raise ParamsError(
                f"{job.dataset}: val has no environments {'of' if inside else 'beside'} those of training "
                f"({', '.join(envs.home)}), by which keep: {self.keep} could choose"
            )
        self.held = held.regrouped(rows)

    def look(self, network: nn.Module, step: int) -> None:
        """Judge the network where it is time to."""
        if self.keep == "last" or (step % self.every and step != self.job.params["steps"]):
            return
        accuracies = _environments.accuracies(network, self.held)
        counts = {name: len(rows) for name, rows in self.held.rows.items()}
        mean = sum(accuracies[name] * counts[name] for name in accuracies) / sum(counts.values())
        value = mean if self.keep == "iid" else min(accuracies.values())
        self.job.log(step, f"val_{self.keep}", value)
        if self.best is None or value > self.best[0]:
            self.best = value, {name: one.clone() for name, one in network.state_dict().items()}

    def state(self, network: nn.Module) -> State:
        """Tensors that are kept."""
        return dict(network.state_dict()) if self.best is None else self.best[1]
