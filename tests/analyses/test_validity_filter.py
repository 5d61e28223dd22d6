"""A validity filter: thresholds, both votes, and the analysis that judges them, each written out."""

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from shiftbench.base import refs
from shiftbench.base.errors import ParamsError
from shiftbench.base.registry import defaults
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.data import splits
from shiftbench.systems.cns_bench.analyses import _validity, validity_filter

RANDOM = np.random.default_rng(0)
OUT = RANDOM.random(200) < 0.4
GIVEN = RANDOM.normal(size=(200, 4)) - 1.3 * OUT[:, None]


def test_each_threshold_alone_removes_the_share_of_ooc_images_and_no_more_than_it_must() -> None:
    for recall in (0.5, 0.9, 1.0):
        thresholds = _validity.fit_thresholds(GIVEN, OUT, recall)
        for at, threshold in enumerate(thresholds):
            removed = np.mean(GIVEN[OUT, at] <= threshold)
            assert recall <= removed < recall + 1 / OUT.sum()
    with pytest.raises(ParamsError, match="OOC images"):
        _validity.fit_thresholds(GIVEN, np.zeros(200, bool), 0.9)


def test_both_votes_and_the_released_code() -> None:
    thresholds = _validity.fit_thresholds(GIVEN, OUT, 0.9)
    code, text = (_validity.Filter(thresholds, k) for k in (2, _validity.keep_at(2, 4)))
    for scores in GIVEN:
        passed = [score > threshold for score, threshold in zip(scores, thresholds, strict=True)]
        released = 1.0 + sum(passed) > 2  # as metrics_computer.py counts
        assert code.keeps(scores[None])[0] == released
        assert code.keeps(scores[None])[0] == (passed.count(False) < 3)
        assert text.keeps(scores[None])[0] == (passed.count(False) < 2)
    assert text.keeps(GIVEN).sum() < code.keeps(GIVEN).sum()


def test_rates_and_whole_paths_by_hand() -> None:
    kept, out = (np.array([True, True, False, False, False]), np.array([False, False, False, True, True]))
    assert _validity.rates(kept, out) == {
        "true_positive_rate": 1.0,
        "false_positive_rate": pytest.approx(1 / 3),
        "balanced_accuracy": pytest.approx((1 + 2 / 3) / 2),
    }
    assert math.isnan(_validity.rates(kept[:2], out[:2])["balanced_accuracy"])
    assert _validity.whole(kept, ["p", "q", "q", "p", "r"]).tolist() == [False] * 5
    assert _validity.whole(kept, ["p", "p", "q", "r", "r"]).tolist() == [True, True, False, False, False]


def test_scores_are_their_equations() -> None:
    shown, reference = (
        {"logits": RANDOM.normal(size=(6, 3)), "features": RANDOM.normal(size=(6, 5))} for _ in range(2)
    )
    labels = np.array([0, 1, 2, 0, 1, 2])
    for i in range(6):
        row = shown["logits"][i]
        log = row[labels[i]] - math.log(sum(math.exp(x) for x in row))
        a, b = shown["features"][i], reference["features"][i]
        soft = [np.exp(x) / np.exp(x).sum() for x in (a, b)]
        expected = {
            "log_probability": log,
            "logit": row[labels[i]],
            "cosine": a @ b / math.sqrt((a @ a) * (b @ b)),
            "softmax_cosine": soft[0] @ soft[1] / math.sqrt((soft[0] @ soft[0]) * (soft[1] @ soft[1])),
        }
        for kind, wanted in expected.items():
            assert _validity.value(kind, shown, reference, labels)[i] == pytest.approx(wanted)
    with pytest.raises(ParamsError, match="cosine"):
        _validity.scores({"x": {"of": "cosin", "model": "d/m-t"}})


NAMES = ("p", "q", "r", "s")


def job(scores_of: Callable[[str, str, float], list[float]], **params: Any) -> Any:
    """Return a measurement of thirty images whose four nets say as a logit what `scores_of` says."""
    keys = [f"d/{number:02d}" for number in range(30)]

    def samples(ref: Any) -> list[Sample]:
        _, _, shift, severity = ref.parts
        place = shift, float(severity)
        return [Sample(key, {"label": 0, "meta": {"at": place}}) for key in keys]

    def predictor(ref: Any) -> Any:
        at = NAMES.index(ref.parts[1].partition("-")[0])

        def predict(batch: list[Sample]) -> dict[str, np.ndarray]:
            logits = [[scores_of(s.key, *s.fields["meta"]["at"])[at]] for s in batch]
            return {"logits": np.array(logits), "features": np.ones((len(batch), 2))}

        return predict

    scores = {name: {"of": "logit", "model": f"d/{name}-erm"} for name in NAMES}
    context = {"dataset": "d", "split": "test", "scores": scores}
    options = {**defaults(validity_filter), **context, **params}
    return SimpleNamespace(params=options, samples=samples, predictor=predictor, seed=0)


def say(key: str, shift: str, severity: float) -> list[float]:
    rng = RandomStream(0, shift, f"{severity}", key).normal(4)
    return (rng - severity).tolist()


def mean(rows: list[Any], metric: str, detector: str, **place: Any) -> float:
    found = [
        row.value for row in rows if (row.metric, row.detector) == (metric, detector)
        and all(getattr(row, name) == wanted for name, wanted in place.items())
    ]  # fmt: skip
    assert found
    return float(np.mean(found))


def test_analysis_is_the_filter_written_out() -> None:
    params = {"applied": {"fog": [1.0, 2.0]}, "recall": 0.8}
    rows = list(validity_filter.measure(job(say, **params)))
    keys = [f"d/{number:02d}" for number in range(30)]
    fit = [key for key in keys if splits.unit("calibration", key) < 0.5]
    rest = [key for key in keys if key not in fit]
    assert {row.key for row in rows} == set(rest)
    inside, outside = (0.125, 0.375, 0.625, 0.875), (1.625, 1.875, 2.125, 2.375)
    known = np.array([say(key, "class_morph", s) for s in outside for key in fit])
    thresholds = [sorted(column)[math.ceil(0.8 * len(column)) - 1] for column in known.T]

    def kept(key: str, shift: str, severity: float, k: int) -> bool:
        return sum(s > t for s, t in zip(say(key, shift, severity), thresholds, strict=True)) >= k

    for k in (1, 2, 3, 4):
        true = np.mean([not kept(key, "class_morph", s, k) for s in outside for key in rest])
        false = np.mean([not kept(key, "class_morph", s, k) for s in inside for key in rest])
        vote = f"keep_{k}_of_4"
        assert mean(rows, "true_positive_rate", vote) == pytest.approx(true)
        assert mean(rows, "false_positive_rate", vote) == pytest.approx(false)
        assert mean(rows, "balanced_accuracy", vote) == pytest.approx((true + 1 - false) / 2)
        share = np.mean([kept(key, "fog", 2.0, k) for key in rest])
        assert mean(rows, "kept_share", vote, shift="fog", severity=2.0) == pytest.approx(share)
        whole = [kept(key, "identity", 0.0, k) and all(kept(key, "fog", s, k) for s in (1.0, 2.0)) for key in rest]
        assert mean(rows, "kept_share", vote, shift="fog", severity=None) == pytest.approx(np.mean(whole))
    alone = np.mean([say(key, "class_morph", s)[1] <= thresholds[1] for s in outside for key in rest])
    assert mean(rows, "true_positive_rate", "q") == pytest.approx(alone)
    path = np.array([[say(key, "class_morph", s)[0] for s in (*inside, *outside)] for key in rest])
    assert mean(rows, "monotone_rate", "p") == pytest.approx((np.diff(path) < 0).mean())


def test_thresholds_know_the_calibration_half_only() -> None:
    def other(key: str, shift: str, severity: float) -> list[float]:
        own = say(key, shift, severity)
        return own if splits.unit("calibration", key) < 0.5 else [-score for score in own]

    found = {}
    for name, scores_of in (("say", say), ("other", other)):
        given = job(scores_of)
        images = validity_filter._Images(given)
        fits = np.array([splits.unit("calibration", key) < 0.5 for key in images.keys])
        morphs = images.under("class_morph", [0.125, 2.375])[:, fits]
        out = np.array([False, True])
        found[name] = validity_filter._thresholds(given.params, images.names, morphs, out)
    assert np.array_equal(found["say"], found["other"])
    rows = [list(validity_filter.measure(job(scores_of))) for scores_of in (say, other)]
    assert [row.value for row in rows[0]] != [row.value for row in rows[1]]


def test_given_thresholds_are_used_and_what_is_missing_is_said() -> None:
    released = dict.fromkeys(NAMES, -100.0)
    rows = list(validity_filter.measure(job(say, thresholds=released)))
    assert mean(rows, "false_positive_rate", "keep_4_of_4") == 0
    with pytest.raises(ParamsError, match="thresholds are for p"):
        list(validity_filter.measure(job(say, thresholds={"p": 0.0})))
    with pytest.raises(ParamsError, match="as many severities"):
        validity_filter.needs({**job(say).params, "in_class": [0.5]})
    needed = validity_filter.needs({**job(say, applied={"fog": [1]}).params})
    assert refs.checkpoint("d", "p", "erm", 0) in needed
    assert refs.shards("d", "test", "fog", 1) in needed
    assert len(needed) == len(set(needed)) == 4 + 1 + 8 + 1
