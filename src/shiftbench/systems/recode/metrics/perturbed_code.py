"""Robustness of generated code: what is left of Pass@k under perturbations of prompts.

A path holds the clean prompts, then their perturbed versions: severity j is the j-th seed of a perturbation.

Source: Wang et al. 2023 (ReCode), https://arxiv.org/abs/2212.10264.
"""

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from shiftbench.data.formats import E9
from shiftbench.plugins import declare
from shiftbench.plugins.metrics import generated_text
from shiftbench.plugins.metrics.generated_text import NO_CATEGORIES
from shiftbench.statistics.contributions import Contributions, Sums, ratio
from shiftbench.statistics.rows import Floats, SeverityPath

COLUMNS = ("passed", "prompt")
K = Annotated[int, Field(ge=1, description="k of Pass@k")]
Seeds = Annotated[int, Field(ge=1, description="how many seeds of a perturbation count, its severities from 1 on")]
Best = Annotated[bool, Field(description="the best case over seeds instead of the worst")]
Changed = Annotated[bool, Field(description="count only prompts that one of the seeds changes")]
Across = Annotated[
    Mapping[str, Any],
    Field(description="category -> its shifts; a category is a row with that group, over all shifts and seeds"),
]


def _mean(sums: Sums, path: SeverityPath, **_: object) -> dict[float | None, Floats]:
    return {None: ratio(sums.sums[0] / E9, sums.count)}


def _loss(sums: Sums, path: SeverityPath, **_: object) -> dict[float | None, Floats]:
    return {None: ratio(sums.sums[1], sums.sums[0])}


def _per_version(sums: Sums, path: SeverityPath, **_: object) -> dict[float | None, Floats]:
    return {None: ratio(sums.sums[0], sums.count * (len(path.rows) - 1))}


@declare.path_metric(columns=COLUMNS, finish=_mean, higher_is_better=True)
def robust_pass(
    path: SeverityPath,
    *,
    k: K = 1,
    seeds: Seeds = 5,
    best: Best = False,
    changed: Changed = False,
    across: Across = NO_CATEGORIES,
) -> Contributions:
    """Robust pass: RP_s@k, Pass@k where only completions count that pass under every one of s seeds of a perturbation.

    Source: ReCode, equation 2: RP_s@k = E[1 - C(n - rc, k) / C(n, k)], rc = sum over the n completions of the product
    of their verdicts over the seeds.
    """
    verdicts = generated_text.verdicts(path, seeds, changed=changed)
    value = generated_text.at_k(verdicts.best if best else verdicts.worst, k)
    return Contributions(verdicts.counting, (value * verdicts.counting,))


@declare.path_metric(columns=COLUMNS, finish=_loss, higher_is_better=False, bounds=(None, 1.0))
def robust_drop(
    path: SeverityPath,
    *,
    k: K = 1,
    seeds: Seeds = 5,
    best: Best = False,
    changed: Changed = False,
    across: Across = NO_CATEGORIES,
) -> Contributions:
    """Robust drop: RD_s@k, the share of Pass@k that is lost in the worst case over s seeds of a perturbation.

    NaN where Pass@k is 0: nothing can be lost.

    Source: ReCode, equation 3: RD_s@k = (Pass@k - RP_s@k) / Pass@k.
    """
    verdicts = generated_text.verdicts(path, seeds, changed=changed)
    clean = generated_text.at_k(verdicts.clean, k)
    robust = generated_text.at_k(verdicts.best if best else verdicts.worst, k)
    return Contributions(verdicts.counting, (clean * verdicts.counting, (clean - robust) * verdicts.counting))


@declare.path_metric(columns=COLUMNS, finish=_mean, higher_is_better=False, bounds=(0.0, 2.0))
def robust_relative(
    path: SeverityPath,
    *,
    k: K = 1,
    seeds: Seeds = 5,
    best: Best = False,
    changed: Changed = False,
    across: Across = NO_CATEGORIES,
) -> Contributions:
    """Robust relative: RR_s@k, how many verdicts change for at least one of s seeds of a perturbation, either way.

    With greedy decoding (n = 1) it is the share of prompts whose verdict changes. With `best` a verdict changes only if
    it does for every seed. We differ: the official code, in sampling mode, takes `and` over perturbations of a category
    for its best case, which understates it.

    Source: ReCode, equation 4: RR_s@k = E[2 - C(n - r-, k) / C(n, k) - C(n - r+, k) / C(n, k)]; r- completions pass on
    the clean prompt and fail for some seed, r+ the other way round.
    """
    verdicts = generated_text.verdicts(path, seeds, changed=changed)
    lost = verdicts.clean & ~(verdicts.best if best else verdicts.worst)
    won = ~verdicts.clean & (verdicts.worst if best else verdicts.best)
    value = generated_text.at_k(lost, k) + generated_text.at_k(won, k)
    return Contributions(verdicts.counting, (value * verdicts.counting,))


@declare.path_metric(columns=COLUMNS, finish=_per_version, higher_is_better=True)
def perturbed_rate(path: SeverityPath, across: Across = NO_CATEGORIES) -> Contributions:
    """Perturbed rate: the share of perturbed prompts, over all seeds, that differ from the clean ones.

    A perturbation that finds nothing to change leaves the prompt as it was, and robustness to it is no merit. In the
    files released with ReCode name perturbations leave up to 164 of 164 prompts.

    Source: none.
    """
    clean, *shifted = path.rows
    differing = np.sum([generated_text.differs(clean, rows) for rows in shifted], axis=0)
    return Contributions(clean.counting, (differing * clean.counting,))
