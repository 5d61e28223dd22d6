"""COCO-O: a miniature of the released layout is imported, sharded and evaluated; what is wrong with it is told."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml

from makers import miniature_scenes
from makers.repositories import HOME
from shiftbench.base import registry
from shiftbench.base.errors import DataError, ParamsError, RangeError
from shiftbench.base.refs import Ref
from shiftbench.base.registry import defaults
from shiftbench.base.sample import Sample
from shiftbench.data import schema, shards, splits
from shiftbench.workflow.plan import cards, plan
from shiftbench.workflow.tools import run_local

DOMAINS = ("cartoon", "handmake", "painting", "sketch", "tattoo", "weather")


def miniature(root: Path) -> Path:
    """Twelve images in the layout of the archive: two a domain, of the same numbers and names of files."""
    for at, domain in enumerate(DOMAINS):
        folder = root / "ood_coco" / domain
        miniature_scenes.coco_file(folder, "val2017", "annotations/instances_val2017.json", 2, at + 2)
    return root / "ood_coco"


def read(params: dict[str, Any], split: str = "test") -> list[Sample | DataError]:
    module = registry.find("datasets", "coco_json")
    options = {**defaults(module), "name": "mine", **params}
    return list(module.samples(split, {}, options))


POOLED = {
    "domains": list(DOMAINS),
    "annotations": {"test": "{domain}/annotations/instances_val2017.json"},
    "images": {"test": "{domain}/val2017"},
}


def test_numbers_that_repeat_from_domain_to_domain_do_not_meet(tmp_path: Path) -> None:
    samples = read({"root": str(miniature(tmp_path)), **POOLED})
    keys = [sample.key for sample in samples if isinstance(sample, Sample)]
    assert keys == [f"mine/test/{domain}/{n:012d}" for domain in DOMAINS for n in (139, 140)]
    first = samples[0]
    assert isinstance(first, Sample)
    assert first.fields["meta"] == {"group": "cartoon"}
    assert first.fields["image"].shape == (36, 40, 3)
    assert first.fields["boxes"] == [{"box": [2.5, 3.25, 20.5, 12.0], "label": 2, "area": 196.8}]
    with pytest.raises(ParamsError, match="domains names 'tattoo' twice; its images would have the same keys"):
        read({"root": str(tmp_path / "ood_coco"), **POOLED, "domains": ["tattoo", "tattoo"]})
    with pytest.raises(ParamsError, match="the same for all domains; put {domain} in it"):
        read({"root": str(tmp_path / "ood_coco"), "domains": list(DOMAINS)})


def test_names_take_some_of_the_categories(tmp_path: Path) -> None:
    sources, params = miniature_scenes.coco_json(tmp_path)
    module = registry.find("datasets", "coco_json")
    assert module.classes({**defaults(module), **params}, sources) == ("person", "car", "cat")
    chosen = read({**params, "names": ["cat", "car"], "limit": 4})
    assert len(chosen) == 4
    labels = {box["label"] for one in chosen if isinstance(one, Sample) for box in one.fields["boxes"]}
    assert labels == {0, 1}
    crowds = [box.get("crowd", False) for one in read(params) if isinstance(one, Sample) for box in one.fields["boxes"]]
    assert any(crowds)
    with pytest.raises(ParamsError, match="no category 'dog'"):
        module.classes({**defaults(module), **params, "names": ["dog"]}, sources)


def without(part: str) -> Callable[[dict[str, Any]], None]:
    return lambda content: content.pop(part)


def change(part: str, **values: Any) -> Callable[[dict[str, Any]], None]:
    return lambda content: content[part][0].update(values)


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (without("categories"), DataError, "has no list of categories; a COCO file has images, categories and"),
        (change("annotations", image_id=7), DataError, "annotation 1 is of image 7, which is not there"),
        (change("annotations", category_id=99), DataError, "annotation 1 is of category 99, which is not there"),
        (change("annotations", bbox=[1, 2, 3]), DataError, r"annotation 1 has the bbox \[1, 2, 3\]; expected"),
        (change("annotations", bbox=[30, 2, 20, 3]), RangeError, "box 0, .30, 2, 20, 3., lies outside of the image of"),
        (change("images", id=140), DataError, "two images have the id 140: 000000000139.jpg, 000000000140.jpg"),
        (change("images", width=36, height=40), DataError, "40 x 36 pixels, its entry 36 x 40; its EXIF rotation"),
        (change("images", file_name="none.jpg"), DataError, "none.jpg.* cannot be read"),
        (change("categories", id=3), DataError, "two categories have the id 3"),
        (change("categories", name="cat"), DataError, "two categories have the name 'cat'"),
        (lambda content: content["categories"].clear(), DataError, "has no categories, so that its boxes have no"),
    ],
)
def test_what_is_wrong_with_a_file_is_told(
    spoil: Callable[[dict[str, Any]], None], error: type[Exception], message: str, tmp_path: Path
) -> None:
    _, params = miniature_scenes.coco_json(tmp_path)
    file = tmp_path / "coco/annotations/instances_val2017.json"
    content = json.loads(file.read_text())
    spoil(content)
    file.write_text(json.dumps(content))

    def whole() -> None:
        task = registry.find("tasks", "detection")
        for sample in read(params):
            if isinstance(sample, DataError):
                raise sample
            task.check(sample, ["person", "car", "cat"])

    with pytest.raises(error, match=message):
        whole()


def test_missing_and_unlike_files_are_told(tmp_path: Path) -> None:
    root = miniature(tmp_path)
    with pytest.raises(ParamsError, match="option root is missing"):
        read({})
    with pytest.raises(DataError, match="instances_val2017.json is missing; set root, and annotations where"):
        read({"root": str(tmp_path)})
    file = root / "sketch/annotations/instances_val2017.json"
    content = json.loads(file.read_text())
    content["categories"][2]["name"] = "tiger"
    file.write_text(json.dumps(content))
    with pytest.raises(DataError, match="category 17 is 'cat' in .*cartoon.* and 'tiger' in .*sketch"):
        read({"root": str(root), **POOLED})
    file.write_text("{")
    with pytest.raises(DataError, match="is no JSON"):
        read({"root": str(root / "sketch")})


def test_the_miniature_is_sharded_and_evaluated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = miniature(tmp_path)
    miniature_scenes.coco_json(tmp_path)
    monkeypatch.chdir(tmp_path)
    own = yaml.safe_load((HOME / "params.yaml").read_text())
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({**own, "benchmarks": {}}))
    domains = {name: {"use": "coco_json", "root": str(root / name)} for name in DOMAINS}
    overlay = {
        "datasets": {"coco": {"use": "coco_json", "root": str(tmp_path / "coco")}, **domains},
        "shifts": {f"coco_to_{name}": {"use": "domain", "dataset": name, "clean": "coco"} for name in DOMAINS},
        "models": {"tiny": {"use": "centre_points", "size": 32, "width": 4}},
        "trainers": {"boxes": {"steps": 5, "batch_size": 4}},
        "metrics": {"map": {}, "effective_robustness": {"of": "map", "slope": 0.45, "intercept": 0.0}},
        "bootstrap": {"resamples": 20},
        "benchmarks": {
            "coco_o": {
                "dataset": "coco",
                "models": [{"architectures": ["tiny"], "trainers": ["boxes"]}],
                "shifts": [f"coco_to_{name}" for name in DOMAINS],
                "metrics": ["map", "effective_robustness"],
            }
        },
    }
    (tmp_path / "params").mkdir()
    (tmp_path / "params/mine.yaml").write_text(yaml.safe_dump(overlay))
    planned, made = plan.load("mine")
    run_local.make(planned, made)
    folder = (made / Ref("shards", "cartoon/test/identity/0", local=True).path).parent
    found = shards.manifest(folder)
    assert (found["samples"], found["classes"]) == (2, ["person", "car", "cat"])
    table = pl.from_arrow(schema.read(made / Ref("tables", "coco_o").path))
    assert isinstance(table, pl.DataFrame)
    seeded = table.filter(pl.col("seed") == 0, pl.col("metric") == "map", pl.col("group").is_null())
    assert set(seeded["shift"]) == {"identity", *(f"coco_to_{name}" for name in DOMAINS)}
    assert seeded.filter(shift="coco_to_sketch")["n"].to_list() == [2]
    assert table.filter(metric="effective_robustness")["value"].is_not_null().all()
    assert splits.native("test", registry.find("datasets", "coco_json")) == "test"
    assert np.isfinite(seeded["value"].to_numpy()).all()


@pytest.mark.usefixtures("in_pristine")
def test_boxes_that_are_brought_are_numbered_as_coco_numbers_them() -> None:
    from torchvision.models.detection import FasterRCNN_ResNet50_FPN_Weights

    names = FasterRCNN_ResNet50_FPN_Weights.COCO_V1.meta["categories"]
    numbers = [at for at, name in enumerate(names) if name not in ("__background__", "N/A")]
    models = cards.load("coco-o").params["full"]["models"].values()
    brought = [model["categories"] for model in models if model["use"] == "box_predictions"]
    assert brought == [numbers] * 15
