"""The card in a folder of shards: what `datasets` reads of it is what the manifest says, whatever classes are named."""

import json
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from makers import planned_benchmark
from makers.command_line import said
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
loaded = datasets.load_dataset(sys.argv[1], cache_dir=sys.argv[2])["val"]
image = numpy.asarray(loaded[0]["png"]).tolist()
print(json.dumps([loaded.features["cls"].names, list(loaded["cls"]), image]))
"""
"""In a process of its own: `datasets` is a folder of tests, too."""


@pytest.mark.slow
def test_hugging_faces_library_loads_the_folder(tmp_path: Path) -> None:
    if not list(metadata.distributions(name="datasets")):
        pytest.skip("needs `datasets`, which is not locked: pip install datasets")
    image = np.arange(30, dtype=np.uint8).reshape(5, 6)
    samples = [Sample(f"a/{n}", {"image": image, "label": n % 2}) for n in range(3)]
    folder = tmp_path / "shards"
    folder.mkdir()
    shards.write(samples, folder, FIELDS, {**ABOUT, "classes": ["1: one", "two"]}, 10_000)
    dataset_card.write(folder)
    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(folder), str(tmp_path / "cache")],
        cwd=tmp_path, env=os.environ | {"HF_HUB_OFFLINE": "1"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout) == [["1: one", "two"], [0, 1, 0], image.tolist()]
