"""What is printed of a metric has the interval of its kind wherever it is printed: tables, boards, figures, reports."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from makers import random_records
from shiftbench.base import registry
from shiftbench.report.leaderboard import Places, Tables, columns
from shiftbench.statistics import intervals
from shiftbench.statistics.claims.expressions import evaluate
from shiftbench.statistics.claims.metric_rows import MetricRows
from shiftbench.statistics.claims.statements import Reported
from shiftbench.statistics.interval_kind import interval_kind
from shiftbench.workflow.stages.aggregate import aggregate
from shiftbench.workflow.stages.judge_claims import _figures, _measured

METRICS = ("accuracy", "ece", "nll")
KINDS = {name: interval_kind(registry.find("metrics", name)) for name in METRICS}
NETS = ("a", "b", "sure")


@pytest.fixture(params=range(4))
def tables(request: pytest.FixtureRequest, tmp_path: Path) -> Tables:
    """Tables of nets of drawn skill and certainty, by a real aggregate; one is right on all samples, and sure."""
    random = np.random.default_rng(request.param)
    labels = np.array([sample.fields["label"] for sample in random_records.samples()])
    right = np.eye(len(random_records.CLASSES), dtype=np.float32)[labels]
    cells = []
    for net in NETS:
        for shift, severity in (("identity", 0), ("fog", 1), ("fog", 3)):
            skill, certainty = (9, 9) if net == "sure" else random.uniform(0, 4, 2)
            noise = random_records.logits(int(random.integers(1 << 30)))
            logits = ((noise if net != "sure" else 0) + skill * right) * np.float32(certainty)
            cells.append(random_records.artifact(tmp_path, f"{net}-erm", shift, severity, logits.astype(np.float32)))
    made = aggregate(cells, {name: {} for name in METRICS}, random_records.DRAWS, 0)
    frames = (pl.from_arrow(t) for t in (made.metrics, made.replicates, made.differences))
    return Tables(*frames)  # type: ignore[arg-type]


def test_each_kind_of_metric_is_drawn() -> None:
    assert list(KINDS.values()) == ["share", "biased", "draws"]


def test_boards_and_figures_agree_with_tables(tables: Tables) -> None:
    rows = MetricRows.of(tables.metrics, tables.replicates, {}, KINDS)
    board = columns(tables, Places.of(tables, "toy", "test"), {})
    assert {"clean-ece", "corruptions-ece", "corruptions-accuracy"} <= {c.key for c in board}
    for metric in METRICS:
        own = tables.metrics.filter(pl.col("metric") == metric)
        line = {"metric": metric, "model": "a-erm", "method": "plain", "shift": "fog"}
        figure = {"title": "t", "kind": "lines", "x": "severity", "rows": line}
        points = _figures([figure], rows)
        table = own.filter(model="toy/a-erm", shift="fog").sort("severity").to_dicts()
        for point, row in zip(points, table, strict=True):
            for name in ("value", "ci_low", "ci_high"):
                assert point[name] == row[name]
        clean = next(c for c in board if c.key == f"clean-{metric}")
        for row in own.filter(shift="identity").to_dicts():
            entry = clean.entries[row["model"], "plain"]
            assert (entry.low, entry.high) == (row["ci_low"], row["ci_high"])


def test_means_have_the_interval_of_their_metric(tables: Tables) -> None:
    rows = MetricRows.of(tables.metrics, tables.replicates, {}, KINDS)
    board = columns(tables, Places.of(tables, "toy", "test"), {})
    for net in NETS:
        for metric in ("accuracy", "ece"):
            selector = {"metric": metric, "model": f"{net}-erm", "method": "plain"}
            mean = {"mean": {**selector, "shift": "fog"}}
            stated = {"what": "-", "metric": metric, "value": 0, "where": "-", "measured": mean}
            printed = _measured([Reported.model_validate(stated)], rows, "embedded")[0]
            entry = next(c for c in board if c.key == f"corruptions-{metric}").entries[f"toy/{net}-erm", "plain"]
            found = evaluate(rows, mean)
            low, high = found.intervals[:, 0]
            assert (entry.low, entry.high) == pytest.approx((low, high))
            assert (printed["ci_low"], printed["ci_high"]) == pytest.approx((low, high))
            assert low <= entry.value <= high
            if net == "sure":
                assert low < high or metric == "ece"  # all right of forty are no proof of all
                continue
            one = (found.values[:, 0], found.values[:, 1:])
            kind = "biased" if metric == "ece" else "share"
            expected = intervals.of_rows([kind], *one, np.array([40]), np.array([False]))
            assert (low, high) == pytest.approx(expected[:, 0])


def test_what_is_neither_a_row_nor_a_mean_has_percentiles(tables: Tables) -> None:
    rows = MetricRows.of(tables.metrics, tables.replicates, {}, KINDS)
    chosen = {"metric": "ece", "model": "a-erm", "method": "plain", "shift": "fog"}
    for expression in (
        {"difference": [{**chosen, "severity": 1}, {**chosen, "severity": 3}]},
        {"max": chosen},
        {"abs": {**chosen, "severity": 1}},
        {"mean": {**chosen, "metric": ["ece", "accuracy"]}},  # of two kinds
    ):
        assert evaluate(rows, expression).ends is None
