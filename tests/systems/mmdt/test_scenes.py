"""Scenes, their questions in words and back, the judge, the net and its attack; prompts, their shifts, the renderer."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from makers import emoji_miniature
from shiftbench.base import registry
from shiftbench.base.errors import DataError, ModelError, ParamsError
from shiftbench.base.registry import defaults
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.contracts import training_jobs
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.optimizers import adamw
from shiftbench.plugins.tasks import LabelSpace, free_text
from shiftbench.statistics.contributions import weighted_sums
from shiftbench.statistics.rows import Row, Rows
from shiftbench.systems.mmdt.datasets import _words, mmdt_prompts, mmdt_scenes
from shiftbench.systems.mmdt.methods import _targeted
from shiftbench.systems.mmdt.metrics import _ood
from shiftbench.systems.mmdt.metrics.mmdt_scores import ood_i2t, t2i_style
from shiftbench.systems.mmdt.models import scene_cnn, scene_renderer
from shiftbench.systems.mmdt.trainers import scene_answers

SPACE = LabelSpace((), ())


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return emoji_miniature.sources(tmp_path_factory.mktemp("emoji"))


def scenes(sources: dict[str, Path], split: str = "test", number: int = 12) -> list[Sample]:
    sizes = dict.fromkeys(mmdt_scenes.NATIVE, number)
    return list(mmdt_scenes.samples(split, sources, {"name": "mmdt_scenes", **sizes}))


def prompts(number: int = 10, split: str = "test") -> list[Sample]:
    sizes = dict.fromkeys(mmdt_prompts.NATIVE, number)
    return list(mmdt_prompts.samples(split, {}, {"name": "mmdt_prompts", **sizes}))


# ------------------------------------------------------------------ scenes


def test_a_scene_has_a_right_and_a_wrong_answer(sources: dict[str, Path]) -> None:
    for sample in scenes(sources, number=80):
        meta, image = sample.fields["meta"], sample.fields["image"]
        free_text.check(sample, [])
        assert (image.shape, image.dtype) == ((64, 64, 3), np.uint8)
        assert meta["answer"] != meta["target"]
        asked = _words.read(sample.fields["text"])
        assert asked.task == meta["task"] == meta["group"]
        slots = {which: scene_cnn.labels(sample, which) for which in ("answer", "target")}
        right, wrong = (scene_cnn.words(sample, slots[which]) for which in ("answer", "target"))
        assert scene_cnn.verdict(meta["task"], meta["answer"], right) == "yes"
        assert scene_cnn.verdict(meta["task"], meta["answer"], wrong) == "no"
        assert meta["phrases"][0] in wrong
        assert meta["phrases"][0] not in right


def test_splits_share_no_picture(sources: dict[str, Path]) -> None:
    train, test = scenes(sources, "train"), scenes(sources)
    assert not {s.fields["image"].tobytes() for s in train} & {s.fields["image"].tobytes() for s in test}
    assert scenes(sources)[3].fields["meta"] == test[3].fields["meta"]


def test_what_is_behind_each_question_is_the_repositorys() -> None:
    text = _words.question(_words.Question("count", ("cat", "bus")))
    assert text == (
        "How many cats and how many buses are there in the image? Please provide the number of each object separately."
    )
    assert _words.read(text) == ("count", ("cat", "bus"))
    with pytest.raises(DataError, match="is none that scenes are asked"):
        _words.read("Who is there?")


@pytest.mark.parametrize(
    ("task", "answer", "response", "said"),
    [
        ("count", "{'cat': 2, 'bus': 1}", "There are Two kittens and a bus", "cat: 2"),
        ("count", "{'cat': 2, 'bus': 1}", "two cats, 1 bus", "cat: 2, bus: 1"),
        ("identification", "cat", "It is a kitten.", "Yes"),
        ("identification", "cat", "a cat and a dog", "No"),
        ("attribute", "purple", "violet", "Yes"),
        ("spatial", "above", "It is over the dog", "Yes"),
        ("spatial", "above", "left", "No"),
    ],
)
def test_the_judge_says_what_a_language_model_would(task: str, answer: str, response: str, said: str) -> None:
    assert scene_cnn.say(task, answer, response) == said


# ------------------------------------------------------------------ the net


def job(sources: dict[str, Path]) -> TrainJob:
    splits = {"train": scenes(sources, "train", 32), "val": scenes(sources, "val", 8)}
    params = {**defaults(scene_answers), "steps": 60, "batch_size": 32, "lr": 0.01}
    options = {**defaults(scene_cnn), "width": 6}
    return TrainJob(
        *("mmdt_scenes", "scene_cnn", "scene_answers", 0),
        *(params, options, (), {}, splits.__getitem__, {"use": "adamw", "options": defaults(adamw)}),
    )


@pytest.fixture(scope="module")
def answerer(sources: dict[str, Path]) -> scene_cnn.Answerer:
    asked = job(sources)
    torch.manual_seed(0)
    state = scene_answers.train(asked)
    assert [name for _, name, _ in asked.rows] == ["train_loss", "val_accuracy"]
    net = scene_cnn.build(asked.model_params, 0)
    net.load_state_dict(state)
    return scene_cnn.Answerer(net, asked.model_params, torch.device("cpu"))


def test_the_net_learns_and_its_answers_are_judged(answerer: scene_cnn.Answerer, sources: dict[str, Path]) -> None:
    own = scenes(sources, "train", 32)
    table = free_text.rows(own, answerer(own), SPACE, "full")
    assert np.mean(table["correct"].to_pylist()) > 0.5
    assert table["graders"].to_pylist()[0] == ["judge", "phrases"]
    alone = [answerer([one])["completions"][0] for one in own[:4]]
    assert alone == list(answerer(own)["completions"][:4])


def test_an_attack_stays_near_and_wins(answerer: scene_cnn.Answerer, sources: dict[str, Path]) -> None:
    own = scenes(sources, "train", 32)
    clean = answerer.inputs(own)["image"].float()
    logits, metric = [], registry.find("metrics", "targeted_success")
    for params in ({**defaults(_targeted), "eps": 8.0}, {"eps": 8.0, "steps": 1, "start": False}):
        moved = _targeted.attack(answerer, own, params)["image"]
        assert (moved - clean).abs().max() <= 8
        assert moved.min() >= 0
        assert moved.max() <= 255
        assert torch.equal(moved, moved.round())
        outputs = _targeted.wrap(answerer, params, {})(own)
        table = free_text.rows(own, outputs, SPACE, "full")
        (sums,) = weighted_sums([metric.reduce(Rows(table))], np.ones((len(own), 1), np.uint8))
        logits.append(float(metric.finish(sums)[0]))
        hits = [verdicts[0][1] for verdicts in table["verdicts"].to_pylist()]
        assert logits[-1] == pytest.approx(np.mean(hits))
    before = free_text.rows(own, answerer(own), SPACE, "full")["verdicts"].to_pylist()
    assert logits[0] > np.mean([one[0][1] for one in before])
    assert logits[0] >= logits[1]


def test_attacks_refuse_what_they_cannot_attack(answerer: scene_cnn.Answerer) -> None:
    with pytest.raises(ModelError, match="stand around scene_cnn alone"):
        _targeted.wrap(dict, defaults(_targeted), {})
    with pytest.raises(ParamsError, match="expected 1 or more"):
        _targeted.wrap(answerer, {"eps": 0.0, "steps": 1, "start": True}, {})
    with pytest.raises(ModelError, match="answers otherwise"):
        scene_answers.train(training_jobs.job("convnet", "erm"))


# ------------------------------------------------------------------ scores of rows


def row(shift: str, group: str, value: float, severity: float, reference: str | None) -> Row:
    draws = np.array([value, value / 2])
    names = ("c", "free_text", "w", "plain", None, "mmdt_scenes", "test", reference)
    return Row(*names, shift, severity, group, None, "accuracy", value, draws, 5, 0, "share")


def test_the_image_score_of_rows_is_that_of_samples() -> None:
    """OOD_I2T from metric rows and from a frame of single answers, to 1e-12."""
    import polars as pl

    rng = np.random.default_rng(2)
    frame, rows = [], []
    for shift in (_ood.ORIGINAL, *_ood.STYLES, *_ood.CORRUPTIONS):
        for task in _ood.I2T_TASKS:
            right = rng.random(7) < 0.5
            frame += [(shift, task, bool(one)) for one in right]
            clean = shift == _ood.ORIGINAL
            place = ("identity", 0.0, None) if clean else (shift, 3.0, "mmdt_scenes/test/identity/0")
            rows.append(row(place[0], task, float(right.mean()), place[1], place[2]))
    own = _ood.image_to_text(pl.DataFrame(frame, schema=["scenario", "task", "correct"], orient="row"))
    options = {**defaults(ood_i2t), "severity": 3.0}
    (found,) = ood_i2t.compute(rows, **options)  # type: ignore[arg-type]
    assert found.value == pytest.approx(own["ood"], abs=1e-12)
    assert (found.shift, found.group, found.severity) == (None, None, None)
    (drop,) = ood_i2t.compute(rows, **{**options, "drop": True})  # type: ignore[arg-type]
    assert drop.value == pytest.approx(own["drop"], abs=1e-12)
    assert drop.resamples == pytest.approx([own["drop"], own["drop"] / 2])
    with pytest.raises(ParamsError, match="evaluate all four tasks under"):
        ood_i2t.compute(rows[:-1], **options)  # type: ignore[arg-type]


def test_the_picture_score_of_rows_is_that_of_samples() -> None:
    """One style of OOD_T2I from records and from a frame of single pictures, to 1e-12."""
    import polars as pl

    rng, frame, records = np.random.default_rng(3), [], []
    for task in _ood.T2I_TASKS:
        for _ in range(6):
            texts, passed = [], []
            for trial in range(3):
                refused, right = rng.random() < 0.2, bool(rng.random() < 0.5)
                score = float(rng.random()) if task == "helpfulness" else float(right)
                seen = {"clip_score": score} if task == "helpfulness" else {"parts": [right]}
                texts.append(json.dumps({"refused": True} if refused else seen))
                passed.append(right and not refused and task != "helpfulness")
                frame += [(style, task, trial, score, refused) for style in _ood.T2I_STYLES]
            records.append((task, texts, passed))
    names = ["style", "task", "trial", "value", "refused"]
    own = _ood.text_to_image(pl.DataFrame(frame, schema=names, orient="row"))
    groups, texts, passed = (list(one) for one in zip(*records, strict=True))
    table = pa.table({"group": groups, "completions": texts, "passed": passed})
    weights = np.stack([np.ones(30, np.uint8), rng.poisson(1, 30).astype(np.uint8)], 1)
    found = t2i_style.compute(Rows(table), weights, helpfulness=True)
    assert found[0] == pytest.approx(own["ood"], abs=1e-12)
    copies = table.take(pa.array(np.repeat(np.arange(30), weights[:, 1])))
    ones = np.ones((len(copies), 1), np.uint8)
    assert found[1] == pytest.approx(t2i_style.compute(Rows(copies), ones, helpfulness=True)[0], abs=1e-12)
    assert np.isnan(t2i_style.compute(Rows(table.slice(0, 0)), weights[:0], helpfulness=True)).all()


# ------------------------------------------------------------------ prompts and pictures


def test_a_plain_prompt_is_understood() -> None:
    for sample in prompts(50):
        asked = scene_renderer.parse(sample.fields["meta"]["prompt"])
        objects, task = sample.fields["meta"]["objects"], sample.fields["meta"]["task"]
        if task == "count":
            assert [(one.name, one.number) for one in asked.objects] == [
                (one["object"], one["counts"]) for one in objects
            ]
        elif task == "color":
            assert [(one.name, one.colour) for one in asked.objects] == [
                (one["object"], one["color"]) for one in objects
            ]
        elif task == "spatial":
            assert [one.name for one in asked.objects] == objects[0]["objs"]
            assert [asked.relation] == objects[0]["rel"]
        elif task == "size":
            assert asked.relation == objects[0]["size"]


@pytest.mark.parametrize("name", ["prompt_shakespearean", "prompt_rare_words"])
def test_prompt_shifts_keep_what_a_weaker_severity_changed(name: str, sources: dict[str, Path]) -> None:
    shift: Any = registry.find("shifts", name)
    files = {"sources": sources} if getattr(shift, "SOURCES", ()) else {}
    text = "A picture of two dogs and three dogs and a red dog and one dog."
    changed = []
    for severity in range(6):
        rng = RandomStream(0, name, "d", "k")
        found = shift.apply(text, severity, rng, **files)
        changed.append(sum(found.count(word) for word in ("hound", "tyke", "dog")))
        assert (found == text) == (severity == 0)
    assert shift.apply(text, 5, RandomStream(0, name, "d", "k"), **files).count("dog") == 0


def test_older_words_and_order() -> None:
    shift = registry.find("shifts", "prompt_shakespearean")
    text = "A picture of a red cat between two keys."
    assert shift.apply(text, 5, RandomStream(0, "s", "d", "k")) == (
        "Prithee, show thou me a portraiture of a grimalkin sanguine 'twixt keys twain."
    )


def test_the_renderer_draws_what_it_understands(sources: dict[str, Path]) -> None:
    params = {**defaults(scene_renderer), "threshold": 0.97}
    right = []
    for sample in prompts(20):
        image = scene_renderer.render(sample, 42, sources)
        assert (image.shape, image.dtype) == ((96, 96, 3), np.uint8)
        seen = scene_renderer.look(image, sample.fields["meta"], sources, params)
        json.dumps(seen)
        if "parts" in seen:
            right.append(scene_renderer.verdict(seen) == "yes")
        else:
            assert scene_renderer.verdict(seen) == "a score alone"
            assert 0 <= seen["clip_score"] <= 2.5
    assert np.mean(right) > 0.8
    nothing = Sample("k", {"text": "Naught.", "meta": prompts(2)[1].fields["meta"]})
    empty = scene_renderer.render(nothing, 42, sources)
    seen = scene_renderer.look(empty, nothing.fields["meta"], sources, params)
    assert scene_renderer.verdict(seen) == "no"
