"""Mean risk over tasks: what is expected of a task after adaptation, in squared units (regression) or nats (classes).

Source: Finn, Abbeel and Levine 2017, "Model-Agnostic Meta-Learning", arXiv:1703.03400, equation 1.
"""

from shiftbench.data.formats import E9
from shiftbench.statistics.contributions import Contributions, Sums, ratio
from shiftbench.statistics.rows import Floats, Rows

KIND = "sample"
COLUMNS = ("risk_e9",)
PARAMS: dict[str, object] = {}
UNIT = "squared unit or nat"
RANGE = (0.0, None)
HIGHER_IS_BETTER = False


def reduce(rows: Rows) -> Contributions:
    """Each task adds its billionths."""
    return Contributions(rows.present("risk_e9"), (rows.column("risk_e9"),))


def finish(sums: Sums) -> Floats:
    """Mean; float64 (k,)."""
    return ratio(sums.sums[0], sums.count * E9)
