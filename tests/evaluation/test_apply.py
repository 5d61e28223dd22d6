"""A shift applied to samples: its random words, its originals, what it cannot change."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from shiftbench.base import refs
from shiftbench.base.errors import DataError, RangeError
from shiftbench.base.sample import Sample
from shiftbench.evaluation.apply_shift import Shifter

SAMPLE = Sample("noise/test/1", {"image": np.zeros((4, 4), np.uint8), "label": 1})


def shifter(module: Any, **over: Any) -> Shifter:
    given = {"name": "some", "options": {}, "severity": 3, "seed": 0, "dataset": "noise"} | over
    return Shifter(module, **given)


def drawing(field: str | None = "image", **more: Any) -> Any:
    """A shift that adds random bytes."""

    def apply(value: Any, severity: float, words: Any) -> Any:
        return value + words.words16(16).reshape(4, 4).astype(np.uint8)

    return SimpleNamespace(__name__="drawing", FIELD=field, apply=apply, **more)


def test_words_belong_to_seed_name_dataset_and_key():
    first = shifter(drawing())(SAMPLE).fields["image"]
    assert np.array_equal(shifter(drawing(), severity=5)(SAMPLE).fields["image"], first)
    assert np.array_equal(shifter(drawing(), severity=3.0)(SAMPLE).fields["image"], first)
    for other in ({"seed": 1}, {"name": "other"}, {"dataset": "silence"}, {"fresh": True}):
        assert not np.array_equal(shifter(drawing(), **other)(SAMPLE).fields["image"], first)


def test_a_shift_that_reads_originals_gets_their_folders(monkeypatch):
    def apply(value, severity, words, *, grain, sources):
        return value + len(sources["textures"].name) + grain

    module = SimpleNamespace(FIELD="image", SOURCES=("textures",), apply=apply)
    monkeypatch.setattr("shiftbench.base.registry.find", lambda *_: module)
    spec = {"name": "some", "use": "some", "options": {"grain": 2}}
    recipe = {"shift": spec, "severity": 1.0, "seed": 0, "fresh": False}
    inputs = {
        refs.shards("noise", "test"): Path("shards/manifest.json"),
        refs.sources("textures"): Path("sources/textures/manifest.json"),
    }
    shifted = Shifter.of(recipe, "noise", inputs)(SAMPLE)
    assert shifted.fields["image"].max() == len("textures") + 2


def test_a_shift_that_asks_a_model_gets_where_it_lies(monkeypatch):
    def apply(value, severity, words, *, inputs=None):
        return value + len(inputs)

    module = SimpleNamespace(FIELD="image", INPUTS=True, apply=apply)
    monkeypatch.setattr("shiftbench.base.registry.find", lambda *_: module)
    recipe = {"shift": {"name": "some", "use": "some", "options": {}}}
    recipe |= {"severity": 1.0, "seed": 0, "fresh": False}
    inputs = {refs.checkpoint("noise", "net", "erm"): Path("w"), refs.shards("noise", "val"): Path("m")}
    assert Shifter.of(recipe, "noise", inputs)(SAMPLE).fields["image"].max() == 2


def test_a_shift_of_whole_samples_changes_any_field():
    def apply(sample, severity, words):
        return sample.with_field("label", 7)

    assert shifter(SimpleNamespace(FIELD=None, apply=apply))(SAMPLE).fields["label"] == 7


def test_errors_name_the_sample():
    with pytest.raises(DataError, match=r"noise/test/1: no field 'text', which drawing changes; it has image, label"):
        shifter(drawing("text"))(SAMPLE)

    def apply(value, severity, words):
        raise RangeError("severity 9 lies outside")

    with pytest.raises(RangeError, match="noise/test/1: severity 9 lies outside"):
        shifter(SimpleNamespace(FIELD="image", apply=apply))(SAMPLE)
