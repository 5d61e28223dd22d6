"""The stage shift: clean shards from a dataset, shifted ones from clean ones, previews beside."""

import base64
import json
import random  # noqa: TID251 - of labels, and seeded
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shiftbench.base import registry
from shiftbench.base.errors import DataError, RangeError
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.data import codecs, shards
from shiftbench.plugins.tasks import classification
from shiftbench.provenance import recipe
from shiftbench.workflow.plan.params import Params
from shiftbench.workflow.plan.plan import Plan
from shiftbench.workflow.stages import shift

DATASET = '''
"""Ten images of noise; two of them cannot be read when the option asks for it. Source: none."""
import numpy as np
from shiftbench.base.errors import DataError
from shiftbench.base.sample import Sample

TASK, CLASSES, LICENCE, CITATION, REDISTRIBUTE = "classification", ("a", "b"), "CC0", "none", True
SOURCES, NATIVE, PARAMS = (), ("test",), {"broken": False, "label": 0}

def samples(split, sources, params):
    for i in reversed(range(10)):
        key = f"noise/test/{i}"
        image = np.random.Generator(np.random.Philox(i)).integers(0, 256, (8, 8), np.uint8)
        if params["broken"] and i in (3, 7):
            yield DataError(f"{key}: the image is truncated")
        else:
            yield Sample(key, {"image": image, "label": params["label"]})
'''


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Return a function that makes all shards and previews of a benchmark on the noise dataset."""
    (tmp_path / "mine/datasets").mkdir(parents=True)
    (tmp_path / "mine/datasets/noise.py").write_text(DATASET)
    monkeypatch.setattr(registry.Folders, "extra", (tmp_path / "mine",))

    def run(root: Path, **noise: Any) -> Plan:
        benchmark = {
            "dataset": "noise",
            "shifts": ["gaussian_noise"],
            "models": [{"architectures": ["convnet"], "trainers": ["given"]}],
        }
        params = Params.model_validate(
            {
                "plugins": [str(tmp_path / "mine")],
                "datasets": {"noise": noise},
                "shifts": {"gaussian_noise": {"severities": [1, 5]}},
                "benchmarks": {"one": benchmark},
            }
        )
        plan = Plan.of(params)
        plan.write(root)
        for job in sorted(plan.of_verb("shift"), key=lambda job: "identity" not in job.name):
            recipe.execute(root / job.recipe_path, shift.run)
        return plan

    return run


def read(root: Path, shift_name: str, severity: str) -> list[Sample]:
    return list(shards.read(root / f"data/shards/noise/test/{shift_name}/{severity}"))


def test_shifted_shards_are_the_shift_of_clean_ones(make, tmp_path):
    make(tmp_path / "out")
    clean, mild, strong = (
        read(tmp_path / "out", *place)
        for place in (("identity", "0"), ("gaussian_noise", "1"), ("gaussian_noise", "5"))
    )
    keys = [f"noise/test/{i}" for i in range(10)]
    assert [s.key for s in clean] == [s.key for s in mild] == [s.key for s in strong] == keys
    distance = [
        np.mean(
            [
                np.abs(a.fields["image"].astype(int) - b.fields["image"]).mean()
                for a, b in zip(clean, other, strict=True)
            ]
        )
        for other in (mild, strong)
    ]
    assert 0 < distance[0] < distance[1]


def test_a_smaller_subset_is_contained_in_a_larger_one(make, tmp_path):
    for amount in (3, 6):
        make(tmp_path / f"out{amount}", subset={"test": amount})
    few, more = (
        {s.key: s.fields["image"].tobytes() for s in read(tmp_path / f"out{n}", "gaussian_noise", "5")} for n in (3, 6)
    )
    assert (len(few), len(more)) == (3, 6)
    assert few.items() <= more.items(), "noise belongs to a sample, not to its place among others"


def test_a_bad_sample_stops_the_run_or_is_counted(make, tmp_path):
    with pytest.raises(DataError, match=r"noise/test/7: the image is truncated"):
        make(tmp_path / "stops", broken=True)
    make(tmp_path / "skips", broken=True, on_error="skip")
    folder = tmp_path / "skips/data/shards/noise/test/identity/0"
    about = shards.manifest(folder)
    assert about["samples"] == 8
    assert sorted(about["skipped"]) == [f"noise/test/{i}: the image is truncated" for i in (3, 7)]


def test_a_label_outside_the_classes_is_refused(make, tmp_path):
    with pytest.raises(RangeError, match=r"noise/test/9: label 2 lies outside the 2 classes \(0 to 1\)"):
        make(tmp_path / "out", label=2)


def test_previews_show_the_same_samples_at_each_severity(make, tmp_path):
    plan = make(tmp_path / "out")
    ref = Ref("previews", "noise/test/gaussian_noise/5")
    assert recipe.status(tmp_path / "out", plan.artifacts[ref]) == "fresh"
    content = json.loads((tmp_path / "out" / ref.path).read_text())
    assert (content["classes"], content["skipped"], len(content["samples"])) == (["a", "b"], [], 4)
    clean = json.loads((tmp_path / "out" / "results/previews/noise/test/identity/0.json").read_text())
    assert [row["key"] for row in clean["samples"]] == [row["key"] for row in content["samples"]]
    shifted = {sample.key: sample.fields["image"] for sample in read(tmp_path / "out", "gaussian_noise", "5")}
    for row in content["samples"]:
        assert np.array_equal(codecs.decode("png", base64.b64decode(row["png"])), shifted[row["key"]])


def test_previews_show_as_many_classes_as_fit(tmp_path):
    draw = random.Random(3)
    for case in range(12):
        labels = sorted(draw.randrange(draw.randint(1, 6)) for _ in range(draw.randint(1, 40)))  # as folders are sorted
        image = np.zeros((2, 2), np.uint8)
        samples = [Sample(f"d/test/{at:02}", {"image": image, "label": label}) for at, label in enumerate(labels)]
        about = {"task": "classification", "classes": list("abcdef"), "dataset": "d", "split": "test"}
        folder = tmp_path / str(case)
        folder.mkdir()
        shards.write(samples, folder, dict(classification.FIELDS), about, 10**6)
        numbers = shift.preview_numbers(folder)
        assert numbers == sorted(set(numbers))
        assert len(numbers) == min(len(labels), shift.PREVIEW_SAMPLES)
        assert len({labels[number] for number in numbers}) == min(len(set(labels)), shift.PREVIEW_SAMPLES)
