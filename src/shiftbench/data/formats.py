"""Formats between the stages: each column's name, type, unit, range and meaning, declared once.

Fixed point: a column whose name ends in `_e9` holds billionths as int64. Quantities that need exp or log are
rounded once, when records are written; everything behind only compares, counts and adds integers,
which gives the same result in any order, on any machine.
"""

from dataclasses import dataclass

import pyarrow as pa

NAME = b"shiftbench.format"
E9 = 1_000_000_000
NLL_LIMIT = 1 << 49  # 562,949 nats: keeps the sum of one block of weighted samples below 2**53
TOP = 20


@dataclass(frozen=True, slots=True)
class Column:
    """One column: name, type, unit, what it means, its closed range, and whether it may be null."""

    name: str
    dtype: pa.DataType
    unit: str
    meaning: str
    low: float | None = None
    high: float | None = None
    nullable: bool = False

    @property
    def range(self) -> str:
        """The range as text: `[0, 1]`, `>= 0`, or empty."""
        if self.low is None:
            return ""
        return f">= {self.low:g}" if self.high is None else f"[{self.low:g}, {self.high:g}]"


@dataclass(frozen=True, slots=True)
class Format:
    """A table between two stages; `key` sorts its rows and is unique."""

    name: str
    meaning: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]

    @property
    def arrow(self) -> pa.Schema:
        """The pyarrow schema; its metadata names the format."""
        return pa.schema([(column.name, column.dtype) for column in self.columns], metadata={NAME: self.name})

    @property
    def names(self) -> list[str]:
        """Column names in order."""
        return [column.name for column in self.columns]

    def column(self, name: str) -> Column:
        """One column's declaration."""
        return self.columns[self.names.index(name)]


_KEY = Column("key", pa.string(), "", "the sample's key")

_CLASSIFIED = (
    _KEY,
    Column("label", pa.int32(), "class", "true class, an index into the model's classes; -1: none of them", -1),
    Column("prediction", pa.int32(), "class", "most probable class (the lowest of equals), likewise", 0),
    Column("correct", pa.bool_(), "", "prediction is label; null where label is -1", nullable=True),
    Column("confidence_e9", pa.int64(), "1e-9", "probability of the prediction", 0, E9),
    Column("nll_e9", pa.int64(), "1e-9 nat", "-log probability of the label", 0, NLL_LIMIT, nullable=True),
    Column("brier_e9", pa.int64(), "1e-9", "sum over classes of (share - [is label])^2", 0, 2 * E9, nullable=True),
    Column("group", pa.string(), "", "subgroup that metrics are also given for", nullable=True),
    Column("cluster", pa.string(), "", "what is resampled together; null: the sample itself", nullable=True),
)

RECORDS_FULL = Format(
    "records/classification/full",
    "One row per sample of an evaluation artifact; all logits. The probabilities behind confidence, nll and "
    "brier are a softmax over the classes that the dataset has (see `tasks`), the logits are the model's.",
    ("key",),
    (*_CLASSIFIED, Column("logits", pa.list_(pa.float32()), "", "the model's logits, in the order of its classes")),
)

RECORDS_TOP20 = Format(
    "records/classification/top20",
    f"As full, with the {TOP} largest logits instead of all, for models of many classes.",
    ("key",),
    (
        *_CLASSIFIED,
        Column("logsumexp", pa.float64(), "", "log of the sum of exp(logit) over all classes of the model"),
        Column("label_logit", pa.float32(), "", "logit of the label; null where label is -1", nullable=True),
        Column("top_classes", pa.list_(pa.int32()), "class", "classes of the largest logits, largest first"),
        Column("top_logits", pa.list_(pa.float32()), "", "their logits"),
    ),
)

SCORES = Format(
    "scores",
    "OOD scores of one record file under one detector.",
    ("key",),
    (_KEY, Column("score", pa.float64(), "detector's", "higher = more out-of-distribution")),
)

SEARCHES = Format(
    "searches",
    "What each point of a detector's grid gave on validation OOD.",
    ("number",),
    (
        Column("number", pa.int32(), "", "order in which the points were tried", 0),
        Column("options", pa.string(), "", "the searched options at this point, as JSON"),
        Column(
            "auroc",
            pa.float64(),
            "share",
            "ID val against validation OOD, mean over sets; null: the options do not fit",
            0,
            1,
            nullable=True,
        ),
        Column("reason", pa.string(), "", "why they do not fit", nullable=True),
        Column("chosen", pa.bool_(), "", "the first of the best"),
        Column("n_id", pa.int64(), "sample", "ID val samples", 0),
        Column("n_ood", pa.int64(), "sample", "validation OOD samples, of all sets", 0),
    ),
)

OVERLAPS = Format(
    "overlaps",
    "Pairs of the sets that detection compares, and the samples that they share.",
    ("set_a", "set_b"),
    (
        Column("set_a", pa.string(), "", "one set, as dataset/split/shift/severity"),
        Column("set_b", pa.string(), "", "another"),
        Column("role_a", pa.string(), "", "`id`, `val_ood`, `support`, or the group of OOD sets"),
        Column("role_b", pa.string(), "", "likewise"),
        Column("n_a", pa.int64(), "sample", "samples of one", 0),
        Column("n_b", pa.int64(), "sample", "samples of the other", 0),
        Column("shared_keys", pa.int64(), "sample", "keys that are in both", 0),
        Column("shared_contents", pa.int64(), "sample", "of b, whose decoded payload is also in a", 0),
        Column("disjoint", pa.bool_(), "", "whether they had to share none"),
    ),
)

INDEX = Format(
    "index",
    "Where each sample lies in a folder of shards.",
    ("key",),
    (
        _KEY,
        Column("tar", pa.string(), "", "name of the tar"),
        Column("offset", pa.int64(), "byte", "where the sample's first header begins", 0),
        Column("size", pa.int64(), "byte", "length of its members, headers and padding included", 0),
        Column("sha256", pa.string(), "hex", "sha256 of these bytes"),
        Column("pixels", pa.string(), "hex", "digest of the decoded payload, independent of the codec"),
    ),
)

LOG = Format(
    "log",
    "What a trainer reported.",
    ("step", "name"),
    (
        Column("step", pa.int64(), "", "optimizer step or epoch, as the trainer counts", 0),
        Column("name", pa.string(), "", "quantity"),
        Column("value", pa.float64(), "quantity's", "its value"),
    ),
)

_CELL = (
    Column("benchmark", pa.string(), "", "name of the benchmark in params.yaml"),
    Column("task", pa.string(), "", "kind of task"),
    Column("model", pa.string(), "", "the trained model; without `-sN`: the mean over its training seeds"),
    Column("method", pa.string(), "", "what goes around the model at test time"),
    Column("detector", pa.string(), "", "OOD detector, of detection metrics", nullable=True),
    Column("dataset", pa.string(), "", "dataset"),
    Column("split", pa.string(), "", "its split"),
    Column("reference", pa.string(), "", "clean partner or ID set, as dataset/split/shift/severity", nullable=True),
    Column("shift", pa.string(), "", "shift; null: all that the metric names", nullable=True),
    Column("severity", pa.float64(), "", "severity; null: the whole curve", 0, nullable=True),
    Column("group", pa.string(), "", "subgroup; null: all samples", nullable=True),
    Column("step", pa.int32(), "", "position in a stream; null: not part of one", 0, nullable=True),
    Column("metric", pa.string(), "", "metric as params.yaml names it"),
)

OBSERVATIONS = Format(
    "observations",
    "What an analysis measured: one number per unit and place; aggregate takes means over units.",
    (*("metric", "model", "method", "detector", "dataset", "split"), *("shift", "severity", "group", "step", "key")),
    (
        *(column for column in _CELL if column.name not in ("benchmark", "task", "reference")),
        Column("key", pa.string(), "", "the unit, which is what is resampled"),
        Column("value_e9", pa.int64(), "1e-9", "its number", -(10**6) * E9, 10**6 * E9),
    ),
)

METRICS = Format(
    "metrics",
    "One row per metric of an artifact, a curve or a mean over seeds.",
    tuple(column.name for column in _CELL),
    (
        *_CELL,
        Column("value", pa.float64(), "metric's", "value on the samples as they are; null: not defined", nullable=True),
        Column("ci_low", pa.float64(), "metric's", "low end of the interval; null: n < 2, or two seeds", nullable=True),
        Column("ci_high", pa.float64(), "metric's", "its upper end", nullable=True),
        Column("n", pa.int64(), "sample", "samples that count", 0),
        Column("seed", pa.int32(), "", "training seed; null: none, or the mean over seeds", 0, nullable=True),
        Column("seeds", pa.int32(), "seed", "training seeds of a mean; null: no mean", 1, nullable=True),
        Column("seed_low", pa.float64(), "metric's", "smallest value of these seeds", nullable=True),
        Column("seed_high", pa.float64(), "metric's", "largest value of these seeds", nullable=True),
        Column("unit", pa.string(), "", "what is resampled: `key` (the sample) or `cluster`"),
        Column("units", pa.int64(), "unit", "how many there are; of two sides, of the smaller", 0),
    ),
)

REPLICATES = Format(
    "replicates",
    "The value of each metric row under each bootstrap draw. Draw i is the same resampling of the units in "
    "every row, so arithmetic on the lists of two rows is paired.",
    METRICS.key,
    (
        *_CELL,
        Column(
            "draws", pa.list_(pa.float64()), "metric's", "one value per draw; null inside: not defined in that draw"
        ),
    ),
)

DIFFERENCES = Format(
    "differences",
    "Paired differences between two weights on the samples that both were evaluated on.",
    (*(name for name in METRICS.key if name != "model"), "model_a", "model_b"),
    (
        *(column for column in _CELL if column.name != "model"),
        Column("model_a", pa.string(), "", "first model"),
        Column("model_b", pa.string(), "", "second model"),
        Column("difference", pa.float64(), "metric's", "value of a minus value of b, on shared samples", nullable=True),
        Column("ci_low", pa.float64(), "metric's", "lower end of its 95% interval", nullable=True),
        Column("ci_high", pa.float64(), "metric's", "its upper end", nullable=True),
        Column("p_value", pa.float64(), "", "two-sided, of no difference", 0, 1, nullable=True),
        Column("n", pa.int64(), "sample", "samples that count for both", 0),
    ),
)

COMPARISONS = Format(
    "comparisons",
    "Paired differences between detectors in the same place: each against the best one, and each against the baseline, "
    "which is the benchmark's first.",
    (*METRICS.key, "against"),
    (
        *_CELL,
        Column("against", pa.string(), "", "what the other one is: `best` or `baseline`"),
        Column("other", pa.string(), "", "the other detector"),
        Column("difference", pa.float64(), "metric's", "value of the detector minus value of the other", nullable=True),
        Column("ci_low", pa.float64(), "metric's", "lower end of its 95% interval", nullable=True),
        Column("ci_high", pa.float64(), "metric's", "its upper end", nullable=True),
        Column("p_value", pa.float64(), "", "two-sided, of no difference, from the draws", 0, 1, nullable=True),
        Column("p_holm", pa.float64(), "", "p_value corrected for the comparisons of this place", 0, 1, nullable=True),
        Column(
            "p_delong", pa.float64(), "", "DeLong's, not corrected; null: not the auroc of single weights on one set",
            0, 1, nullable=True,
        ),
        Column("n", pa.int64(), "sample", "samples that count for both", 0),
    ),
)  # fmt: skip

RELEASED = Format(
    "released",
    "Numbers that others measured and released, each with the cell that it was copied from.",
    ("file", "row", "column"),
    (
        Column("release", pa.string(), "", "name of its card, `released/NAME.yaml`"),
        Column("evidence", pa.string(), "", "`released`: not measured here"),
        *(column for column in _CELL if column.name not in ("benchmark", "task", "step")),
        Column("value", pa.float64(), "metric's", "the number; a share where the file prints percent"),
        Column("ci_low", pa.float64(), "metric's", "low end of the 95% interval; null: none can be had", nullable=True),
        Column("ci_high", pa.float64(), "metric's", "its upper end", nullable=True),
        Column("n", pa.int64(), "sample", "samples behind it; null: not known", 1, nullable=True),
        Column("seeds", pa.int32(), "seed", "trainings behind it; null: not known", 1, nullable=True),
        Column("spread", pa.float64(), "metric's", "sample standard deviation over the trainings", 0, nullable=True),
        Column("pretraining", pa.string(), "", "kind of data that the model was trained on", nullable=True),
        Column("parameters", pa.float64(), "million", "parameters of the model", 0, nullable=True),
        Column("image_size", pa.int32(), "pixel", "side of its input", 1, nullable=True),
        Column("note", pa.string(), "", "what else the file says of the row", nullable=True),
        Column("file", pa.string(), "", "path in the repository at the card's commit"),
        Column("row", pa.int64(), "", "line of the file, from 1", 1),
        Column("column", pa.string(), "", "name of the column"),
        Column("printed", pa.string(), "", "the cell as it is printed"),
    ),
)

FORMATS = (
    RECORDS_FULL,
    RECORDS_TOP20,
    SCORES,
    SEARCHES,
    OVERLAPS,
    INDEX,
    LOG,
    OBSERVATIONS,
    METRICS,
    REPLICATES,
    DIFFERENCES,
    COMPARISONS,
    RELEASED,
)
