"""The arithmetic of GRPO: advantages within groups, the clipped objective, the divergence from a reference.

    A_i = (r_i - mean r) / (std r + 1e-4)                                   r: rewards of one prompt's responses
    J = mean_i 1/|o_i| sum_t [ min(rho A_i, clip(rho, 1 - eps, 1 + eps) A_i) - beta kl ]     rho = pi / pi_old
    kl = exp(l) - l - 1,  l = log pi_ref - log pi                           never negative

Source: Shao et al. 2024, "DeepSeekMath", arXiv:2402.03300, equations 3 and 4 and section 4.1.1. The standard deviation
is that of a sample (n - 1), as in TRL and veRL; the 1e-4 is TRL's (veRL: 1e-6). `token` is DAPO's norm
(arXiv:2503.14476), `constant` that of Dr. GRPO (arXiv:2503.20783), which also leaves out the standard deviation. veRL
also bounds the loss of negative advantages (dual clip, 3) and the logarithms of ratios (20); neither is in the paper.
"""

import torch

from shiftbench.base.errors import ParamsError, suggest

STD_FLOOR = 1e-4
NO_VARIANCE = 1e-5
"""Groups of rewards with less of a standard deviation have nothing to tell."""
NORMS = ("sequence", "token", "constant")


def advantages(rewards: torch.Tensor, *, by_std: bool = True) -> torch.Tensor:
    """The advantages of responses, (prompts, group).

    Args:
        rewards: (prompts, group), of 2 responses at least to each prompt.
        by_std: whether they are divided by the group's standard deviation.
    """
    centred = rewards - rewards.mean(1, keepdim=True)
    return centred / (rewards.std(1, keepdim=True) + STD_FLOOR) if by_std else centred


def telling(rewards: torch.Tensor) -> torch.Tensor:
    """Whether the rewards (prompts, group) of each group vary, bool (prompts,)."""
    return rewards.std(1) >= NO_VARIANCE


def objective(new: torch.Tensor, old: torch.Tensor, advantage: torch.Tensor, clip: float) -> torch.Tensor:
    """The maximised objective at each token, (n, t).

    Args:
        new: log-probabilities of the tokens under the policy that learns, (n, t).
        old: under the policy that sampled them.
        advantage: of each response, (n,).
        clip: how far the ratio counts beyond 1.
    """
    ratio, each = (new - old).exp(), advantage[:, None]
    return torch.minimum(ratio * each, ratio.clamp(1 - clip, 1 + clip) * each)


def divergence(new: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """The estimate of KL(policy || reference) at each token, (n, t), never negative."""
    log_ratio = reference - new
    return log_ratio.exp() - log_ratio - 1


def reduced(values: torch.Tensor, inside: torch.Tensor, norm: str, most: int) -> torch.Tensor:
    """The mean of a quantity of tokens over responses, a scalar.

    Args:
        values: (n, t).
        inside: bool (n, t), which tokens count.
        norm: `sequence`, the mean over responses of their means; `token`, the mean over tokens; `constant`, the mean
            over responses of their sums, divided by `most`.
        most: tokens that a response may have.

    Raises:
        ParamsError: another norm.
    """
    sums, counts = (values * inside).sum(1), inside.sum(1)
    if norm == "sequence":
        return (sums / counts.clamp(min=1)).mean()
    if norm == "token":
        return sums.sum() / counts.sum().clamp(min=1)
    if norm == "constant":
        return sums.mean() / most
    raise ParamsError(f"loss_norm = {norm!r}; {suggest(norm, NORMS)}")
