"""Claims of any kind, drawn, and rows of metrics that they speak of."""

from dataclasses import replace

import numpy as np

from makers.metric_rows import rows
from shiftbench.statistics.claims.metric_rows import MetricRows
from shiftbench.statistics.claims.statements import Claim

SHIFTS, SEEDS, DRAWS = ("blur", "fog", "snow"), (3, 5), 400


def drawn_rows(random: np.random.Generator) -> MetricRows:
    """Return rows of two nets, several seeds and shifts, a few resamples not defined, few clusters."""
    seeds = range(int(random.choice(SEEDS)))
    units = [int(random.choice([5, 30, 400])), int(random.integers(2))]
    members = []
    for net in ("net-erm", "net-augmix"):
        for shift in SHIFTS:
            of_seeds = random.normal(0.5, 0.05, (len(seeds), 1 + DRAWS)) + random.normal(0, 0.2)
            of_seeds[random.random(of_seeds.shape) < 1e-3] = np.nan
            of_seeds[:, 0] = 0.5 + random.normal(0, 0.1)
            place = {"shift": shift, "severity": 3.0}
            members += [
                {"model": f"{net}-s{seed}", "seed": seed, "value": one, **place}
                for seed, one in zip(seeds, of_seeds, strict=True)
            ]
            members.append({"model": net, "value": of_seeds.mean(axis=0), **place})
    return replace(rows(*members), units=np.array([units] * len(members)))


def drawn_claim(random: np.random.Generator) -> Claim:
    """Return a claim of a mean, the largest or smallest, of seeds or samples, quantified or not, gated or not."""
    one, other = ({"metric": "accuracy", "model": f"net-{name}"} for name in ("augmix", "erm"))
    over = str(random.choice(["", "shift", "seed"]))
    value: dict[str, object] = {"difference": [one, other]}
    if over != "shift":
        value = {str(random.choice(["mean", "max", "min"])): value, "over": "shift"}
    claim: dict[str, object] = {
        "says": "s",
        "value": value,
        "kind": str(random.choice(["superiority", "equivalence", "report"])),
        "margin": float(random.choice([0.01, 0.2])),
    }
    if over:
        claim |= {"over": over, "quantifier": [1, "all", "exists"][int(random.integers(3))]}
    if over != "seed" and random.random() < 0.5:
        claim["unit"] = "seed"
    if random.random() < 0.3:
        claim["gate"] = {"value": {"mean": one}, "above": float(random.uniform(0, 1))}
    return Claim.model_validate(claim)
