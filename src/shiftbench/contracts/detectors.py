import dataclasses

import numpy as np
import pyarrow as pa
import pytest

from shiftbench.base import registry
from shiftbench.base.errors import DataError, ModelError, ParamsError
from shiftbench.base.registry import defaults
from shiftbench.base.sample import Sample
from shiftbench.contracts import names
from shiftbench.data import formats
from shiftbench.plugins.detectors._rows import Head, Known, Rows
from shiftbench.plugins.tasks import LabelSpace, classification
from shiftbench.workflow.stages import detector_search
from shiftbench.workflow.stages.score import score_cell, scored

NAMES = names("detectors")
KEPT = [name for name in NAMES if "net" not in registry.find("detectors", name).NEEDS]
CLASSES = tuple("abcd")
HEAD = Head(np.random.default_rng(9).normal(size=(4, 16)), np.array([0.1, -0.2, 0.0, 0.3]))


def rows(n: int, seed: int) -> Rows:
    random = np.random.default_rng(seed)
    labels = np.arange(n) % 4
    features = np.maximum(random.normal(size=(n, 16)) + 1.5 * (HEAD.weight[labels] > 0.5), 0)
    features = features.astype(np.float32)
    logits = HEAD(features.astype(np.float64)).astype(np.float32)
    some = [Sample(f"toy/test/{i:04d}", {"label": int(label)}) for i, label in enumerate(labels)]
    table = classification.rows(some, {"logits": logits}, LabelSpace(CLASSES, CLASSES), "full")
    return Rows(table, features, logits, HEAD, name="toy")


KNOWN = Known({"train": rows(1200, 2), "val": rows(200, 3)})
SOME = rows(60, 1)


def part(whole: Rows, order: np.ndarray) -> Rows:
    taken = whole.table.take(pa.array(order))
    return Rows(taken, whole.features[order], whole.logits[order], whole.linear, name=whole.name)


@pytest.mark.parametrize("name", NAMES)
def test_declarations(name: str) -> None:
    detector = registry.find("detectors", name)
    assert "Source:" in detector.__doc__
    assert set(detector.NEEDS) <= {"logits", "features", "head", "net"}
    assert set(getattr(detector, "FIT", ())) <= {"train", "val"}
    grid = getattr(detector, "GRID", {})
    assert set(grid) <= set(defaults(detector))
    assert set(getattr(detector, "FIT_PARAMS", ())) <= set(defaults(detector))
    assert all(isinstance(values, list) and values for values in grid.values())
    assert len(list(detector_search.grid_points(grid))) <= 100


@pytest.mark.parametrize("name", KEPT)
def test_scores_depend_on_nothing_but_the_sample(name: str) -> None:
    detector = registry.find("detectors", name)
    scores = score_cell(detector, {}, SOME, KNOWN)
    assert scores.schema.equals(formats.SCORES.arrow)
    assert score_cell(detector, {}, SOME, KNOWN).equals(scores)
    # On neighbours, their order, and how many are scored at once:
    order = np.random.default_rng(0).permutation(60)[:20]
    expected = scores["score"].to_numpy()[order]
    found = score_cell(detector, {}, part(SOME, order), KNOWN)["score"]
    assert np.allclose(found, expected, rtol=1e-6, atol=1e-9)
    alone = score_cell(detector, {}, part(SOME, order[:1]), KNOWN)["score"]
    assert np.allclose(alone, expected[:1], rtol=1e-6, atol=1e-9)
    # On its label:
    hidden = SOME.table.set_column(1, "label", pa.array([-1] * 60, pa.int32()))
    blind = dataclasses.replace(SOME, table=hidden)
    assert score_cell(detector, {}, blind, KNOWN).equals(scores)
    assert len(score_cell(detector, {}, part(SOME, order[:0]), KNOWN)) == 0


@pytest.mark.parametrize("name", KEPT)
def test_what_is_far_scores_higher(name: str) -> None:
    """Features that no class has, of the same size: each sample's own, in another order."""
    detector = registry.find("detectors", name)
    far = np.random.default_rng(9).permuted(SOME.features, axis=1)
    logits = HEAD(far.astype(np.float64)).astype(np.float32)
    table = classification.rows(
        [Sample(f"far/test/{i:04d}", {"label": 0}) for i in range(60)],
        {"logits": logits},
        LabelSpace(CLASSES, ("other",)),
        "full",
    )
    outside = Rows(table, far, logits, HEAD, name="far")
    state = detector.fit(KNOWN, dict(defaults(detector)))
    inside, other = (
        scored(detector, dict(defaults(detector)), some, state)["score"].to_numpy() for some in (SOME, outside)
    )
    medians = np.median(other), np.median(inside)
    assert medians[0] > medians[1] or (medians == (0, 0) and other.mean() > inside.mean())


@pytest.mark.parametrize("name", KEPT)
def test_every_point_of_the_grid_can_be_used_or_says_why(name: str) -> None:
    detector = registry.find("detectors", name)
    for point in detector_search.grid_points(getattr(detector, "GRID", {})):
        try:
            score_cell(detector, point, SOME, KNOWN)
        except ParamsError as error:
            assert any(key in str(error) for key in point)  # noqa: PT017 - either outcome is right


@pytest.mark.parametrize("name", [name for name in KEPT if registry.find("detectors", name).NEEDS])
def test_what_is_lacking_is_named(name: str) -> None:
    detector = registry.find("detectors", name)
    needs = detector.NEEDS
    if "features" in needs:
        with pytest.raises(DataError, match="needs features"):
            score_cell(detector, {}, dataclasses.replace(SOME, beside=None), Known(_without_features()))
    if "head" in needs:
        bare = {split: dataclasses.replace(some, linear=None) for split, some in KNOWN.splits.items()}
        with pytest.raises(ModelError, match="linear layer"):
            score_cell(detector, {}, dataclasses.replace(SOME, linear=None), Known(bare))
    if "features" in needs and getattr(detector, "FIT", ()):
        broken = {split: _with_nan(some) for split, some in KNOWN.splits.items()}
        with pytest.raises((DataError, ModelError), match="toy/test/0003"):
            score_cell(detector, {}, SOME, Known(broken))


def _without_features() -> dict[str, Rows]:
    return {split: dataclasses.replace(some, beside=None) for split, some in KNOWN.splits.items()}


def _with_nan(some: Rows) -> Rows:
    features = some.features.copy()
    features[3, 5] = np.nan
    return dataclasses.replace(some, beside=features)
