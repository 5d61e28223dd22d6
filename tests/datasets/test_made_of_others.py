"""Data sets made of others that are stored: turned, united."""

from pathlib import Path

import numpy as np
import pytest

from shiftbench.base import refs, registry
from shiftbench.base.errors import ParamsError
from shiftbench.base.registry import defaults
from shiftbench.base.sample import Sample
from shiftbench.data import shards


def stored(folder: Path, name: str, classes: list[str], count: int = 6) -> Path:
    """Write shards of little images and return their manifest."""
    (folder / name).mkdir()
    image = np.arange(6, dtype=np.uint8).reshape(2, 3)
    samples = [Sample(f"{name}/test/{i}", {"image": image + i, "label": i % len(classes)}) for i in range(count)]
    fields = registry.find("tasks", "classification").FIELDS
    shards.write(samples, folder / name, fields, {"classes": classes}, 10**6)
    return folder / name / "manifest.json"


def test_transformed_pictures_are_turned_then_flipped_then_inverted(tmp_path: Path) -> None:
    inputs = {refs.shards("a", "test"): stored(tmp_path, "a", ["x", "y"])}
    module = registry.find("datasets", "transformed")
    params = {**defaults(module), "of": "a", "turn": 1, "flip": "up_down", "invert": True}
    params |= {"prefix": "turned ", "name": "b"}
    first, *_ = module.samples("test", {}, params, inputs)
    assert first.key == "b/a/test/0"
    assert first.fields["image"].tolist() == [[255, 252], [254, 251], [253, 250]]
    assert module.classes(params, {}, inputs) == ("turned x", "turned y")
    assert module.needs({**params, "split": "val"}) == [refs.shards("a", "val")]
    with pytest.raises(ParamsError, match="did you mean up_down"):
        list(module.samples("test", {}, {**params, "flip": "up_dwn"}, inputs))


def test_united_datasets_lie_side_by_side(tmp_path: Path) -> None:
    files = {"a": stored(tmp_path, "a", ["x", "y"]), "b": stored(tmp_path, "b", ["z", "w", "v"])}
    inputs = {refs.shards(name, "test"): file for name, file in files.items()}
    module = registry.find("datasets", "united")
    params = {**defaults(module), "of": ["b", "a"], "name": "both"}
    assert module.classes(params, {}, inputs) == ("z", "w", "v", "x", "y")
    found = list(module.samples("test", {}, params, inputs))
    assert [s.fields["label"] for s in found] == [0, 1, 2, 0, 1, 2, 3, 4, 3, 4, 3, 4]
    assert found[6].key == "both/a/test/0"
    assert found[6].fields["meta"] == {"group": "a", "head": "3:5"}
    few, more = ({s.key for s in module.samples("test", {}, {**params, "each": n}, inputs)} for n in (2, 4))
    assert (len(few), len(more)) == (4, 8)
    assert few < more
    inputs[refs.shards("b", "test")] = stored(tmp_path, "c", ["x"])
    with pytest.raises(ParamsError, match="class 'x' is in two of b, a"):
        module.classes(params, {}, inputs)
