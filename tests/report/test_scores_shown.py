"""ROC curves and histograms as the report shows them: few points, but of the exact curve."""

from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics as peer

import shiftbench.statistics.score_curves as shown
from shiftbench.data import formats, schema
from shiftbench.statistics.benchmark_rows import BenchmarkRows, EvaluationFile


@pytest.fixture
def sides() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    return random.normal(0, 1, 3000).round(2), random.standard_t(2, 1000).round(2) + 1


def test_the_vertices_are_those_of_the_exact_curve(sides: tuple[np.ndarray, np.ndarray]) -> None:
    id, ood = sides
    threshold, false, true = shown.roc(id, ood)
    assert len(threshold) <= shown.POINTS
    assert (np.diff(threshold) > 0).all()
    for x, one, two in zip(threshold, false, true, strict=True):
        assert (one, two) == ((id >= x).mean(), (ood >= x).mean())
    assert (false[0], true[0]) == (1, 1)
    assert np.diff([0, *false[::-1]]).max() < 0.03
    area = peer.auc([0, *false[::-1]], [0, *true[::-1]])
    labels = [0] * len(id) + [1] * len(ood)
    assert area == pytest.approx(peer.roc_auc_score(labels, [*id, *ood]), abs=1e-3)


def test_a_histogram_counts_every_sample_once_and_outliers_at_its_ends(sides: tuple[np.ndarray, np.ndarray]) -> None:
    id, ood = sides
    far = np.append(ood, 1e9)
    edges, inside, outside = shown.histogram(id, far)
    assert len(edges) == shown.BINS
    assert edges[-1] < 100
    assert (inside.sum(), outside.sum()) == (pytest.approx(1), pytest.approx(1))
    assert inside[3] == ((id >= edges[3]) & (id < edges[4])).mean()
    assert outside[-1] == (far >= edges[-1]).mean()


def test_constant_scores_and_empty_sides() -> None:
    same = np.zeros(5)
    assert [column.tolist() for column in shown.roc(same, same)] == [[0], [1], [1]]
    assert [column.tolist() for column in shown.histogram(same, same)] == [[0], [1], [1]]
    for of in (shown.roc, shown.histogram):
        assert [len(column) for column in of(same, np.zeros(0))] == [0, 0, 0]


def test_the_first_seed_of_each_weights_is_shown(tmp_path: Path) -> None:
    artifacts = []
    for seed in (10, 2):
        for dataset, gap in (("clothes", 0.0), ("digits", 1.0)):
            file = tmp_path / f"{dataset}-{seed}.parquet"
            rows = [{"key": f"{dataset}/{i}", "score": i + gap * seed} for i in range(4)]
            schema.write(schema.table(rows, formats.SCORES), file, "0" * 64, formats.SCORES)
            artifacts.append(
                EvaluationFile("c", "classification", f"clothes/net-erm-s{seed}", "plain", dataset, "test", "identity",
                               0.0, file, detector="msp", ood=dataset == "digits")
            )  # fmt: skip
    table = shown.table(BenchmarkRows(artifacts, [], 0, 0))
    assert set(table.column("model").to_pylist()) == {"clothes/net-erm-s2"}
    assert set(table.column("kind").to_pylist()) == {"roc", "histogram"}
    schema.write(table, tmp_path / "roc.parquet", "0" * 64, shown.ROC)
    assert schema.read(tmp_path / "roc.parquet", form=shown.ROC).num_rows == table.num_rows
