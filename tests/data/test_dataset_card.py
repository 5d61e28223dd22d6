"""The card in a folder of shards: what `datasets` reads of it is what the manifest says, whatever classes are named."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from makers import planned_benchmark
from makers.command_line import said
from makers.repositories import HOME
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.data import dataset_card, shards
from shiftbench.provenance import recipe

FIELDS = {"image": "png", "mask": "mask.png", "label": "cls", "meta": "json"}
ABOUT = {
    "task": "classification", "dataset": "shapes", "split": "val", "shift": "fog", "severity": 2.5,
    "fields": FIELDS, "samples": 3, "licence": "CC0", "citation": "nobody",
}  # fmt: skip


@given(st.lists(st.text(min_size=1), min_size=1, unique=True))
def test_its_head_is_yaml_with_the_names_of_all_classes(names: list[str]) -> None:
    text = dataset_card.text({**ABOUT, "classes": names})
    head = next(yaml.safe_load_all(text.removeprefix("---\n").split("\n---\n")[0]))
    files, columns = head["configs"][0]["data_files"], head["dataset_info"]["features"]
    assert files == [{"split": "val", "path": "*.tar"}]
    name = head["configs"][0]["config_name"]
    assert name == head["dataset_info"]["config_name"]
    assert re.fullmatch(r"shapes-val-fog-2\.5-[0-9a-f]{16}", name)
    assert name != dataset_card.config_name({**ABOUT, "classes": [*names, "another"]})
    types = {column["name"]: column["dtype"] for column in columns}
    label = types.pop("cls")
    assert list(label["class_label"]["names"].values()) == names
    assert types == {
        "png": "image", "mask.png": "image", "json": "json", "__key__": "string", "__url__": "string",
    }  # fmt: skip
    assert "# shapes/val, fog at severity 2.5\n" in text


def test_a_stage_writes_it_and_the_receipt_has_it(tmp_path: Path, monkeypatch) -> None:
    planned_benchmark.make(tmp_path)
    monkeypatch.chdir(tmp_path)
    planned = planned_benchmark.plan(tmp_path)
    planned.write(tmp_path)
    job = planned.jobs["shift/shapes/test/identity"]
    said("shift", "--recipe", str(tmp_path / job.recipe_path))
    ref = Ref("shards", "shapes/test/identity/0")
    folder, content = (tmp_path / ref.path).parent, recipe.receipt(tmp_path, ref)
    card = (folder / "README.md").read_text()
    assert card == dataset_card.text(shards.manifest(folder))
    assert content is not None
    assert content["made"].keys() >= {"README.md", "manifest.json"}
    assert "text" in content["recipe"]["code"]["shiftbench/data/dataset_card.py"]


LOAD = """
import datasets, json, numpy, sys
cache, *folders = sys.argv[1:]
for folder in folders:
    loaded = datasets.load_dataset(folder, cache_dir=cache)["val"]
    image = numpy.asarray(loaded[0]["png"]).tolist()
    print(json.dumps([loaded.features["cls"].names, list(loaded["cls"]), image]))
"""
VALIDATORS = HOME / ".venv-validators/bin/python"
"""The environment with `datasets`."""


@pytest.mark.workflow
@pytest.mark.needs(str(VALIDATORS))
def test_hugging_faces_library_loads_each_folder_with_one_cache(tmp_path: Path) -> None:
    """Its cache knows a folder by the name of its configuration: another folder of that name would return fog."""
    names = ["1: one", "two"]
    images = {place: np.full((5, 6), value, np.uint8) for value, place in enumerate(["fog/3", "brightness/3", "fog/5"])}
    for place, image in images.items():
        _write_folder(tmp_path / place, image, names)
    expected = [[names, [0, 1, 0], image.tolist()] for image in images.values()]
    assert _loaded(tmp_path, *images) == expected
    again = np.full((5, 6), 99, np.uint8)
    _write_folder(tmp_path / "fog/3", again, names)
    assert _loaded(tmp_path, "fog/3", "brightness/3") == [[names, [0, 1, 0], again.tolist()], expected[1]]


def _write_folder(folder: Path, image: np.ndarray, classes: list[str]) -> None:
    """Write three samples with one image into a folder SHIFT/SEVERITY, in place of what it contains."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    samples = [Sample(f"a/{n}", {"image": image, "label": n % 2}) for n in range(3)]
    about = {**ABOUT, "shift": folder.parent.name, "severity": float(folder.name), "classes": classes}
    shards.write(samples, folder, FIELDS, about, 10_000)
    dataset_card.write(folder)


def _loaded(folder: Path, *places: str) -> list[object]:
    """What `datasets` reads of each place, with one cache."""
    done = subprocess.run(
        [str(VALIDATORS), "-c", LOAD, str(folder / "cache"), *(str(folder / place) for place in places)],
        cwd=folder, env=os.environ | {"HF_HUB_OFFLINE": "1"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [json.loads(line) for line in done.stdout.splitlines()]
