"""Failure points: worked by hand, against a literal version, joined by key, paired, and what has none."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from shiftbench.base import registry
from shiftbench.base.errors import ParamsError
from shiftbench.base.sample import Sample
from shiftbench.data import schema
from shiftbench.plugins.tasks import LabelSpace, classification
from shiftbench.statistics import bootstrap
from shiftbench.statistics.benchmark_rows import EvaluationFile
from shiftbench.statistics.contributions import weighted_sums
from shiftbench.statistics.rows import Rows, SeverityPath
from shiftbench.workflow.stages.aggregate import Tables, aggregate

ASKED: dict[str, dict[str, Any]] = {"failure_point": {}, "failure_share": {}}
SPACE = LabelSpace(("a", "b"), ("a", "b"))
Answers = dict[str, bool | None]
"""Right or wrong by key; None where the label is none of the model's classes."""


def artifact(
    folder: Path,
    weights: str,
    severity: float,
    answers: Answers,
    groups: dict[str, str] | None = None,
    shift: str = "fog",
) -> EvaluationFile:
    """Write the records of an artifact; at severity 0 the clean one."""
    shift = shift if severity else "identity"
    file = folder / weights / f"{shift}{severity}.parquet"
    file.parent.mkdir(parents=True, exist_ok=True)
    samples = [
        Sample(key, {"label": 2 if right is None else 0, "meta": {"group": (groups or {}).get(key)}})
        for key, right in answers.items()
    ]
    space = LabelSpace(("a", "b"), ("a", "b", "c")) if None in answers.values() else SPACE
    logits = np.array([[1, 0] if right else [0, 1] for right in answers.values()], np.float32)
    schema.write(classification.rows(samples, {"logits": logits}, space, "full"), file, "f")
    reference = "toy/test/identity/0" if severity else None
    who = ("toys", "classification", f"toy/{weights}", "plain", "toy", "test")
    return EvaluationFile(*who, shift, severity, file, reference)


def path(folder: Path, weights: str, right: dict[float, str], **more: Any) -> list[EvaluationFile]:
    """Write a path whose answers are spelled: 1 right, 0 wrong, - no label; samples a, b, c, ..."""
    spelled = {"1": True, "0": False, "-": None}
    return [
        artifact(folder, weights, severity, {f"k{i}": spelled[c] for i, c in enumerate(line)}, **more)
        for severity, line in right.items()
    ]


def rows(tables: Tables, **where: object) -> list[dict[str, Any]]:
    frame = pl.from_arrow(tables.metrics)
    assert isinstance(frame, pl.DataFrame)
    found = frame.filter(*(pl.col(name).eq_missing(pl.lit(value)) for name, value in where.items()))
    return found.to_dicts()


def point(tables: Tables, **where: object) -> dict[str, Any]:
    (found,) = rows(tables, metric="failure_point", **{"group": None, "shift": "fog", **where})
    return found


def draws_of(tables: Tables, **where: object) -> np.ndarray:
    (found,) = (
        row for row in tables.replicates.to_pylist() if all(row[name] == value for name, value in where.items())
    )
    return np.array(found["draws"], dtype=np.float64)


WORKED = {  # of six samples
    "net-erm-s0": {0.0: "111110", 1.0: "111011", 3.0: "110110", 5.0: "101110"},
    "net-mix-s0": {0.0: "111111", 1.0: "111111", 3.0: "111111", 5.0: "111100"},
}


def test_value_by_hand(tmp_path: Path) -> None:
    tables = aggregate([one for name, right in WORKED.items() for one in path(tmp_path, name, right)], ASKED, 0, 0)
    # erm: the sixth is wrong without shift and does not count. The others are first wrong nowhere (5 + 2 = 7), at
    # 5, at 3 (right again at 5), at 1 (and right again), nowhere: (7 + 5 + 3 + 1 + 7) / 5.
    erm = point(tables, model="toy/net-erm-s0")
    assert (erm["value"], erm["n"], erm["unit"]) == (pytest.approx(4.6), 5, "key")
    assert (erm["shift"], erm["severity"], erm["reference"]) == ("fog", None, "toy/test/identity/0")
    # mix: four never fail, two at 5: (4 x 7 + 2 x 5) / 6
    assert point(tables, model="toy/net-mix-s0")["value"] == pytest.approx(38 / 6)
    (paired,) = (
        row
        for row in tables.differences.to_pylist()
        if row["metric"] == "failure_point" and row["shift"] and row["model_a"].endswith("-s0")
    )
    assert (paired["model_a"], paired["model_b"]) == ("toy/net-erm-s0", "toy/net-mix-s0")
    assert paired["difference"] == pytest.approx(4.6 - 38 / 6)


def test_histogram_by_hand(tmp_path: Path) -> None:
    tables = aggregate(path(tmp_path, "net-erm-s0", WORKED["net-erm-s0"]), ASKED, 0, 0)
    shares = rows(tables, metric="failure_share", model="toy/net-erm-s0")
    assert {row["severity"]: row["value"] for row in shares} == {1.0: 0.2, 3.0: 0.2, 5.0: 0.2}


def test_steps_as_in_cns_bench(tmp_path: Path) -> None:
    # Scales 0 to 2.5 in steps of 0.5; what never fails counts 3.0.
    right = dict.fromkeys((0.0, 0.5, 1.0, 1.5, 2.0, 2.5), "11") | {1.5: "10"}
    assert point(aggregate(path(tmp_path, "n-e-s0", right), ASKED, 0, 0), model="toy/n-e-s0")["value"] == pytest.approx(
        (3.0 + 1.5) / 2
    )


def literal(answers: dict[float, Answers], weights: dict[str, int]) -> tuple[float, dict[float, float]]:
    """Return the mean failure point and the histogram, one sample after another."""
    severities = sorted(answers)
    total, count = 0.0, 0
    failed = dict.fromkeys(severities[1:], 0)
    for key, weight in weights.items():
        along = [answers[severity].get(key) for severity in severities]
        if any(key not in answers[severity] for severity in severities) or None in along:
            continue
        if not along[0]:
            continue
        wrong = [s for s, right in zip(severities, along, strict=True) if not right]
        last = severities[-1] + (severities[-1] - severities[-2])
        total += weight * (min(wrong) if wrong else last)
        count += weight
        if wrong:
            failed[min(wrong)] += weight
    return total / count, {severity: number / count for severity, number in failed.items()}


def random_path(seed: int, n: int = 60) -> dict[float, Answers]:
    """Return answers that get worse, in another order at each severity, each with some keys missing."""
    random = np.random.default_rng(seed)
    keys = [f"k{i:02d}" for i in range(n)]
    found: dict[float, Answers] = {}
    for severity in (0.0, 0.7, 1.0, 2.5):
        some = random.permutation(keys)[: n - 4]
        found[severity] = {str(key): bool(random.random() > severity / 4 + 0.1) for key in some}
    return found


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_replicates_agree_with_a_literal_version(tmp_path: Path, seed: int) -> None:
    answers = random_path(seed)
    artifacts = [artifact(tmp_path, "net-e-s0", severity, found) for severity, found in answers.items()]
    tables = aggregate(artifacts, ASKED, 30, 7)
    keys = sorted(answers[0.0])
    matrix = bootstrap.weights(pa.array(keys), 30, 7)
    expected = [literal(answers, dict(zip(keys, matrix[:, draw].tolist(), strict=True))) for draw in range(31)]
    where = {"metric": "failure_point", "model": "toy/net-e-s0", "shift": "fog"}
    assert point(tables, model="toy/net-e-s0")["value"] == pytest.approx(expected[0][0])
    assert draws_of(tables, **where) == pytest.approx([value for value, _ in expected[1:]])
    for severity in (0.7, 1.0, 2.5):
        at = {"metric": "failure_share", "model": "toy/net-e-s0", "severity": severity}
        assert draws_of(tables, **at) == pytest.approx([found[severity] for _, found in expected[1:]])


def test_mean_is_that_of_the_histogram(tmp_path: Path) -> None:
    artifacts = [artifact(tmp_path, "n-e-s0", s, found) for s, found in random_path(5).items()]
    tables = aggregate(artifacts, ASKED, 20, 0)
    mean = draws_of(tables, metric="failure_point", model="toy/n-e-s0", shift="fog")
    shares = {s: draws_of(tables, metric="failure_share", model="toy/n-e-s0", severity=s) for s in (0.7, 1.0, 2.5)}
    never = 1 - sum(shares.values())
    assert mean == pytest.approx(sum(s * share for s, share in shares.items()) + 4.0 * never)


def test_tables_are_equal_for_any_order_and_threads(tmp_path: Path) -> None:
    artifacts = [
        one
        for name, right in WORKED.items()
        for shift in ("fog", "snow")
        for one in path(tmp_path, name, right, shift=shift)[shift == "snow" :]
    ]
    first, again = (aggregate(artifacts, ASKED, 20, 0), aggregate(artifacts[::-1], ASKED, 20, 0, threads=3))
    assert len(rows(first, metric="failure_point", seed=0)) == 6
    for name in ("metrics", "replicates", "differences"):
        files = [tmp_path / f"{name}{i}.parquet" for i in range(2)]
        for file, made in zip(files, (first, again), strict=True):
            schema.write(getattr(made, name), file, "f")
        assert files[0].read_bytes() == files[1].read_bytes()


def test_groups_and_samples_without_a_label(tmp_path: Path) -> None:
    groups = {"k0": "x", "k1": "x", "k2": "y", "k3": "y"}
    right = {0.0: "111-", 1.0: "101-", 2.0: "100-"}
    tables = aggregate(path(tmp_path, "n-e-s0", right, groups=groups), ASKED, 0, 0)
    seeds = {"model": "toy/n-e-s0"}
    found = {group: point(tables, group=group, **seeds) for group in (None, "x", "y")}
    # never (3), at 1, at 2; the fourth has no label
    assert {group: row["value"] for group, row in found.items()} == {None: 2.0, "x": 2.0, "y": 2.0}
    assert [row["n"] for row in found.values()] == [3, 2, 1]


def test_of_nothing_there_is_no_value(tmp_path: Path) -> None:
    tables = aggregate(path(tmp_path, "n-e-s0", {0.0: "00", 1.0: "11"}), ASKED, 5, 0)
    found = point(tables, model="toy/n-e-s0")
    assert (found["value"], found["ci_low"], found["n"]) == (None, None, 0)


def test_seeds_are_meaned(tmp_path: Path) -> None:
    artifacts = path(tmp_path, "n-e-s0", {0.0: "11", 1.0: "10"}) + path(tmp_path, "n-e-s1", {0.0: "11", 1.0: "00"})
    assert point(aggregate(artifacts, ASKED, 0, 0), model="toy/n-e")["value"] == pytest.approx(1.25)


def test_shifts_are_meaned(tmp_path: Path) -> None:
    right = {0.0: "11", 1.0: "10", 2.0: "10"}
    artifacts = path(tmp_path, "n-e-s0", right) + path(tmp_path, "n-e-s0", {0.0: "11", 4.0: "11"}, shift="snow")[1:]
    tables = aggregate(artifacts, ASKED, 9, 0)
    values = [point(tables, model="toy/n-e-s0", shift=shift)["value"] for shift in ("fog", "snow", None)]
    assert values == [2.0, 8.0, 5.0]  # (3 + 1) / 2, never: 4 + 4, their mean
    drawn = [draws_of(tables, metric="failure_point", model="toy/n-e-s0", shift=shift)
             for shift in ("fog", "snow", None)]  # fmt: skip
    assert drawn[2] == pytest.approx((drawn[0] + drawn[1]) / 2, nan_ok=True)


def test_what_is_no_path_has_no_row(tmp_path: Path) -> None:
    clean, fog = path(tmp_path, "n-e-s0", {0.0: "11", 1.0: "10"})
    for other in (replace(fog, severity=None), replace(fog, severity=0.0), replace(fog, step=1)):
        assert not rows(aggregate([clean, other], ASKED, 0, 0), metric="failure_point")
    with pytest.raises(ParamsError, match=r"no records of toy/test/identity/0, where the path of fog begins"):
        aggregate([fog], ASKED, 0, 0)


@pytest.mark.parametrize("name", ["failure_point", "failure_share"])
def test_order_and_copies_as_of_every_metric(name: str) -> None:
    metric = registry.find("metrics", name)
    random = np.random.default_rng(0)
    right = [random.random(50) > share for share in (0.1, 0.3, 0.6)]

    def values(order: np.ndarray, weights: np.ndarray | None = None) -> dict[float | None, np.ndarray]:
        tables = [pa.table({"correct": column[order]}) for column in right]
        along = SeverityPath((0.0, 1.0, 2.0), tuple(Rows(table) for table in tables))
        each = np.ones((len(order), 1), dtype=np.uint8) if weights is None else weights
        (sums,) = weighted_sums([metric.reduce(along)], each)
        found: dict[float | None, np.ndarray] = metric.finish(sums, along)
        return found

    weights = random.poisson(1, (50, 1)).astype(np.uint8)
    whole, drawn = values(np.arange(50)), values(np.arange(50), weights)
    shuffled, copies = (values(random.permutation(50)), values(np.repeat(np.arange(50), weights[:, 0])))
    for severity in whole:
        assert np.array_equal(shuffled[severity], whole[severity])
        assert np.array_equal(copies[severity], drawn[severity])
        assert np.isnan(values(np.arange(0))[severity]).all()
        assert metric.RANGE[0] <= whole[severity][0] <= (metric.RANGE[1] or np.inf)
