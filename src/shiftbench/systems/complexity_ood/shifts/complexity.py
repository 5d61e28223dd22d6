"""Complexity: the question of a sample's program at c steps; the severity is c itself, and 0 the sample as it is.

Every test sample of `chain_mod`, `perm_word` and `khop` carries a program; its first c steps are the question of
complexity c, in as many words whatever c is. Curves over severity are thus one program that grows. Severities up to the
generator's threshold are questions such as were trained on, those above are out of distribution by complexity alone.
Takes no random words.

Source: arXiv 2510.06274, computational complexity OoD: K(y | x) of a test item above that of all training items, with
the number of steps of a minimal program for K.
"""

from shiftbench.base.errors import DataError, RangeError
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.plugins.shifts import _levels
from shiftbench.systems.complexity_ood.datasets import _generated

FIELD = None
TASK = "free_text"
LEVELS: dict[int, float] = {}
RANGE = (0.0, 12.0)


def apply(sample: Sample, severity: float, rng: RandomStream) -> Sample:
    """The question of the sample's program at `severity` steps.

    Raises:
        RangeError: no whole number, or more steps than the program has.
        DataError: a sample without a program.
    """
    _levels.check(__name__, severity, RANGE)
    if severity != int(severity):
        raise RangeError(f"shift 'complexity': severity {severity:g} is no number of steps; expected 1, 2, ...")
    meta = getattr(sample, "fields", {}).get("meta") or {}  # `corrupt` may be given anything
    if "program" not in meta:
        raise DataError("this takes a whole Sample with the field 'text' and a program in its meta; there is none")
    most = len(meta["program"]["steps"])
    if severity > most:
        raise RangeError(
            f"shift 'complexity': severity {severity:g}, and the program has {most} steps; raise `most` of the dataset"
        )
    if not severity:
        return sample
    return Sample(sample.key, _generated.question_fields(meta["program"], int(severity), meta))
