"""FMR: accuracy of a model on the pictures that were walked against it, as a share of its accuracy on clean ones.

FMR = PA / SA, over the same samples; in a bootstrap resample both are counted again together. Of a mean over seeds it
is the ratio of means. A row is at a budget (severity) of a search (shift). In the group `oracle_right` both are of the
samples whose oracle is right on the clean picture; in `from_MODEL` the pictures are those of another model, in `pooled`
those of all of the benchmark. Not defined where nothing is right. From `perturbed_accuracy` and
`standard_accuracy` of the analysis `oracle_walks`.

Source: Zhang et al., ICLR 2024, arXiv:2308.10632; SA is the tested model's own clean accuracy, not the oracle's.
"""

from shiftbench.statistics.contributions import ratio
from shiftbench.statistics.rows import Row

KIND = "curve"
UNIT = "share of the clean accuracy"
RANGE = (0.0, None)
HIGHER_IS_BETTER = True
Place = tuple[str | None, ...]


def sources(params: dict[str, object]) -> tuple[str, ...]:
    """The metrics whose rows are needed."""
    return ("perturbed_accuracy", "standard_accuracy")


def compute(rows: list[Row]) -> list[Row]:
    """FMR at each budget; a group without a clean accuracy of its own takes that of all samples."""
    clean = {_place(row, row.group): row for row in rows if row.metric == "standard_accuracy"}
    shares = []
    for row in rows:
        if row.metric == "perturbed_accuracy":
            reference = clean.get(_place(row, row.group)) or clean[_place(row, None)]
            shares.append(row.derived([reference, row], ratio(row.all, reference.all)))
    return shares


def _place(row: Row, group: str | None) -> Place:
    return row.model, row.method, row.detector, row.dataset, row.split, row.shift, group
