"""Importers on miniatures of the hub's files, and stored results replayed without any model."""

import csv
import io
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from shiftbench.base.errors import DataError, ModelError, ParamsError
from shiftbench.base.registry import defaults
from shiftbench.base.sample import Sample
from shiftbench.contracts import training_jobs
from shiftbench.plugins.tasks import LabelSpace, free_text
from shiftbench.systems.mmdt.datasets import mmdt_i2t, mmdt_i2t_adv, mmdt_t2i
from shiftbench.systems.mmdt.metrics import _ood
from shiftbench.systems.mmdt.models import mmdt_results

MODEL = "InternVL2-8B"


def png(shade: int) -> dict[str, Any]:
    stream = io.BytesIO()
    Image.new("RGB", (6, 4), (shade, 0, 0)).save(stream, "PNG")
    return {"bytes": stream.getvalue(), "path": None}


def parquet(file: Path, rows: list[dict[str, Any]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), file)


def text(file: Path, content: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content, encoding="utf-8")


QUESTIONS = (
    ("7", "identification", "What is it?", "cat"),
    ("7", "count", "How many?", "{'cat': 2, 'dog': 1}"),
    ("8", "identification", "What is it?", "dog"),
    ("9", "spatial", "Where is it?", "left"),
)


def images(home: Path, scenario: str) -> None:
    names = ("img_id", "task", "question", "answer")
    rows = [dict(zip(names, one, strict=True)) | {"image": png(9)} for one in QUESTIONS]
    parquet(home / "ood" / f"{scenario}-00000-of-00001.parquet", rows)


def table(file: Path, names: list[str], rows: list[list[str]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="") as stream:
        csv.writer(stream).writerows([names, *rows])


def answers(home: Path, scenario: str) -> None:
    said = {
        "identification": [("7", "A cat,\nsurely", "Yes"), ("8", "A cat", "No, yesterday")],
        "count": [("7", "2 cats, a dog", "cat: 2, dog: 1")],
        "spatial": [("9", "left", "Yes.")],
    }
    for task, rows in said.items():
        place = home / "image-to-text/ood" / scenario / task / MODEL
        table(place / "generation.csv", ["img_id", "response"], [[n, r] for n, r, _ in rows])
        table(place / "evaluation.csv", ["img_id", "generation", "accuracy"], [[n, g, "1"] for n, _, g in rows])


def predictor(home: Path, tmp_path: Path, **options: Any) -> Any:
    params = {**defaults(mmdt_results), "path": str(home), "model": MODEL, **options}
    weights = training_jobs.write(tmp_path / "w.safetensors", mmdt_results.pretrained(params, {}))
    return mmdt_results.load(weights, params, (), "cpu", {})


def records(samples: list[Sample], outputs: dict[str, np.ndarray]) -> pa.Table:
    return free_text.rows(samples, outputs, LabelSpace((), ()), "full")


def test_images_and_their_stored_answers(tmp_path: Path) -> None:
    hub, home = tmp_path / "hub", tmp_path / "results"
    images(hub, "Van_Gogh")
    answers(home, "Van_Gogh")
    params = {"name": "mmdt_i2t", "path": str(hub), "scenario": "Van_Gogh"}
    assert list(mmdt_i2t.wants("test", params)) == [str(hub / "ood")]
    samples = list(mmdt_i2t.samples("test", {}, params))
    for sample in samples:
        free_text.check(sample, [])
    assert samples[0].fields["image"].shape == (4, 6, 3)
    assert samples[0].fields["text"] == "What is it? Please provide the object in a few words."
    assert [one.fields["meta"]["row"] for one in samples] == [0, 0, 1, 0]
    assert samples[0].fields["meta"]["cluster"] == samples[1].fields["meta"]["cluster"]
    found = records(samples, predictor(home, tmp_path)(samples))
    assert found["correct"].to_pylist() == [True, True, False, True]
    assert found["completions"].to_pylist()[0] == ["A cat,\nsurely"]
    official = predictor(home, tmp_path, rules="official")(samples)
    assert records(samples, official)["correct"].to_pylist() == [True] * 4  # yes in yesterday


def test_answers_of_other_images_are_refused(tmp_path: Path) -> None:
    hub, home = tmp_path / "hub", tmp_path / "results"
    images(hub, "original")
    answers(home, "original")
    params = {"name": "mmdt_i2t", "path": str(hub), "scenario": "original"}
    samples = list(mmdt_i2t.samples("test", {}, params))
    ask = predictor(home, tmp_path)
    other = Sample("k", {"meta": {**samples[0].fields["meta"], "img_id": "70"}})
    with pytest.raises(ModelError, match="row 0 is not of the image '70'"):
        ask([other])
    text(home / "more.txt", "another folder now")
    with pytest.raises(ModelError, match="other"):
        mmdt_results.load(
            tmp_path / "w.safetensors", {"path": str(home), "model": "m", "rules": "ours"}, (), "cpu", {}
        )  # fmt: skip


def test_what_is_none_of_the_hubs_files_is_told(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="option path is missing"):
        list(mmdt_i2t.samples("test", {}, {"name": "n", "path": "", "scenario": "original"}))
    with pytest.raises(ParamsError, match="scenario is 'Monet'"):
        list(mmdt_i2t.samples("test", {}, {"name": "n", "path": "x", "scenario": "Monet"}))
    with pytest.raises(DataError, match="has no file original-"):
        list(mmdt_i2t.samples("test", {}, {"name": "n", "path": str(tmp_path), "scenario": "original"}))
    parquet(tmp_path / "ood/original-00000-of-00001.parquet", [{"img_id": "1"}])
    with pytest.raises(DataError, match="has no column 'answer'"):
        list(mmdt_i2t.samples("test", {}, {"name": "n", "path": str(tmp_path), "scenario": "original"}))
    with pytest.raises(ParamsError, match="style is 'Haiku'"):
        list(mmdt_t2i.samples("test", {}, {"name": "n", "path": "x", "style": "Haiku"}))


def test_adversarial_images_and_their_stored_answers(tmp_path: Path) -> None:
    hub, home = tmp_path / "hub", tmp_path / "results"
    common = {"image": png(3), "surrogate_model": "clip", "algorithm": "pgd"}
    parquet(hub / "adv/object-00000-of-00001.parquet",
            [{"id": 5, "origin_object": "cat", "label": "dog", **common}])  # fmt: skip
    car = {"object": "car", "origin_attribute": "red", "label": "blue", **common}
    parquet(hub / "adv/attribute-00000-of-00001.parquet", [{"id": n, **car} for n in (1, 2)])
    two = {"object_a": "cat", "object_b": "dog", "origin_relation": "above", "label": "below"}
    parquet(hub / "adv/spatial-00000-of-00001.parquet", [{"id": 9, **two, **common}])
    place = home / "image_to_text/adv" / MODEL
    text(place / "object/output_responses/5.txt", "A dog.")
    for number, origin, target in ((1, "No", "Yes, blue"), (2, "Yes", "No")):
        text(place / f"attribute/output_responses_origin/{number}.txt", origin)
        text(place / f"attribute/output_responses_target/{number}.txt", target)
    text(place / "spatial/output_responses/9.txt", "It is ABOVE the dog.")
    params = {"name": "mmdt_i2t_adv", "path": str(hub)}
    assert list(mmdt_i2t_adv.wants("test", params)) == [str(hub / "adv")]
    samples = list(mmdt_i2t_adv.samples("test", {}, params))
    for sample in samples:
        free_text.check(sample, [])
    assert [one.key for one in samples] == sorted(one.key for one in samples)
    by = {one.fields["meta"]["task"]: one.fields["text"] for one in samples}
    assert by["attribute"] == "Is the car red? Please provide the answer with 'Yes' or 'No'."
    assert by["spatial"].startswith("Where is the cat in relation to the dog? Please provide the")
    found = records(samples, predictor(home, tmp_path)(samples))
    robust = dict(zip(found["key"].to_pylist(), found["correct"].to_pylist(), strict=True))
    assert [robust[one.key] for one in samples] == [False, True, False, True]
    success = [own[0][1] for own in found["verdicts"].to_pylist()]
    assert success == [True, False, True, False]
    assert samples[0].fields["meta"]["surrogate"] == "clip"


def test_prompts_and_their_stored_pictures(tmp_path: Path) -> None:
    hub, home = tmp_path / "hub", tmp_path / "results"
    count = [{"object": "cat", "counts": "2"}, {"object": "dog", "counts": "1"}]
    for style, words in (("original", "two cats"), ("Shake_", "cats twain")):
        rows = [
            {"id": 3, "task": "count", "meta_prompt": words, "objects": count},
            {"id": 4, "task": "helpfulness", "meta_prompt": words, "objects": None},
        ]
        parquet(hub / "ood" / f"{style}-00000-of-00001.parquet", rows)
    place = home / "text-to-image/ood/Shake_"
    for trial, (second, score) in enumerate((("Correct", 0.5), ("Wrong", 0.7), (None, 0.9))):
        parts = [{"object": "cat", "answer": "Correct"}, {"object": "dog"}]
        if second:
            parts[1]["answer"] = second
        error = {"error": "content_policy_violation"} if trial == 2 else {}
        text(place / "count" / MODEL / f"results_dict_{trial}.json", json.dumps({"3": {"objects": parts, **error}}))
        text(place / "helpfulness" / MODEL / f"results_dict_{trial}.json",
             json.dumps({"4": {"objects": None, "clip_score": score}}))  # fmt: skip
    params = {"name": "mmdt_t2i", "path": str(hub), "style": "Shake_"}
    assert list(mmdt_t2i.wants("test", params)) == [str(hub / "ood")]
    samples = list(mmdt_t2i.samples("test", {}, params))
    for sample in samples:
        free_text.check(sample, [])
    assert samples[0].fields["text"] == "cats twain"
    assert samples[0].fields["meta"]["prompt"] == "two cats"
    found = records(samples, predictor(home, tmp_path)(samples))
    assert found["passed"].to_pylist() == [[True, False, False], [False, False, False]]
    seen = [[json.loads(one) for one in own] for own in found["completions"].to_pylist()]
    assert seen[0][2] == {"refused": True, "parts": []}
    assert [one["clip_score"] for one in seen[1]] == [0.5, 0.7, 0.9]
    assert _ood.TRIALS == 3


FULL = yaml.safe_load((Path(mmdt_results.__file__).parents[1] / "card.yaml").read_text())["params"]["full"]
WRITTEN = ("Shake_", "Paraphrase_")
"""Styles that scripts/ood_t2i.sh of the release runs; it has no `original`."""


def test_pictures_are_judged_from_what_the_released_script_writes(tmp_path: Path) -> None:
    hub, home = tmp_path / "hub", tmp_path / "results"
    for style in ("original", *WRITTEN):
        rows = [{"id": 4, "task": "helpfulness", "meta_prompt": style, "objects": None}]
        parquet(hub / "ood" / f"{style}-00000-of-00001.parquet", rows)
    for style, trial in itertools.product(WRITTEN, range(3)):
        place = home / "text-to-image/ood" / style / "helpfulness" / MODEL
        text(place / f"results_dict_{trial}.json", json.dumps({"4": {"clip_score": 0.3}}))
    datasets = {
        name: own
        for benchmark in FULL["benchmarks"].values()
        for name in [benchmark["dataset"], *shifted(benchmark)]
        if (own := FULL["datasets"][name]).get("use", name) == "mmdt_t2i"
    }
    assert {own["style"] for own in datasets.values()} == set(WRITTEN)
    for name, own in datasets.items():
        params = {**defaults(mmdt_t2i), **own, "name": name, "path": str(hub)}
        samples = list(mmdt_t2i.samples("test", {}, params))
        outputs = predictor(home, tmp_path)(samples)
        assert records(samples, outputs)["completions"].to_pylist() == [['{"clip_score": 0.3}'] * 3]


def shifted(benchmark: dict[str, Any]) -> list[str]:
    """Return the datasets that a benchmark's shifts stand for."""
    return [FULL["shifts"][name]["dataset"] for name in benchmark.get("shifts", ())]


def test_the_scenario_that_the_released_script_leaves_out_is_named(tmp_path: Path) -> None:
    hub, home = tmp_path / "hub", tmp_path / "results"
    images(hub, "original")
    answers(home, "Van_Gogh")
    params = {"name": "mmdt_i2t", "path": str(hub), "scenario": "original"}
    with pytest.raises(ModelError, match="run mmdt/main.py with --scenario original"):
        predictor(home, tmp_path)(list(mmdt_i2t.samples("test", {}, params)))


def test_the_paper_is_compared_by_its_own_rules() -> None:
    """Every model whose answers are read by rules has an arm with the official ones."""
    text_to_image = {
        model
        for benchmark in ("shakespearean", "paraphrase")
        for weights in FULL["benchmarks"][benchmark]["models"]
        for model in weights["architectures"]
    }
    by = {name: own for name, own in FULL["models"].items() if name not in text_to_image}
    official = {name for name, own in by.items() if own.get("rules") == "official"}
    assert official == {f"{name}_official" for name in set(by) - official}
    for name in official:
        assert by[name] == {**by[name.removesuffix("_official")], "rules": "official"}
