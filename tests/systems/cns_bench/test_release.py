"""CNS-Bench's release in small: samples, scales, licence, names."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from shiftbench.base.errors import DataError, ParamsError, RangeError
from shiftbench.base.registry import defaults
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.systems.cns_bench.datasets import _cns, cns_bench
from shiftbench.systems.cns_bench.shifts import cns_scale

SCALES = (0.5, 1.0, 1.5, 2.0, 2.5)


def change(release: dict[str, Any], edit: Callable[[dict[str, Any]], None]) -> None:
    file = Path(release["path"]) / "annotations_cns.json"
    content = json.loads(file.read_text())
    edit(content)
    file.write_text(json.dumps(content))
    _cns.read.cache_clear()


def test_the_dataset_is_scale_0_and_the_shift_the_same_path_at_another(release: dict[str, Any]) -> None:
    samples = list(cns_bench.samples("test", {}, release))
    assert [sample.key for sample in samples][:2] == [
        "cns_bench/cartoon_style/002_0001",
        "cns_bench/cartoon_style/002_0002",
    ]
    assert [sample.fields["label"] for sample in samples] == [2, 2, 2, 22, 22, 22]
    sample = samples[-1]
    for scale in SCALES:
        shown = cns_scale.apply(sample, scale, RandomStream(0, "s", "d", "k"), path=release["path"])
        file = Path(release["path"]) / f"cartoon_style/022_bald eagle/seed_0034_scale_{int(1000 * scale):04d}.jpg"
        assert np.array_equal(shown.fields["image"], np.asarray(Image.open(file).convert("RGB")))
        assert shown.fields["meta"]["scale"] == scale
        assert shown.key == sample.key
    with pytest.raises(RangeError, match="no images at 0.75"):
        cns_scale.apply(sample, 0.75, RandomStream(0, "s", "d", "k"), path=release["path"])
    with pytest.raises(DataError, match="says no nuisance"):
        cns_scale.apply(
            Sample("k", sample.fields | {"meta": {}}), 1, RandomStream(0, "s", "d", "k"), path=release["path"]
        )


def test_a_path_has_six_scales_and_the_file_as_many_images_as_published(release: dict[str, Any]) -> None:
    def lose_one(content: dict[str, Any]) -> None:
        content["images"] = [
            row for row in content["images"]
            if (row["class"], row["seed"], row["scale"], row["shift"]) != (2, 2, 1.5, "cartoon_style")
        ]  # fmt: skip

    change(release, lose_one)
    found = list(cns_bench.samples("test", {}, release))
    errors = [str(one) for one in found if isinstance(one, DataError)]
    assert len(found) - len(errors) == 5
    assert "lists 71 images, expected 72" in errors[0]
    assert "002_0002: the path has no image at scale 1.5" in errors[1]
    assert defaults(cns_bench)["images"] == 192_168


def test_licence_classes_and_doubles_are_checked(release: dict[str, Any]) -> None:
    names = cns_bench.classes({**release, "restricted": True}, {})
    assert names == ("great white shark", "bald eagle")
    restricted = list(cns_bench.samples("test", {}, {**release, "restricted": True}))
    assert [sample.fields["label"] for sample in restricted] == [0, 0, 0, 1, 1, 1]
    with pytest.raises(ParamsError, match="no nuisance 'cartoon_styl'; did you mean cartoon_style"):
        list(cns_bench.samples("test", {}, {**release, "nuisance": "cartoon_styl"}))
    change(release, lambda content: content["info"].update(license="CC-BY-4.0"))
    with pytest.raises(DataError, match="declares the licence 'CC-BY-4.0'"):
        list(cns_bench.samples("test", {}, release))
    change(release, lambda content: content["images"].append(content["images"][0]))
    with pytest.raises(DataError, match="stand at the place of another"):
        list(cns_bench.samples("test", {}, {**release, "licence": "CC-BY-4.0"}))
