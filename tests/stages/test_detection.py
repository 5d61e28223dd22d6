import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import norm
from sklearn import metrics as peer

from shiftbench.base.errors import DataError, ParamsError
from shiftbench.base.sample import Sample
from shiftbench.data import formats, schema
from shiftbench.plugins.tasks import LabelSpace, classification
from shiftbench.statistics import bootstrap, delong, intervals, risk_coverage, search_tables
from shiftbench.statistics.benchmark_rows import EvaluationFile
from shiftbench.statistics.failure_prediction import RISK_COVERAGE as RISK
from shiftbench.statistics.score_curves import ROC
from shiftbench.workflow.stages.aggregate import Detection, Tables, aggregate

DRAWS = 60
CLASSES = ("a", "b", "c")
ID, SETS = "toy/test/identity/0", {"close": "near", "closer": "near", "noise": "far", "odd": None}
DETECTORS = ("msp", "energy", "knn")
METRICS: dict[str, dict[str, object]] = {"auroc": {}, "fpr95": {}, "aurc": {}, "accuracy": {}}


def records(
    folder: Path, dataset: str, weights: str, shift: str, severity: float, *, n: int = 50, **meta: list[str]
) -> EvaluationFile:
    """Records of an artifact; keys are the same in every shift."""
    random = np.random.default_rng([n, len(dataset), len(shift), int(severity), ord(weights[-1])])
    label = np.random.default_rng(len(dataset)).integers(0, 3, n)
    logits = random.normal(size=(n, 3)) + 1.5 * np.eye(3)[label] / (1 + severity)
    some = [
        Sample(f"{dataset}/test/{i:03d}", {"label": int(label[i]), "meta": {k: v[i] for k, v in meta.items()}})
        for i in range(n)
    ]
    file = folder / f"{dataset}.{weights}.{shift}.{severity}.parquet"
    space = LabelSpace(CLASSES, CLASSES)
    outputs = {"logits": logits.astype(np.float32)}
    schema.write(classification.rows(some, outputs, space, "full"), file, "f")
    reference = None if shift == "identity" else ID
    who = ("toys", "classification", f"toy/{weights}", "plain")
    return EvaluationFile(*who, dataset, "test", shift, severity, file, reference, ood=dataset in SETS)


def scored(artifact: EvaluationFile, detector: str) -> EvaluationFile:
    """Scores of an artifact; `knn` tells best."""
    n = len(schema.read(artifact.file, ["key"]))
    names = (artifact.dataset, artifact.model, detector, artifact.shift)
    random = np.random.default_rng([sum(map(ord, name)) for name in names])
    gap = {"msp": 0.3, "energy": 0.35, "knn": 2.0}[detector]
    values = np.round(random.normal(size=n) + gap * artifact.ood + 0.1 * (artifact.severity or 0), 1)
    table = pa.table({"key": schema.read(artifact.file, ["key"])["key"], "score": values})
    file = artifact.file.with_suffix(f".{detector}.scores")
    schema.write(table.cast(formats.SCORES.arrow), file, "f")
    return replace(artifact, file=file, records=artifact.file, detector=detector, ood_group=SETS.get(artifact.dataset))


@pytest.fixture
def artifacts(tmp_path: Path) -> list[EvaluationFile]:
    """Two seeds; clean, one shift at two severities, four OOD sets; three detectors."""
    plain = []
    for weights in ("net-s0", "net-s1"):
        for shift, severity in (("identity", 0.0), ("fog", 1.0), ("fog", 3.0)):
            plain.append(records(tmp_path, "toy", weights, shift, severity))
        for number, name in enumerate(SETS):
            plain.append(records(tmp_path, name, weights, "identity", 0.0, n=30 + number))
    return plain + [scored(*pair) for pair in itertools.product(plain, DETECTORS)]


def find(tables: Tables, **where: object) -> dict[str, object]:
    found: dict[str, object]
    (found,) = [
        row | {"draws": np.array(draws["draws"], dtype=np.float64)}
        for row, draws in zip(tables.metrics.to_pylist(), tables.replicates.to_pylist(), strict=True)
        if all(row[name] == value for name, value in where.items())
    ]
    return found


def values(artifacts: list[EvaluationFile], **where: object) -> tuple[np.ndarray, np.ndarray]:
    """Scores of matching artifacts, and their weights under each draw."""
    found = [
        schema.read(artifact.file)
        for artifact in artifacts
        if artifact.detector is not None and all(getattr(artifact, k) == v for k, v in where.items())
    ]
    weights = [bootstrap.weights(one["key"].combine_chunks(), DRAWS, 0).astype(np.float64) for one in found]
    return np.concatenate([one["score"].to_numpy() for one in found]), np.concatenate(weights)


WHO = {"model": "toy/net-s0", "detector": "msp"}


def auroc(id: tuple[np.ndarray, np.ndarray], ood: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    truth = np.repeat([0, 1], [len(id[0]), len(ood[0])])
    scores, weights = np.concatenate([id[0], ood[0]]), np.concatenate([id[1], ood[1]])
    return np.array([peer.roc_auc_score(truth, scores, sample_weight=w) for w in weights.T])


def test_groups_are_means_over_sets(artifacts: list[EvaluationFile]) -> None:
    tables = aggregate(artifacts, METRICS, DRAWS, 0)
    clean = values(artifacts, **WHO, dataset="toy", shift="identity")
    by_hand = [auroc(clean, values(artifacts, **WHO, dataset=name)) for name in ("close", "closer")]
    near = find(tables, **WHO, dataset="near", metric="auroc")
    assert (near["reference"], near["shift"], near["severity"]) == (ID, None, None)
    assert near["value"] == pytest.approx((by_hand[0][0] + by_hand[1][0]) / 2, abs=1e-12)
    assert near["draws"] == pytest.approx((by_hand[0] + by_hand[1])[1:] / 2, abs=1e-12)
    # One set, one group: the same; no group: only the set itself. Seeds have a mean, of groups too.
    one, same = (find(tables, **WHO, dataset=name, metric="fpr95") for name in ("noise", "far"))
    assert one["value"] == same["value"]
    datasets = {row["dataset"] for row in tables.metrics.to_pylist()}
    assert datasets == {"toy", *SETS, "near", "far"}
    mean = find(tables, model="toy/net", detector="msp", dataset="near", metric="auroc")
    other = find(tables, model="toy/net-s1", detector="msp", dataset="near", metric="auroc")
    assert mean["value"] == pytest.approx((near["value"] + other["value"]) / 2, abs=1e-12)  # type: ignore[operator]


def test_full_spectrum(artifacts: list[EvaluationFile]) -> None:
    tables = aggregate(artifacts, METRICS, DRAWS, 0, detection=Detection(full_spectrum=True))
    found = find(tables, **WHO, dataset="close", metric="auroc", reference="toy/test/full_spectrum")
    expected = auroc(values(artifacts, **WHO, dataset="toy"), values(artifacts, **WHO, dataset="close"))
    assert found["value"] == pytest.approx(expected[0], abs=1e-12)
    assert found["draws"] == pytest.approx(expected[1:], abs=1e-12)
    assert found["n"] == 3 * 50 + 30
    # Accuracy of the three sets together, of equal size: the mean of theirs, under every draw.
    rows = [
        find(tables, model="toy/net-s0", metric="accuracy", shift=shift, severity=severity)
        for shift, severity in (("full_spectrum", None), ("identity", 0), ("fog", 1), ("fog", 3))
    ]
    assert (rows[0]["reference"], rows[0]["n"]) == (ID, 150)
    assert rows[0]["draws"] == pytest.approx(sum(row["draws"] for row in rows[1:]) / 3, abs=1e-12)  # type: ignore[misc]
    # Only where it is asked for, and where shifted sets have scores.
    shifts = aggregate(artifacts, METRICS, DRAWS, 0).metrics["shift"].to_pylist()
    assert "full_spectrum" not in shifts
    clean = [artifact for artifact in artifacts if artifact.detector is None or artifact.reference is None]
    with pytest.raises(ParamsError, match="full spectrum of toy/test/identity/0 needs scores"):
        aggregate(clean, METRICS, DRAWS, 0, detection=Detection(full_spectrum=True))


def test_tables_are_equal_for_any_order_and_threads(artifacts: list[EvaluationFile], tmp_path: Path) -> None:
    detection = Detection(full_spectrum=True, detectors=DETECTORS)
    tables = aggregate(artifacts, METRICS, DRAWS, 0, detection=detection)
    again = aggregate(artifacts[::-1], METRICS, DRAWS, 0, threads=3, detection=detection)
    own = {"risk_coverage": RISK, "roc": ROC}
    for name in Tables.__slots__:
        files = [tmp_path / f"{name}{i}.parquet" for i in range(2)]
        for file, made in zip(files, (tables, again), strict=True):
            schema.write(getattr(made, name), file, "f", own.get(name))
        assert files[0].read_bytes() == files[1].read_bytes()


def test_failure_detection_joins_scores_and_records(artifacts: list[EvaluationFile]) -> None:
    tables = aggregate(artifacts, METRICS, DRAWS, 0)
    for shift, severity in (("identity", 0.0), ("fog", 3.0)):
        place = {**WHO, "dataset": "toy", "shift": shift, "severity": severity}
        (artifact,) = [c for c in artifacts if all(getattr(c, k) == v for k, v in place.items())]
        correct = schema.read(artifact.records)["correct"].to_numpy(zero_copy_only=False)  # type: ignore[arg-type]
        scores, weights = values(artifacts, **place)
        area = risk_coverage.area(scores, correct, weights.astype(np.uint8))
        found = find(tables, **place, metric="aurc")
        assert found["draws"] == pytest.approx(area.mean(area.summed)[1:], abs=1e-15)
        assert found["reference"] == (None if shift == "identity" else ID)
        curve = [row for row in tables.risk_coverage.to_pylist() if all(row[k] == v for k, v in place.items())]
        assert [row["accepted"] for row in curve] == list(range(1, 51))
        assert curve[-1]["coverage"] == 1
        assert curve[-1]["risk"] == pytest.approx(1 - correct.mean(), abs=1e-12)
        assert np.mean([row["risk"] for row in curve]) == pytest.approx(found["value"], abs=1e-12)
    # OOD sets have no right predictions; the curve has at most 101 points.
    aurc = [row for row in tables.metrics.to_pylist() if row["metric"] == "aurc"]
    assert {row["dataset"] for row in aurc} == {"toy"}
    assert len(risk_coverage.curve(np.arange(5000.0), np.ones(5000, dtype=bool))[0]) == 101


def test_comparisons_between_detectors(artifacts: list[EvaluationFile]) -> None:
    tables = aggregate(artifacts, METRICS, DRAWS, 0, detection=Detection(detectors=DETECTORS))
    rows = tables.comparisons.to_pylist()
    place = {"model": "toy/net-s0", "dataset": "close", "metric": "auroc"}
    here = [row for row in rows if all(row[name] == value for name, value in place.items())]
    pairs = {(row["against"], row["detector"], row["other"]) for row in here}
    best = {("best", "energy", "knn"), ("best", "msp", "knn")}
    assert pairs == best | {("baseline", "energy", "msp"), ("baseline", "knn", "msp")}
    against = sorted((row for row in here if row["against"] == "best"), key=lambda row: row["detector"])
    draws = [find(tables, **place, detector=name)["draws"] for name in ("energy", "msp", "knn")]
    gaps = np.stack([draws[0] - draws[2], draws[1] - draws[2]])  # type: ignore[operator]
    own = [row["difference"] for row in against]
    units = min(find(tables, **place, detector=name)["units"] for name in ("energy", "msp", "knn"))
    expected = [
        intervals.of_gap(np.array([value, *gap]), (), intervals.Units(units))
        for value, gap in zip(own, gaps, strict=True)
    ]
    assert [row["ci_low"] for row in against] == [low for low, _, _ in expected]
    raw = [p_value for _, _, p_value in expected]
    assert [row["p_value"] for row in against] == raw
    small, large = sorted(row["p_holm"] for row in against)
    assert (small, large) == (min(1, 2 * min(raw)), min(1, max(2 * min(raw), *raw)))
    sides = [
        [values(artifacts, model="toy/net-s0", detector=name, dataset=d, shift="identity")[0] for d in ("toy", "close")]
        for name in ("energy", "knn")
    ]
    assert against[0]["p_delong"] == pytest.approx(slow_delong(*sides), rel=1e-9)
    # DeLong's test is of single weights on single sets and of the auroc; groups, means and others have none.
    tested = [row for row in rows if row["p_delong"] is not None]
    assert {row["metric"] for row in tested} == {"auroc"}
    assert {row["dataset"] for row in tested} == set(SETS)
    assert {row["model"] for row in tested} == {"toy/net-s0", "toy/net-s1"}
    assert {row["dataset"] for row in rows} == {*SETS, "near", "far", "toy"}
    assert "toy/net" in {row["model"] for row in rows}
    # Lower is better for fpr95 and aurc.
    fpr = [r for r in rows if (r["metric"], r["against"]) == ("fpr95", "best")]
    assert all(row["difference"] >= 0 for row in fpr)


def slow_delong(one: list[np.ndarray], two: list[np.ndarray]) -> float:
    """DeLong et al. 1988, equations 4 to 8, over all pairs; each side as (ID, OOD)."""
    won = [
        (np.subtract.outer(ood, id) > 0) + (np.subtract.outer(ood, id) == 0) / 2 for id, ood in (one, two)
    ]  # fmt: skip
    by_ood = np.cov([w.mean(axis=1) for w in won]) / won[0].shape[0]
    by_id = np.cov([w.mean(axis=0) for w in won]) / won[0].shape[1]
    contrast = np.array([1, -1])
    variance = contrast @ (by_ood + by_id) @ contrast
    z = (won[0].mean() - won[1].mean()) / np.sqrt(variance)
    return float(2 * norm.sf(abs(z)))


def test_delong() -> None:
    random = np.random.default_rng(1)
    truth = np.repeat([0, 1], [60, 45])
    base = random.normal(size=105) + truth
    one, two = base + random.normal(size=105), base * 0.5 + random.normal(size=105)
    for scale in (np.asarray, np.round):  # without ties, with many
        sides = [(scale(s)[:60], scale(s)[60:]) for s in (one, two)]
        found = delong.p_value(*(delong.components(*side) for side in sides))
        assert found == pytest.approx(slow_delong(*map(list, sides)), rel=1e-12)
    assert found == pytest.approx(0.8803463801796845, rel=1e-12)  # MLstatkit 0.1.91, Delong_test
    # Equal scores do not differ; no variance, no doubt; one sample on a side says nothing.
    same = delong.components(*sides[0])
    assert delong.p_value(same, same) == 1
    perfect = delong.components(np.zeros(4), np.ones(5))
    assert delong.p_value(perfect, delong.components(np.ones(4), np.ones(5))) == 0
    assert np.isnan(delong.p_value(*[delong.components(np.zeros(1), np.ones(5))] * 2))


def test_of_nothing_there_is_no_value(tmp_path: Path) -> None:
    plain = [
        records(tmp_path, "toy", "net", "identity", 0.0, n=5),
        records(tmp_path, "odd", "net", "identity", 0.0, n=0),
    ]
    found = [*plain, *(scored(*pair) for pair in itertools.product(plain, DETECTORS))]
    tables = aggregate(found, METRICS, DRAWS, 0)
    empty = find(tables, detector="msp", dataset="odd", metric="auroc")
    assert (empty["value"], empty["ci_low"], empty["n"]) == (None, None, 5)
    rows = [row for row in tables.comparisons.to_pylist() if row["metric"] == "auroc"]
    assert {row["dataset"] for row in rows} == {"odd"}
    for name in ("difference", "ci_low", "p_value", "p_holm", "p_delong"):
        assert {row[name] for row in rows} == {None}


def test_clusters_are_resampled_together(tmp_path: Path) -> None:
    clusters = [str(i // 5) for i in range(50)]
    plain = [
        records(tmp_path, "toy", "net", "identity", 0.0, cluster=clusters),
        records(tmp_path, "odd", "net", "identity", 0.0, n=30),
    ]
    found = [*plain, *(scored(*pair) for pair in itertools.product(plain, DETECTORS))]
    tables = aggregate(found, METRICS, DRAWS, 0)
    scores = [values(found, detector="msp", dataset=name) for name in ("toy", "odd")]
    grouped = bootstrap.weights(pa.array(clusters), DRAWS, 0).astype(np.float64)
    expected = auroc((scores[0][0], grouped), scores[1])
    row = find(tables, detector="msp", dataset="odd", metric="auroc")
    assert row["draws"] == pytest.approx(expected[1:], abs=1e-12)
    # DeLong's test takes samples as independent.
    assert set(tables.comparisons["p_delong"].to_pylist()) == {None}


def test_scores_of_other_samples_are_refused(tmp_path: Path) -> None:
    plain = records(tmp_path, "toy", "net", "identity", 0.0)
    wrong = replace(scored(plain, "msp"), records=records(tmp_path, "toy", "net", "fog", 1.0, n=40).file)
    with pytest.raises(DataError, match=r"scores of 50 samples, but .*fog.* has 40"):
        aggregate([plain, wrong], METRICS, DRAWS, 0)
    with pytest.raises(ParamsError, match="need one clean ID set .* found 2"):
        aggregate([scored(plain, "msp")] * 2, METRICS, DRAWS, 0)


def test_searches_stand_side_by_side(tmp_path: Path) -> None:
    areas: dict[str, dict[str, float | None]] = {
        "knn": {'{"k":1}': 0.7, '{"k":5}': 0.8, '{"k":99}': None},
        "react": {'{"c":0.9}': 0.6, '{"c":1.0}': 0.6},
    }
    files = {}
    for name, found in areas.items():
        best = list(found.values()).index(max(filter(None, found.values())))
        rows: list[dict[str, object]] = [
            {"number": i, "options": point, "auroc": area, "reason": None if area else "too many", "chosen": i == best,
             "n_id": 40, "n_ood": 30}
            for i, (point, area) in enumerate(found.items())
        ]  # fmt: skip
        files[f"toy/net-s0/plain/{name}"] = tmp_path / f"{name}.parquet"
        schema.write(schema.table(rows, formats.SEARCHES), tmp_path / f"{name}.parquet", "f")
    schema.write(search_tables.table("toys", files), tmp_path / "all", "f", search_tables.SEARCHED)
    made = schema.read(tmp_path / "all", form=search_tables.SEARCHED).to_pylist()
    assert made[1] == {
        "benchmark": "toys", "model": "toy/net-s0", "method": "plain", "detector": "knn", "number": 1,
        "options": '{"k":5}', "auroc": 0.8, "reason": None, "chosen": True, "n_id": 40, "n_ood": 30, "effect": "k",
    }  # fmt: skip
    assert [row["effect"] for row in made] == ["k", "k", "k", "", ""]
    assert len(search_tables.table("toys", {})) == 0
