"""CNS-Bench's failure points, ranks and reversals of three models by hand, from one aggregate."""

from typing import Any

import numpy as np
import polars as pl
import pytest
import scipy.ndimage
import scipy.stats

from shiftbench.base.sample import Sample
from shiftbench.data import schema
from shiftbench.plugins.tasks import LabelSpace, classification
from shiftbench.statistics.benchmark_rows import EvaluationFile
from shiftbench.statistics.claims.expressions import evaluate
from shiftbench.statistics.claims.metric_rows import MetricRows
from shiftbench.systems.cns_bench.datasets import _cns
from shiftbench.workflow.stages.aggregate import aggregate

TABLE = {  # right (1) or wrong at scales 0, 0.5, ..., 2.5, of four images
    "a-erm-s0": ("1111", "1111", "1110", "1100", "1000", "0000"),
    "b-erm-s0": ("1110", "1110", "1110", "1110", "1100", "1100"),
    "c-erm-s0": ("1111", "1110", "1100", "1101", "1001", "0001"),
}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> MetricRows:
    """Return the rows of one aggregate over per-sample records."""
    home = tmp_path_factory.mktemp("table")
    cells = []
    for name, lines in TABLE.items():
        for scale, line in zip(_cns.SCALES, lines, strict=True):
            samples = [Sample(f"k{i}", {"label": 0, "meta": {}}) for i in range(4)]
            logits = np.array([[1, 0] if c == "1" else [0, 1] for c in line], np.float32)
            rows = classification.rows(samples, {"logits": logits}, LabelSpace(("x", "y"), ("x", "y")), "full")
            file = home / name / f"{scale}.parquet"
            file.parent.mkdir(exist_ok=True)
            schema.write(rows, file, "f")
            shift, reference = ("fog", "toy/test/identity/0") if scale else ("identity", None)
            who = ("t", "classification", f"toy/{name}", "plain", "toy", "test")
            cells.append(EvaluationFile(*who, shift, scale, file, reference))
    plain = ("accuracy", "error", "accuracy_drop", "failure_point", "failure_share", "auc_severity")
    asked: dict[str, Any] = {name: {} for name in plain}
    asked["relative_mce"] = {"normaliser": "a-erm-s0"}
    asked["rank_reversal"] = {}
    tables = aggregate(cells, asked, 200, 0)
    metrics, replicates = (pl.from_arrow(one) for one in (tables.metrics, tables.replicates))
    return MetricRows.of(metrics, replicates)  # type: ignore[arg-type]


def value(rows: MetricRows, expression: dict[str, Any]) -> float:
    found = evaluate(rows, expression)
    assert len(found.identities) == 1
    return float(found.values[0, 0])


def of(metric: str, name: str, **place: Any) -> dict[str, Any]:
    return {"metric": metric, "model": f"{name}-erm", "shift": "fog", **place}


def test_one_aggregate_gives_all_numbers_of_the_benchmark(table: MetricRows) -> None:
    assert value(table, of("accuracy", "a", severity=1.0)) == 0.75
    assert value(table, of("accuracy_drop", "a", severity=1.0)) == 0.25
    assert value(table, of("accuracy_drop", "b", severity=2.5)) == 0.25
    # a: 2.5, 2, 1.5, 1; b of three images: never (3), never, 2; c: 2.5, 2, 1, 0.5 (and right again).
    for name, points in (("a", (2.5, 2, 1.5, 1)), ("b", (3, 3, 2)), ("c", (2.5, 2, 1, 0.5))):
        assert value(table, of("failure_point", name, severity=None)) == pytest.approx(np.mean(points))
    assert value(table, {**of("error", "b"), "shift": "identity"}) == 0.25  # failed at scale 0, apart
    assert value(table, of("failure_share", "c", severity=0.5)) == 0.25
    # Errors above the clean one, summed: a 0 + 1 + 2 + 3 + 4, b 0 + 0 + 0 + 1 + 1, c 1 + 2 + 1 + 2 + 3.
    for name, ratio in (("a", 1.0), ("b", 2 / 10), ("c", 9 / 10)):
        assert value(table, of("relative_mce", name, severity=None)) == pytest.approx(ratio)


def test_ranks_and_differences_are_paired(table: MetricRows) -> None:
    def order(severity: float) -> dict[str, Any]:
        return {"metric": "accuracy", "shift": "fog", "severity": severity, "model": ["a-erm", "b-erm", "c-erm"]}

    columns = [[line[at].count("1") for line in TABLE.values()] for at in (1, 5)]
    tau = scipy.stats.kendalltau(*columns).statistic
    assert value(table, {"kendall": [order(0.5), order(2.5)]}) == pytest.approx(tau)
    one, other = (evaluate(table, of("accuracy", name, severity=0.5)).values[0] for name in "ac")
    both = evaluate(table, {"difference": [of("accuracy", n, severity=0.5) for n in "ac"]}).values[0]
    assert np.allclose(both, one - other, equal_nan=True)


def test_the_clearest_reversal_is_of_a_then_b(table: MetricRows) -> None:
    found = evaluate(table, of("rank_reversal", "a", severity=None)).values[0]
    leads = [
        evaluate(table, {"difference": [of("accuracy", n, severity=at) for n in names]}).values[0]
        for names, at in (("ab", 0.5), ("ba", 2.5))
    ]
    chance = scipy.stats.norm.isf(0.025 / 6)  # three models have six ordered pairs
    chance -= scipy.stats.norm.isf(0.025)
    less = [lead - chance * np.nanstd(lead[1:]) for lead in leads]
    assert np.allclose(found, np.minimum(*less), atol=1e-12, equal_nan=True)
    assert min(lead[0] for lead in leads) == 0.25
