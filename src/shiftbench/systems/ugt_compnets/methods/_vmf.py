"""Mixtures of von Mises-Fisher kernels of one concentration: parts of objects as directions of features.

    p(f) = sum_k pi_k c(kappa) exp(kappa mu_k . f),  |f| = |mu_k| = 1

Fitted by EM; the constant c(kappa) is left out of log-likelihoods. Four ways for a target domain:

    target   EM on target features, from directions that are drawn
    warm     EM on target features, from the source's kernels
    temper   log r = (log r_target + lambda log r_source) / (1 + lambda), up to a constant, from the source's kernels
    map      mu_k = normalise(psi_k mu_k^target + (1 - psi_k) mu_k^source), psi_k = n_k / (n_k + eta)

Source: Kaushik, Kortylewski and Yuille 2024, arXiv:2403.07277, section 3; the released `vMFMM` (`fit`, `fit_soft`,
`fit_map`). Differs: shares begin equal, where the code draws them; tempered responsibilities sum to 1, where the code
leaves them smaller; of a kernel that no feature chooses the direction stays, where the code divides by 0. `map` is
rebuilt from the paper's notation, and eta, which is not printed, is the 16 of Reynolds et al. 2000.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F

from shiftbench.base.rng import RandomStream

MOST_DRAWN = 50_000
"""As in the released code: directions to begin with are drawn among at most so many features."""
STEPS, GAIN = 150, 5e-5
BLOCK = 8192
Settle = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


class Mixture(NamedTuple):
    """Kernels: directions float32 (K, D) of length 1, shares float32 (K,) whose sum is 1."""

    mu: torch.Tensor
    pi: torch.Tensor


def log_joint(features: torch.Tensor, mixture: Mixture, kappa: float) -> torch.Tensor:
    """Joint log-densities kappa mu_k . f_n + log pi_k, (n, K)."""
    return kappa * features @ mixture.mu.T + mixture.pi.log()


def responsibilities(
    features: torch.Tensor, mixture: Mixture, kappa: float, source: Mixture | None = None, weight: float = 0.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Responsibilities (n, K), rows sum to 1, and log-likelihoods (n,) under `mixture`.

    Args:
        features: (n, D) of length 1.
        mixture: as it is now.
        kappa: the concentration.
        source: what tempers; None: nothing.
        weight: lambda from 0; infinity gives the source's responsibilities.
    """
    joint = log_joint(features, mixture, kappa)
    if source is None:
        return joint.softmax(1), joint.logsumexp(1)
    share = 1.0 if weight == float("inf") else weight / (1 + weight)
    log_shares, source_log_shares = joint.log_softmax(1), log_joint(features, source, kappa).log_softmax(1)
    mixed = source_log_shares if share == 1.0 else (1 - share) * log_shares + share * source_log_shares
    return mixed.softmax(1), joint.logsumexp(1)


def initial_mixture(features: torch.Tensor, count: int, words: RandomStream) -> Mixture:
    """Kernels to begin with: features drawn with the square of the cosine distance to the nearest before.

    Args:
        features: (n, D) of length 1.
        count: K, at most n.
        words: of the draws.
    """
    if len(features) > MOST_DRAWN:
        features = features[torch.from_numpy(words.choice(len(features), MOST_DRAWN))]
    rows = [int(words.integers(0, len(features)))]
    nearest = 1 - features @ features[rows[0]]
    for draw in words.integers(0, 1 << 32, count - 1):
        sums = nearest.clamp(min=0).double().square().cumsum(0)
        place = torch.searchsorted(sums, sums[-1] * (int(draw) + 0.5) / (1 << 32))
        rows.append(min(int(place), len(features) - 1))
        nearest = torch.minimum(nearest, 1 - features @ features[rows[-1]])
    return Mixture(features[rows], torch.full((count,), 1 / count))


def step(
    features: torch.Tensor,
    mixture: Mixture,
    kappa: float,
    source: Mixture | None = None,
    weight: float = 0.0,
    settle: Settle | None = None,
) -> tuple[Mixture, float]:
    """The mixture after one round of EM, and the mean log-likelihood before it."""
    counts = torch.zeros(len(mixture.mu))
    sums, total = torch.zeros_like(mixture.mu), 0.0
    for block in features.split(BLOCK):
        shares, logs = responsibilities(block, mixture, kappa, source, weight)
        counts += shares.sum(0)
        sums += shares.T @ block
        total += float(logs.double().sum())
    mu = torch.where(counts[:, None] > 0, F.normalize(sums, dim=1), mixture.mu)
    mu = settle(mu, counts) if settle else mu
    return Mixture(mu, counts / counts.sum()), total / len(features)


def fit(
    features: torch.Tensor,
    start: Mixture,
    kappa: float,
    source: Mixture | None = None,
    weight: float = 0.0,
    settle: Settle | None = None,
) -> tuple[Mixture, list[float]]:
    """The mixture after EM, and the mean log-likelihood before each round.

    It ends after 150 rounds, or where a round gains less than 5e-5.
    """
    history: list[float] = []
    for _ in range(STEPS):
        updated, likelihood = step(features, start, kappa, source, weight, settle)
        history.append(likelihood)
        start = updated
        if len(history) > 1 and likelihood - history[-2] < GAIN:
            break
    return start, history


def settled(source: Mixture, eta: float) -> Settle:
    """Function that draws directions to the source's, those of few features most (`map`)."""

    def settle(mu: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
        psi = (counts / (counts + eta))[:, None] if eta > 0 else torch.ones(len(mu), 1)
        return F.normalize(psi * mu + (1 - psi) * source.mu, dim=1)

    return settle
