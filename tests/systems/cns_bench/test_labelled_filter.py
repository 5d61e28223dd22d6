"""The filter with published thresholds: the released rule written out, rates by hand, what is wrong is told."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from makers import miniature_originals
from shiftbench.base.errors import DataError, ParamsError
from shiftbench.base.registry import defaults
from shiftbench.base.sample import Sample
from shiftbench.systems.cns_bench.analyses import labelled_filter
from shiftbench.systems.cns_bench.datasets import cns_labelled

RANDOM = np.random.default_rng(0)
THRESHOLDS = [float(defaults(labelled_filter)[name]) for name in cns_labelled.SCORES]  # type: ignore[arg-type]
SCORES = np.array(THRESHOLDS) * RANDOM.uniform(0.8, 1.2, (300, 4))
OUT = RANDOM.random(300) < 0.3


def measured(scores: np.ndarray, out: np.ndarray) -> list[Any]:
    names = (*cns_labelled.SCORES, cns_labelled.OUT)
    samples = [
        Sample(f"d/test/{at:03d}", {"label": 0, "meta": dict(zip(names, [*row, int(flag)], strict=True))})
        for at, (row, flag) in enumerate(zip(scores.tolist(), out, strict=True))
    ]
    params = {**defaults(labelled_filter), "dataset": "d", "split": "test"}
    job: Any = SimpleNamespace(params=params, samples=lambda _: samples)
    return list(labelled_filter.measure(job))


def mean(rows: list[Any], metric: str, detector: str) -> float:
    return float(np.mean([r.value for r in rows if (r.metric, r.detector) == (metric, detector)]))


def test_thresholds_are_the_published_ones() -> None:
    assert [f"{value:.5g}" for value in THRESHOLDS] == ["28.739", "35.293", "0.80586", "0.78116"]


def test_rates_are_those_of_the_released_rule() -> None:
    rows = measured(SCORES, OUT)
    passes = [[score > at for score, at in zip(row, THRESHOLDS, strict=True)] for row in SCORES]
    rules = {
        "clip_text": [row[0] for row in passes],
        "dino_image": [row[3] for row in passes],
        "keep_2_of_4": [1.0 + row[0] + row[1] + row[2] + row[3] > 2 for row in passes],
        "keep_3_of_4": [row.count(False) < 2 for row in passes],
    }
    for detector, rule in rules.items():
        kept = np.array(rule)
        true, false = np.mean(~kept[OUT]), np.mean(~kept[~OUT])
        assert mean(rows, "true_positive_rate", detector) == pytest.approx(true)
        assert mean(rows, "false_positive_rate", detector) == pytest.approx(false)
        assert mean(rows, "filter_accuracy", detector) == pytest.approx(np.mean(kept != OUT))
        assert mean(rows, "balanced_accuracy", detector) == pytest.approx((true + 1 - false) / 2)
    with pytest.raises(DataError, match="0 of 300 images are out of class"):
        measured(SCORES, np.zeros(300, bool))


def test_the_table_is_read_beside_its_images(tmp_path: Path) -> None:
    _, options = miniature_originals.cns_labelled(tmp_path)
    params = {**defaults(cns_labelled), **options}
    found = list(cns_labelled.samples("test", {}, params))
    assert [sample.fields["meta"]["out_of_class"] for sample in found if isinstance(sample, Sample)] == [0, 0, 1, 1]
    table = Path(options["path"]) / "labels.csv"
    text = table.read_text()
    for old, new, why in (
        ("22,20.0,", "22,nan,", "line 5 of .* is wrong: a score that is not finite"),
        (",0.7,1\n", ",0.7,maybe\n", "line 4 of .* is wrong: 'maybe'"),
        ("seed_0003", "seed_0009", "seed_0009"),
    ):
        table.write_text(text.replace(old, new, 1))
        (bad, *_) = [e for e in cns_labelled.samples("test", {}, params) if isinstance(e, DataError)]
        with pytest.raises(DataError, match=why):
            raise bad
    table.write_text(text.replace("DINO_ref_no_head", "DINO_ref"))
    with pytest.raises(DataError, match="lacks the column 'DINO_ref_no_head'"):
        list(cns_labelled.samples("test", {}, params))
    with pytest.raises(ParamsError, match="option path is missing"):
        list(cns_labelled.samples("test", {}, defaults(cns_labelled)))
