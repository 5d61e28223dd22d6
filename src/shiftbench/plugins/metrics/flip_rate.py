"""Flip rate: the share of samples right without shift that are wrong under it, at each severity.

A row with a severity is the share there, a row of a shift without one the mean over its severities, the row without a
shift the mean over the shifts. Samples are joined by key. Where a shift repairs as much as it breaks, accuracy does not
fall, but predictions flip.

Source: a second view of ImageNet-E's (arXiv 2303.17096) dropped accuracy, which counts repaired samples against it.
"""

from shiftbench.statistics.contributions import Contributions, Sums, ratio
from shiftbench.statistics.rows import Floats, SeverityPath

KIND = "path"
COLUMNS = ("correct",)
PARAMS: dict[str, object] = {}
UNIT = "share"
RANGE = (0.0, 1.0)
HIGHER_IS_BETTER = False


def reduce(path: SeverityPath) -> Contributions:
    """Count the samples that are right at severity 0 and, of these, the wrong ones at each further severity."""
    right = path.rows[0].column("correct").copy()
    for rows in path.rows[1:]:
        right *= rows.present("correct")
    return Contributions(right, tuple(right * (1 - rows.column("correct")) for rows in path.rows[1:]))


def finish(sums: Sums, path: SeverityPath) -> dict[float | None, Floats]:
    """Return the share at each severity and their mean (None), float64 (k,)."""
    shares = [ratio(flipped, sums.count) for flipped in sums.sums]
    total = shares[0]
    for share in shares[1:]:
        total = total + share
    return {None: total / len(shares), **dict(zip(path.severities[1:], shares, strict=True))}
