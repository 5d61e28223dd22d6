import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from sklearn import metrics as peer

from makers.random_records import CLASSES, DRAWS, artifact, logits, samples
from shiftbench.base.errors import DuplicateKeyError, ParamsError, RangeError, SchemaError
from shiftbench.data import formats, schema
from shiftbench.plugins.tasks import LabelSpace, classification
from shiftbench.statistics import bootstrap, intervals
from shiftbench.statistics.benchmark_rows import EvaluationFile
from shiftbench.workflow.stages.aggregate import Tables, aggregate

METRICS = {"accuracy": {}, "error": {}, "nll": {}, "brier": {}, "ece": {}, "ece5": {"use": "ece", "bins": 5}}


@pytest.fixture
def benchmark(tmp_path: Path) -> list[EvaluationFile]:
    """Two seeds of one family and one other weights, clean and two shifts at two severities."""
    at = [("identity", 0.0), ("fog", 1.0), ("fog", 3.0), ("snow", 1.0), ("snow", 3.0)]
    names = ("net-erm-s0", "net-erm-s1", "net-mix-s0")
    pairs = enumerate(itertools.product(names, at))
    return [artifact(tmp_path, name, shift, severity, logits(number)) for number, (name, (shift, severity)) in pairs]


def row(tables: Tables, **where: object) -> dict[str, object]:
    frame = pl.from_arrow(tables.metrics)
    assert isinstance(frame, pl.DataFrame)
    found = frame.filter(*(pl.col(name).eq_missing(pl.lit(value)) for name, value in where.items()))
    assert len(found) == 1, found
    return found.to_dicts()[0]


def values_of(tables: Tables, row: dict[str, object]) -> np.ndarray:
    """Replicates of a metric row, by its identity."""
    for found in tables.replicates.to_pylist():
        if all(found[name] == row[name] for name in formats.METRICS.key):
            return np.array(found["draws"], dtype=np.float64)
    raise AssertionError(row)


CLEAN = {"model": "toy/net-erm-s0", "shift": "identity"}


def test_values_and_replicates_agree_with_scikit_learn(benchmark: list[EvaluationFile]) -> None:
    tables = aggregate(benchmark, METRICS, DRAWS, 0)
    keys = pa.array([sample.key for sample in samples()])
    weights = bootstrap.weights(keys, DRAWS, 0)
    label = np.array([sample.fields["label"] for sample in samples()])
    raw = logits(0).astype(np.float64)
    shares = np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True)
    peers = {
        "accuracy": lambda w: peer.accuracy_score(label, shares.argmax(1), sample_weight=w),
        "error": lambda w: peer.zero_one_loss(label, shares.argmax(1), sample_weight=w),
        "nll": lambda w: peer.log_loss(label, shares, sample_weight=w),
        "brier": lambda w: peer.brier_score_loss(label, shares, sample_weight=w, scale_by_half=False),
    }
    for metric, reference in peers.items():
        found = row(tables, metric=metric, **CLEAN)
        expected = [reference(weights[:, draw]) for draw in range(1 + DRAWS)]
        assert found["value"] == pytest.approx(expected[0], abs=1e-8)
        assert values_of(tables, found) == pytest.approx(expected[1:], abs=1e-8)
        assert (found["n"], found["seed"], found["unit"]) == (40, 0, "key")


def test_tables_are_equal_for_any_order_threads_and_batches(
    benchmark: list[EvaluationFile], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = aggregate(benchmark, METRICS, DRAWS, 0)
    monkeypatch.setattr("shiftbench.statistics.benchmark_rows.BATCH_EVALUATIONS", 2)
    monkeypatch.setattr("shiftbench.statistics.contributions.ROWS", 7)
    monkeypatch.setattr("shiftbench.statistics.contributions.RESAMPLES", 9)
    again = aggregate(benchmark[::-1], METRICS, DRAWS, 0, threads=3)
    for name in ("metrics", "replicates", "differences"):
        files = [tmp_path / f"{name}{i}.parquet" for i in range(2)]
        for file, made in zip(files, (tables, again), strict=True):
            schema.write(getattr(made, name), file, "f")
        assert files[0].read_bytes() == files[1].read_bytes()


def test_means_over_seeds(benchmark: list[EvaluationFile]) -> None:
    tables = aggregate(benchmark, METRICS, DRAWS, 0)
    fog = {"shift": "fog", "severity": 3.0, "metric": "nll"}
    seeds = [row(tables, model=f"toy/net-erm-s{seed}", **fog) for seed in (0, 1)]
    mean = row(tables, model="toy/net-erm", **fog)
    assert mean["value"] == sum(one["value"] for one in seeds) / 2  # type: ignore[misc]
    assert mean["seed"] is None
    expected = (values_of(tables, seeds[0]) + values_of(tables, seeds[1])) / 2
    assert np.array_equal(values_of(tables, mean), expected)


def test_paired_differences(benchmark: list[EvaluationFile]) -> None:
    tables = aggregate(benchmark, {"accuracy": {}}, DRAWS, 0)
    found = [one for one in tables.differences.to_pylist() if one["shift"] == "identity"]
    # Seeds with seeds, means with means.
    assert [(one["model_a"], one["model_b"]) for one in found] == [
        ("toy/net-erm", "toy/net-mix"),
        ("toy/net-erm-s0", "toy/net-erm-s1"),
        ("toy/net-erm-s0", "toy/net-mix-s0"),
        ("toy/net-erm-s1", "toy/net-mix-s0"),
    ]
    pair = [row(tables, model=found[2][side], shift="identity") for side in ("model_a", "model_b")]
    gap = values_of(tables, pair[0]) - values_of(tables, pair[1])
    difference = pair[0]["value"] - pair[1]["value"]  # type: ignore[operator]
    both = np.concatenate([[difference], gap])
    low, high, p_value = intervals.of_gap(both, (), intervals.Units(40))
    assert (found[2]["ci_low"], found[2]["ci_high"], found[2]["n"]) == (low, high, 40)
    assert found[2]["difference"] == difference
    assert found[2]["p_value"] == p_value
    # A mean of two seeds, and one that has one: nothing is known of new ones.
    assert (found[0]["ci_low"], found[0]["p_value"]) == (None, None)


def test_the_interval_of_a_mean_is_of_new_seeds(tmp_path: Path) -> None:
    """Of three seeds t, of two none: their values are told."""
    artifacts = [
        artifact(tmp_path, f"{net}-s{seed}", "identity", 0.0, logits(10 * at + seed))
        for at, (net, count) in enumerate((("three", 3), ("two", 2), ("other", 3)))
        for seed in range(count)
    ]
    tables = aggregate(artifacts, {"accuracy": {}}, DRAWS, 0)
    for net, count in (("three", 3), ("two", 2)):
        mean = row(tables, model=f"toy/{net}")
        each = [row(tables, model=f"toy/{net}-s{seed}") for seed in range(count)]
        own = [one["value"] for one in each]
        assert (mean["seeds"], mean["seed_low"], mean["seed_high"]) == (count, min(own), max(own))
        assert {one["seeds"] for one in each} == {None}
        assert (mean["unit"], mean["units"]) == ("key", 40)
        by_seed = np.stack([[one["value"], *values_of(tables, one)] for one in each])
        ends = intervals.of_seed_mean(by_seed, "share", intervals.Units(40))
        shown = np.array([mean["ci_low"], mean["ci_high"]], dtype=float)
        assert shown == pytest.approx(ends, nan_ok=True)
        assert np.isnan(shown).any() == (count == 2)
    found = {(one["model_a"], one["model_b"]): one for one in tables.differences.to_pylist()}
    assert found["toy/three", "toy/two"]["p_value"] is None
    pair = found["toy/other", "toy/three"]
    sides = [
        {n: np.array([one["value"], *values_of(tables, one)]) for n, one in enumerate(each)}
        for each in ([row(tables, model=f"toy/{net}-s{seed}") for seed in range(3)] for net in ("other", "three"))
    ]
    gap = sum(sides[0].values()) - sum(sides[1].values())
    expected = intervals.of_gap(gap / 3, sides, intervals.Units(40))
    assert (pair["ci_low"], pair["ci_high"], pair["p_value"]) == pytest.approx(expected)


def test_differences_match_samples_by_key(tmp_path: Path) -> None:
    # The second weights lack the first ten samples: the pair is computed on the thirty that both have.
    whole, part = logits(1), logits(2)
    artifacts = [
        artifact(tmp_path, "one", "identity", 0.0, whole),
        artifact(tmp_path, "two", "identity", 0.0, part[10:], samples()[10:]),
    ]
    (found,) = aggregate(artifacts, {"accuracy": {}}, DRAWS, 0).differences.to_pylist()
    label = np.array([sample.fields["label"] for sample in samples()])[10:]
    expected = (whole[10:].argmax(1) == label).mean() - (part[10:].argmax(1) == label).mean()
    assert (found["difference"], found["n"]) == (pytest.approx(expected, abs=1e-12), 30)


def test_corruption_errors_by_hand(benchmark: list[EvaluationFile]) -> None:
    options = {"normaliser": "net-mix-s0"}
    wanted = {
        "error": {},
        "accuracy": {},
        "mce": options,
        "relative_mce": options,
        "auc_severity": {},
        "accuracy_drop": {},
    }
    tables = aggregate(benchmark, wanted, DRAWS, 0)

    def error(weights: str, shift: str, severity: float) -> float:
        return row(tables, model=f"toy/{weights}", shift=shift, severity=severity, metric="error")["value"]  # type: ignore[return-value]

    def ratio(shift: str, clean: bool) -> float:
        own, other = (sum(error(name, shift, s) for s in (1.0, 3.0)) for name in ("net-erm-s0", "net-mix-s0"))
        minus = [2 * error(name, "identity", 0.0) * clean for name in ("net-erm-s0", "net-mix-s0")]
        return (own - minus[0]) / (other - minus[1])

    for metric, clean in (("mce", False), ("relative_mce", True)):
        ce = row(tables, metric=metric, model="toy/net-erm-s0", shift="fog")
        assert ce["value"] == pytest.approx(ratio("fog", clean), rel=1e-12)
        mce = row(tables, metric=metric, model="toy/net-erm-s0", shift=None)
        assert mce["value"] == pytest.approx((ratio("fog", clean) + ratio("snow", clean)) / 2, rel=1e-12)
    assert row(tables, metric="mce", model="toy/net-mix-s0", shift=None)["value"] == 1
    levels = [1 - error("net-erm-s0", *at) for at in (("identity", 0.0), ("fog", 1.0), ("fog", 3.0))]
    area = row(tables, metric="auc_severity", model="toy/net-erm-s0", shift="fog")
    assert area["value"] == pytest.approx(peer.auc([0, 1, 3], levels) / 3, rel=1e-12)
    at = {"metric": "accuracy_drop", "model": "toy/net-erm-s0"}
    drops = [levels[0] - level for level in levels[1:]]
    for severity, drop in ((1.0, drops[0]), (3.0, drops[1]), (None, sum(drops) / 2)):
        found = row(tables, **at, shift="fog", severity=severity)
        assert found["value"] == pytest.approx(drop, abs=1e-12)
    both = [
        error("net-erm-s0", shift, s) - error("net-erm-s0", "identity", 0.0)
        for shift in ("fog", "snow")
        for s in (1.0, 3.0)
    ]
    assert row(tables, **at, shift=None)["value"] == pytest.approx(sum(both) / 4, abs=1e-12)


def test_alexnet_has_corruption_errors_of_one(benchmark: list[EvaluationFile]) -> None:
    from shiftbench.plugins.metrics.severity import ALEXNET, LEVELS, mce, relative_mce
    from shiftbench.statistics.rows import Row

    def published(shift: str, severity: float, error: float) -> Row:
        where = None if shift == "identity" else "imagenet/val/identity/0"
        return Row("c", "classification", "alexnet", "plain", None, "imagenet", "val", where, shift, severity, None,
                   None, "error", error, np.full(2, error), 50_000, None, "key")  # fmt: skip

    rows = [published("identity", 0.0, 0.435)]
    for shift, error in ALEXNET.items():
        rows += [published(shift, level, error) for level in LEVELS]
    for metric in (mce, relative_mce):
        found = metric.compute(rows, normaliser="alexnet", shifts=None, of="error")
        assert [one.value for one in found] == pytest.approx([1.0] * 16)
    tables = {"error": {}, "mce": {}}
    with pytest.raises(ParamsError, match=r"'alexnet' has errors .* severities 1 to 5; found fog at 1, 3"):
        aggregate(benchmark, tables, DRAWS, 0)


def test_groups_and_clusters(tmp_path: Path) -> None:
    groups = ["x" if i < 15 else "y" for i in range(40)]
    some = samples(group=groups, cluster=[str(i // 4) for i in range(40)])
    tables = aggregate(
        [artifact(tmp_path, "one", "identity", 0.0, logits(1), some)], {"accuracy": {}, "ece": {}}, DRAWS, 0
    )
    right = logits(1).argmax(1) == [sample.fields["label"] for sample in some]
    found = row(tables, group="x", metric="accuracy")
    assert (found["value"], found["n"], found["unit"]) == (pytest.approx(right[:15].mean()), 15, "cluster")
    weights = bootstrap.weights(pa.array([str(i // 4) for i in range(40)]), DRAWS, 0)[:15, 1:].astype(np.float64)
    with np.errstate(invalid="ignore"):  # a draw may hold none of the four clusters: null
        expected = right[:15] @ weights / weights.sum(axis=0)
    assert np.isnan(expected).any()
    assert values_of(tables, found) == pytest.approx(expected, nan_ok=True)
    assert row(tables, group=None, metric="accuracy")["n"] == 40


def test_missing_is_null(tmp_path: Path) -> None:
    foreign = LabelSpace(CLASSES, ("w", "x", "y", "z"))
    table = classification.rows(samples(), {"logits": logits(1)}, foreign, "full")
    made = artifact(tmp_path, "one", "identity", 0.0, logits(1))
    schema.write(table, made.file, "f")
    empty = artifact(tmp_path, "two", "identity", 0.0, logits(1)[:0])
    for found in aggregate([made, empty], METRICS, DRAWS, 0).metrics.to_pylist():
        assert (found["value"], found["ci_low"], found["ci_high"], found["n"]) == (None, None, None, 0)


def test_one_sample_has_no_interval(tmp_path: Path) -> None:
    tables = aggregate([artifact(tmp_path, "one", "identity", 0.0, logits(1)[:1])], {"accuracy": {}}, DRAWS, 0)
    found = row(tables, metric="accuracy")
    assert (found["n"], found["ci_low"], found["ci_high"]) == (1, None, None)
    assert found["value"] in (0, 1)


def scores(folder: Path, dataset: str, values: list[float], weights: str = "one", *, ood: bool) -> EvaluationFile:
    file = folder / f"{dataset}.{weights}.scores.parquet"
    keys = [f"{dataset}/test/{i:03d}" for i in range(len(values))]
    schema.write(pa.table({"key": keys, "score": values}, schema=formats.SCORES.arrow), file, "f")
    who = ("toys", "classification", f"toy/{weights}", "plain")
    return EvaluationFile(*who, dataset, "test", "identity", 0.0, file, detector="msp", ood=ood)


def test_detection(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    inside, outside = (random.integers(0, 9, 60).astype(float), random.integers(3, 12, 50).astype(float))
    artifacts = [scores(tmp_path, "toy", list(inside), ood=False), scores(tmp_path, "other", list(outside), ood=True)]
    tables = aggregate(artifacts, {"auroc": {}}, DRAWS, 0)
    found = row(tables, metric="auroc")
    assert (found["reference"], found["dataset"], found["n"]) == ("toy/test/identity/0", "other", 110)
    truth = np.repeat([0, 1], [60, 50])
    keys = [[f"{name}/test/{i:03d}" for i in range(n)] for name, n in (("toy", 60), ("other", 50))]
    weights = np.concatenate([bootstrap.weights(pa.array(some), DRAWS, 0) for some in keys])
    expected = [peer.roc_auc_score(truth, [*inside, *outside], sample_weight=w) for w in weights.T]
    assert found["value"] == pytest.approx(expected[0], abs=1e-12)
    assert values_of(tables, found) == pytest.approx(expected[1:], abs=1e-12)


def test_bad_input(benchmark: list[EvaluationFile], tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="mce is computed from 'error', which is not asked for"):
        aggregate(benchmark, {"mce": {"normaliser": "net-mix-s0"}, "accuracy": {}}, DRAWS, 0)
    with pytest.raises(ParamsError, match=r"normaliser 'net-mx-s0' has no errors.*did you mean net-mix-s0"):
        aggregate(benchmark, {"mce": {"normaliser": "net-mx-s0"}, "error": {}}, DRAWS, 0)
    with pytest.raises(ParamsError, match=r"metrics.ece: unknown option 'bin' \(did you mean bins"):
        aggregate(benchmark, {"ece": {"bin": 3}}, DRAWS, 0)
    with pytest.raises(ParamsError, match=r"need one clean ID set of toy/one .*; found 0"):
        aggregate([scores(tmp_path, "other", [1.0], ood=True)], {"auroc": {}}, DRAWS, 0)
    bad = [scores(tmp_path, "toy", [1.0], ood=False), scores(tmp_path, "other", [np.nan], ood=True)]
    with pytest.raises(RangeError, match="score of sample 'other/test/000' is not finite"):
        aggregate(bad, {"auroc": {}}, DRAWS, 0)
    with pytest.raises(SchemaError, match=r"toy.one.scores.parquet"):
        aggregate([replace(benchmark[0], file=bad[0].file)], METRICS, DRAWS, 0)


def test_duplicate_keys_are_refused(benchmark: list[EvaluationFile]) -> None:
    import pyarrow.parquet as pq

    table = pq.read_table(benchmark[0].file)
    facts = pq.read_metadata(benchmark[0].file).metadata
    with pq.ParquetWriter(benchmark[0].file, table.schema) as writer:
        writer.write_table(pa.concat_tables([table, table.slice(3, 1)]))
        writer.add_key_value_metadata({key: value for key, value in facts.items() if key.startswith(b"shiftbench")})
    with pytest.raises(DuplicateKeyError, match="two rows have the key 'toy/test/003'"):
        aggregate(benchmark, METRICS, DRAWS, 0)


def test_without_draws_there_are_values_only(benchmark: list[EvaluationFile]) -> None:
    tables = aggregate(benchmark, {"error": {}, "mce": {"normaliser": "net-mix"}}, 0, 0)
    assert row(tables, metric="mce", model="toy/net-mix", shift=None)["value"] == 1
    assert tables.metrics["ci_low"].null_count == len(tables.metrics)
    assert tables.differences["p_value"].null_count == len(tables.differences)
    assert len(aggregate([], {"error": {}}, 10, 0).metrics) == 0
