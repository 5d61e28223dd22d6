"""Samples, training seeds and resamples that each claim needs to find a difference."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from shiftbench.statistics.claims import power
from shiftbench.statistics.claims.estimates import NO_EVIDENCE, Estimate, Evidence
from shiftbench.statistics.claims.power import Noise, Rule
from shiftbench.statistics.claims.statements import Claim


@dataclass(frozen=True, slots=True)
class Requirement:
    """Requirements of a claim, or of one of the values that it is quantified over.

    Attributes:
        claim: its name.
        part: the value of the column that it is quantified over.
        samples: resampled units of the smallest row behind its value; None: not known.
        seeds: training seeds that are units; None: only samples are units.
        detectable: difference that these find with the requested power; None: nothing was evaluated.
        times: multiple of the samples that finds the requested difference with these seeds; None: no multiple does.
        seeds_needed: seeds that find it on these samples; None: no number does, or seeds are not units.
        resamples: that its interval needs.
        reason: why it was not evaluated, or a note.
    """

    claim: str
    part: str | None = None
    samples: int | None = None
    seeds: int | None = None
    detectable: float | None = None
    times: float | None = None
    seeds_needed: int | None = None
    resamples: int | None = None
    reason: str = ""


def requirements(
    asked: Mapping[str, Claim], known: Mapping[str, Evidence], difference: float, chance: float, error: float
) -> Iterator[Requirement]:
    """Yield the requirements of each claim, for each value that it is quantified over.

    A claim that all of n values must fulfil is found with a power if each of them is found with 1 - (1 - power) / n.

    Args:
        asked: claims by name.
        known: their evidence, by name.
        difference: from the margin; of equivalence, of the margin from the truth.
        chance: probability that the claim is supported.
        error: of each claim, see `judgement.share_of_error`.
    """
    for name, claim in asked.items():
        evidence = known.get(name, NO_EVIDENCE)
        if evidence.reason:
            yield Requirement(name, reason=evidence.reason)
            continue
        rule = _rule(claim, len(evidence.estimates), chance, error)
        for part, estimate in evidence.estimates.items():
            yield _requirement(Requirement(name, part, estimate.smallest_units), estimate, difference, rule)


def _rule(claim: Claim, values: int, chance: float, error: float) -> Rule:
    """Rule by which each of a claim's values is judged."""
    k = {"all": values, "exists": 1}.get(str(claim.quantifier), claim.quantifier)
    needed = values if not claim.over else int(k)
    sides = 2 if claim.kind == "equivalence" else 1
    return Rule(error / (values - needed + 1), 1 - (1 - chance) / needed, sides)


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
        power.resamples(rule, seeded=seeded),
        "" if power.total(noise) else "no resample differs: nothing is known of its noise",
    )
