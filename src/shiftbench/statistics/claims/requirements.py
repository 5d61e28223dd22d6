"""What each claim takes to find a difference: samples, training seeds, draws."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from shiftbench.statistics.claims import power
from shiftbench.statistics.claims.estimates import NO_EVIDENCE, Estimate, Evidence
from shiftbench.statistics.claims.power import Noise, Rule
from shiftbench.statistics.claims.statements import Claim


@dataclass(frozen=True, slots=True)
class Requirement:
    """What a claim, or one of the values that it is quantified over, takes.

    Attributes:
        claim: its name.
        part: the value of the column that it is quantified over.
        samples: units that were resampled, of the smallest row that it is made of; None: not known.
        seeds: training seeds that are units; None where samples alone are.
        detectable: the difference that these find, with the power asked for; None: nothing was evaluated.
        times: how many times the samples find the difference asked for, with these seeds; None: no number of them.
        seeds_needed: how many seeds find it, on these samples; None: no number of them, or seeds are no units.
        draws: that its interval takes.
        reason: why it was not evaluated, and what else has to be known.
    """

    claim: str
    part: str | None = None
    samples: int | None = None
    seeds: int | None = None
    detectable: float | None = None
    times: float | None = None
    seeds_needed: int | None = None
    draws: int | None = None
    reason: str = ""


def requirements(
    asked: Mapping[str, Claim], known: Mapping[str, Evidence], difference: float, chance: float, error: float
) -> Iterator[Requirement]:
    """Yield what each claim takes, for each value that it is quantified over.

    A claim that all of n values must fulfil is found with the power asked for when each is with 1 - (1 - power) / n.

    Args:
        asked: claims by name.
        known: what they are judged from, by name.
        difference: from the margin; of equivalence, of the margin from the truth.
        chance: the power.
        error: of each claim, see `claims.share_of_error`.
    """
    for name, claim in asked.items():
        found = known.get(name, NO_EVIDENCE)
        if found.reason:
            yield Requirement(name, reason=found.reason)
            continue
        rule = _rule(claim, len(found.estimates), chance, error)
        for part, estimate in found.estimates.items():
            yield _requirement(Requirement(name, part, estimate.smallest_units), estimate, difference, rule)


def _rule(claim: Claim, values: int, chance: float, error: float) -> Rule:
    """Return how each of a claim's values is judged."""
    k = {"all": values, "exists": 1}.get(str(claim.quantifier), claim.quantifier)
    wanted = values if not claim.over else int(k)
    sides = 2 if claim.kind == "equivalence" else 1
    return Rule(error / (values - wanted + 1), 1 - (1 - chance) / wanted, sides)


def _requirement(asked: Requirement, estimate: Estimate, difference: float, rule: Rule) -> Requirement:
    try:
        noise = Noise.of(estimate)
    except ValueError as error:
        return Requirement(asked.claim, asked.part, asked.samples, reason=str(error))
    seeded = noise.seeds is not None
    return Requirement(
        asked.claim,
        asked.part,
        asked.samples,
        noise.seeds,
        power.detectable(noise, rule),
        power.samples(noise, difference, rule),
        power.seeds(noise, difference, rule) if seeded else None,
        power.draws(rule, seeded=seeded),
        "" if power.total(noise) else "no resample differs: nothing is known of its noise",
    )
