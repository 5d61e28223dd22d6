"""bpref: how seldom documents judged not relevant stand before relevant ones; unjudged ones are passed over.

Source: Buckley and Voorhees, SIGIR 2004; as in trec_eval. Where nothing is judged not relevant, the share of relevant
documents that are in the list at all.
"""

from __future__ import annotations

from shiftbench.metrics import _queries
from shiftbench.statistics.contributions import Contributions, Sums
from shiftbench.statistics.rows import Floats, Rows

KIND = "sample"
COLUMNS = ("bpref_e9",)
PARAMS: dict[str, object] = {}
UNIT = "share"
RANGE = (0.0, 1.0)
HIGHER_IS_BETTER = True


def reduce(rows: Rows) -> Contributions:
    """Each query adds its own."""
    return _queries.mean_of(rows, COLUMNS[0])


def finish(sums: Sums) -> Floats:
    """Return the mean over queries; float64 (k,)."""
    return _queries.mean(sums)
