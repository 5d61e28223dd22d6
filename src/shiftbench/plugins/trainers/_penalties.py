"""Penalties that ask for one predictor that is right in several environments: risks, logits and gradients to a scalar.

With z logits and R_e the mean cross-entropy of environment e:

| name                  | penalty                                                                                      |
| --------------------- | -------------------------------------------------------------------------------------------- |
| `none`                | 0                                                                                            |
| `irmv1`               | mean over e of (d/ds R_e(s z) at s = 1)^2                                                    |
| `vrex`                | unbiased variance over e of R_e                                                              |
| `spectral_decoupling` | sum over e of the mean over samples of the squared length of z                               |
| `iga`                 | sum over e of the squared distance of grad R_e from its mean over e, which is a constant     |
| `fishr`               | sum over e of the squared distance of v_e from its mean over e, v_e the mean over samples of |
|                       | the squared gradient of the head's parameters, each by itself                                |
| `clove`               | sum over e of the squared calibration error (MMCE) with a Laplacian kernel                   |

Where a logit is always 0 (a head that gives one free logit for two classes), all of them are those of the sigmoid.

Source: `irmv1` Arjovsky et al. 2019, arXiv:1907.02893, section 3.1; `vrex` Krueger et al., ICML 2021,
arXiv:2003.00688, equation 8; `spectral_decoupling` Pezeshki et al., NeurIPS 2021, arXiv:2011.09468; `iga` Koyama and
Yamaguchi 2020, arXiv:2008.01883; `fishr` Rame et al., ICML 2022, arXiv:2109.02934; `clove` Wald et al., NeurIPS 2021,
arXiv:2102.10395, with the kernel of Kumar et al., ICML 2018 (MMCE). Scales are those of RFC's code (TjuJianyu/RFC,
coloredmnist/train.py); its `fishr` does not subtract the mean gradient, and so neither do we.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from shiftbench.base.errors import ParamsError, suggest


class Environment(NamedTuple):
    """What a network says of the samples of one environment.

    Attributes:
        logits: float (n, classes).
        labels: int64 (n,).
        features: what the head saw, float (n, d).
    """

    logits: torch.Tensor
    labels: torch.Tensor
    features: torch.Tensor

    def risk(self) -> torch.Tensor:
        """The mean cross-entropy, in nats."""
        return F.cross_entropy(self.logits, self.labels)

    def residual(self) -> torch.Tensor:
        """Softmax minus the label, (n, classes): the gradient of each sample's risk by its logits."""
        return self.logits.softmax(1) - F.one_hot(self.labels, self.logits.shape[1])


class Settings(NamedTuple):
    """What some penalties read.

    Attributes:
        head: the linear layer behind the features; `fishr`.
        parameters: parameters that learn; `iga`.
        kernel: width of the kernel of `clove`.
        halves: `irmv1` multiplies the gradients of samples at even and at odd places, which does not add their noise.
    """

    head: nn.Module
    parameters: Sequence[torch.Tensor]
    kernel: float = 0.4
    halves: bool = False


Several = Sequence[Environment]
Penalty = Callable[[Several, torch.Tensor, Settings], torch.Tensor]


def none(envs: Several, risks: torch.Tensor, options: Settings) -> torch.Tensor:
    """0."""
    return torch.zeros((), device=risks.device)


def irmv1(envs: Several, risks: torch.Tensor, options: Settings) -> torch.Tensor:
    """The mean over environments of the squared gradient by a scale of the logits.

    Example:
        >>> logits, labels = torch.tensor([[0.0, 0.0], [0.0, 0.0]]), torch.tensor([0, 1])
        >>> one = Environment(logits, labels, logits)
        >>> irmv1([one, one], torch.zeros(2), Settings(nn.Identity(), [])).item()
        0.0
    """
    products = []
    for env in envs:
        by_scale = (env.residual() * env.logits).sum(1)
        if options.halves:
            products.append(by_scale[0::2].mean() * by_scale[1::2].mean())
        else:
            products.append(by_scale.mean().square())
    return torch.stack(products).mean()


def vrex(envs: Several, risks: torch.Tensor, options: Settings) -> torch.Tensor:
    """The unbiased variance of the risks; of two, half of their squared difference."""
    return risks.var()


def spectral_decoupling(envs: Several, risks: torch.Tensor, options: Settings) -> torch.Tensor:
    """The sum over environments of the mean squared length of the logits."""
    return torch.stack([env.logits.square().sum(1).mean() for env in envs]).sum()


def iga(envs: Several, risks: torch.Tensor, options: Settings) -> torch.Tensor:
    """The summed squared distance of each environment's gradient from their mean."""
    grads = []
    for risk in risks:
        parts = torch.autograd.grad(risk, list(options.parameters), create_graph=True)
        grads.append(torch.cat([part.flatten() for part in parts]))
    mean = torch.stack(grads).mean(0).detach()
    return torch.stack([(grad - mean).square().sum() for grad in grads]).sum()


def fishr(envs: Several, risks: torch.Tensor, options: Settings) -> torch.Tensor:
    """The summed squared distance of each environment's second moment of head gradients from their mean."""
    free = getattr(options.head, "free", None)
    moments = []
    for env in envs:
        residual = env.residual() if free is None else env.residual() * free
        squared, count = residual.square(), len(residual)
        weight = squared.T @ env.features.square() / count
        moments.append(torch.cat([weight.flatten(), squared.mean(0)]))
    mean = torch.stack(moments).mean(0)
    return torch.stack([(moment - mean).square().sum() for moment in moments]).sum()


def clove(envs: Several, risks: torch.Tensor, options: Settings) -> torch.Tensor:
    """The summed calibration errors of the top label's confidence."""
    return torch.stack([calibration(env, options.kernel) for env in envs]).sum()


def calibration(env: Environment, kernel: float) -> torch.Tensor:
    """(1/m^2) sum_ij (c_i - r_i) (c_j - r_j) exp(-|r_i - r_j| / kernel), r confidence, c whether it is right."""
    confidence, answer = env.logits.softmax(1).max(1)
    gap = (answer == env.labels).float() - confidence
    near_by = (-(confidence[:, None] - confidence).abs() / kernel).exp()
    return gap @ near_by @ gap / len(gap) ** 2


PENALTIES: dict[str, Penalty] = {
    function.__name__: function for function in (none, irmv1, vrex, spectral_decoupling, iga, fishr, clove)
}
MEANS = ("none", "irmv1")
"""Penalties that are means over environments already; the others grow with their number."""


def find(name: str) -> Penalty:
    """A penalty by its name.

    Raises:
        ParamsError: none of that name.
    """
    if name not in PENALTIES:
        raise ParamsError(f"penalty is {name!r}; {suggest(name, PENALTIES)}")
    return PENALTIES[name]
