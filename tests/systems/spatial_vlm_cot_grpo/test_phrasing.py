"""Scenes, their questions and answers, and phrasings that turn these round."""

import itertools
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from makers import spatial_miniature
from shiftbench.base import registry
from shiftbench.base.errors import DataError, FetchError, ParamsError, RangeError
from shiftbench.base.registry import defaults
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.evaluation.llm import graders
from shiftbench.systems.spatial_vlm_cot_grpo.datasets import _questions, _scenes, cv_bench, sat, spatial_scenes
from shiftbench.systems.spatial_vlm_cot_grpo.shifts import question_phrasing
from shiftbench.workflow.stages.fetch import fetch

RNG = RandomStream(0, "question_phrasing", "d", "k")


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root, found = tmp_path_factory.mktemp("originals"), {}
    for name in spatial_scenes.SOURCES:
        try:
            fetch(name, root / name, [], offline=True)
        except FetchError as error:
            pytest.skip(f"{name} is not in the cache: {error}")
        found[name] = root / name
    return found


def some(sources: dict[str, Path], split: str = "test", **options: Any) -> list[Sample]:
    given = {**defaults(spatial_scenes), "name": "spatial_scenes", split: 80, **options}
    return list(spatial_scenes.samples(split, sources, given))


def turned(sample: Sample, severity: float, **options: Any) -> Sample:
    return question_phrasing.apply(sample, severity, RNG, **{**defaults(question_phrasing), **options})


# ------------------------------------------------------------------ scenes


def test_the_oracle_is_right_on_all_in_every_phrasing(sources: dict[str, Path]) -> None:
    samples = some(sources, phrasings=[0, 1, 2, 3, 4], test=200)
    for one in samples:
        meta = one.fields["meta"]
        assert _questions.oracle(one.fields["text"], meta["graph"]) == meta["answer"]
        assert meta["answer"] in (_questions.LETTERS if meta["choices"] else _questions.NUMBERS)
    assert Counter(one.fields["meta"]["family"] for one in samples) == dict.fromkeys(_questions.FAMILIES, 50)
    two = [one.fields["meta"] for one in samples if len(one.fields["meta"]["choices"]) == 2]
    assert 0.35 < np.mean([meta["answer"] == "A" for meta in two]) < 0.65


def test_the_oracle_is_right_after_the_shift(sources: dict[str, Path]) -> None:
    for one, severity in itertools.product(some(sources, families=["depth", "distance"]), range(5)):
        found = turned(one, severity).fields
        assert _questions.oracle(found["text"], found["meta"]["graph"]) == found["meta"]["answer"]
        assert (found["image"] == one.fields["image"]).all()


def test_things_are_where_and_as_large_as_their_graph_says(sources: dict[str, Path]) -> None:
    for one in some(sources, test=40):
        image, things = one.fields["image"], one.fields["meta"]["graph"]["objects"]
        assert image.shape == (32, 32, 3)
        assert image.dtype == np.uint8
        assert 3 <= len(things) <= 5
        for key in ("name", "depth"):
            assert len({thing[key] for thing in things}) == len(things)
        nearest = min(things, key=lambda thing: thing["depth"])
        assert nearest["side"] == 14 - nearest["depth"]
        left, top = ((nearest[axis] - nearest["side"]) // 2 for axis in ("x", "y"))
        inside = image[top : top + nearest["side"], left : left + nearest["side"]]
        colour = np.array(_scenes.COLOURS[nearest["name"]])
        strong = inside[..., colour > 200].min(-1) > 60
        assert strong.any(), "the nearest thing is painted last"
        assert inside.max() <= 256 - 24 * nearest["depth"] or len(things) > 1


def test_train_and_test_have_other_cut_outs(sources: dict[str, Path]) -> None:
    places = [str(sources[name]) for name in ("animal_shape", "fashion_mnist")]
    train, test = (_scenes.pools(*places, part) for part in ("train", "test"))
    for kind in _scenes.KINDS:
        one, other = ({image.tobytes() for image in pool[kind]} for pool in (train, test))
        assert not one & other


def test_answers_by_hand() -> None:
    things = [
        {"name": "red", "kind": "animal", "x": 10, "y": 20, "depth": 1, "side": 13},
        {"name": "blue", "kind": "garment", "x": 40, "y": 20, "depth": 6, "side": 8},
        {"name": "pink", "kind": "animal", "x": 44, "y": 40, "depth": 4, "side": 10},
    ]
    graph = {"objects": things}
    for text, answer in {
        "How many animals are there?": "2",
        "Where is blue located with respect to red?\n(A) left\n(B) right": "B",
        "Which object is closer to the camera?\n(A) red\n(B) blue": "A",
        "Which object is farther from the camera?\n(A) red\n(B) blue": "B",
        "Which object is not closer to the camera?\n(A) blue\n(B) red": "A",
        # Pink is 4, 20 and 2 steps (16) off blue: 672. Red is 30, 0 and 5 steps (40): 2500.
        "Which object is nearer to blue?\n(A) red\n(B) pink": "B",
    }.items():
        assert _questions.oracle(text, graph) == answer, text
    assert _questions.squared(things[1], things[2]) == 16 + 400 + 256
    with pytest.raises(DataError, match="does not hold"):
        _questions.oracle("Which object is closer to the camera?\n(A) red\n(B) cyan", graph)
    with pytest.raises(DataError, match="none of the questions"):
        _questions.oracle("What is it?", graph)
    assert _questions.relevant("depth", things[:2]) == "{ red x1 y2 d1 blue x5 y2 d6 red closer blue }"
    assert _questions.relevant("count", things[:1]) == "{ red x1 y2 d1 }"


@pytest.mark.parametrize("options", [{"families": ["depht"]}, {"phrasings": [7]}, {"families": []}])
def test_what_is_no_family_or_phrasing(sources: dict[str, Path], options: dict[str, Any]) -> None:
    with pytest.raises(ParamsError, match=next(iter(options))):
        some(sources, **options)


# ------------------------------------------------------------------ phrasings


def question(of: str = "the camera", answer: str = "A", **meta: Any) -> Sample:
    text = f"Which object is closer to {of}?\n(A) red\n(B) blue"
    return Sample("a", {"text": text, "meta": {"choices": ["red", "blue"], "answer": answer, **meta}})


@pytest.mark.parametrize(
    ("severity", "text", "answer"),
    [
        (0, "closer to the camera?\n(A) red\n(B) blue", "A"),
        (1, "nearer to the camera?\n(A) red\n(B) blue", "A"),
        (2, "farther from the camera?\n(A) red\n(B) blue", "B"),
        (3, "not closer to the camera?\n(A) red\n(B) blue", "B"),
        (4, "farther from the camera?\n(A) blue\n(B) red", "A"),
    ],
)
def test_severities_by_hand(severity: int, text: str, answer: str) -> None:
    found = turned(question(), severity)
    assert found.fields["text"] == f"Which object is {text}"
    assert found.fields["meta"]["answer"] == answer
    twice = turned(found, severity)
    assert twice == question(), "applied twice it gives back question and answer"


def lettered(**changes: Any) -> Sample:
    row = spatial_miniature.row("Distance", 1)
    meta = {"choices": row["choices"], "answer": "A", "graders": ["choice"]}
    return Sample("cv", {"text": row["prompt"], "meta": {**meta, **changes}})


def test_the_official_rewrite_word_for_word() -> None:
    one = lettered()
    found = turned(one, 2, form="official")
    text = one.fields["text"]
    assert found.fields["text"] == text.replace("Which object is closer to", "Which object is far away from")
    assert "Which object is far away from the table" in found.fields["text"]
    assert found.fields["text"].endswith("(A) lamp\n(B) bookcase"), "options stay as they are"
    assert found.fields["meta"] == {**one.fields["meta"], "answer": "B"}
    assert turned(found, 2, form="official") == one


def test_a_letter_stays_where_its_option_leaves_it() -> None:
    one = lettered()
    found = turned(one, 4)
    assert found.fields["text"].endswith("(A) bookcase\n(B) lamp")
    assert "farther from the table" in found.fields["text"]
    # Lamp was right; of what is farther the bookcase is, which now has the letter A.
    assert found.fields["meta"]["answer"] == "A"
    assert found.fields["meta"]["choices"] == ["bookcase", "lamp"]
    assert turned(found, 4) == one


def test_questions_without_the_trigger_are_told() -> None:
    other = Sample("a", {"text": "How many?", "meta": {"choices": ["1", "2"], "answer": "1"}})
    with pytest.raises(DataError, match="has neither 'Which object is closer to'"):
        turned(other, 2)
    marked = turned(other, 2, untriggered="mark")
    assert marked.fields["text"] == "How many?"
    assert marked.fields["meta"]["group"] == "no trigger"
    assert turned(other, 0) == other


def test_what_it_does_not_take() -> None:
    with pytest.raises(RangeError, match="none of form 'official'"):
        turned(question(), 1, form="official")
    with pytest.raises(RangeError, match="none of form 'words'"):
        turned(question(), 1.5)
    with pytest.raises(ParamsError, match="form is 'word'"):
        turned(question(), 1, form="word")
    with pytest.raises(ParamsError, match="untriggered is"):
        turned(question(), 1, untriggered="keep")
    with pytest.raises(DataError, match="3 options"):
        turned(question(choices=["a", "b", "c"]), 2)
    with pytest.raises(DataError, match="the letters A and B"):
        turned(question(answer="pink"), 2)
    with pytest.raises(DataError, match="does not end in its options"):
        turned(question(choices=["blue", "red"]), 4)
    with pytest.raises(DataError, match="whole Sample"):
        turned(Sample("a", {"text": "x"}), 1)


def test_fine_tuning_sees_no_phrase_of_the_shift(sources: dict[str, Path]) -> None:
    own = some(sources, "train", families=["depth", "distance"], train=200)
    for phrase in {*_questions.PHRASES.values(), _questions.OFFICIAL} - {_questions.TRIGGER}:
        assert not any(phrase in one.fields["text"] for one in own), phrase
    assert all(_questions.TRIGGER in one.fields["text"] for one in own)
    mixture = some(sources, "train", phrasings=[0, 1, 2, 3], train=200)
    assert {len(set(one.fields["text"].split()) & {"nearer", "farther", "not"}) for one in mixture} == {0, 1}


# ------------------------------------------------------------------ the hub's files


def read(name: str, root: Path, split: str = "test", **options: Any) -> list[Sample]:
    module = registry.find("datasets", name)
    _, given = getattr(spatial_miniature, name)(root)
    return list(module.samples(split, {}, {**defaults(module), **given, "name": name, **options}))


@pytest.mark.parametrize("task", cv_bench.TASKS)
def test_cv_bench(task: str, tmp_path: Path) -> None:
    found = read("cv_bench", tmp_path, task=task)
    assert len(found) == 7
    for one in found:
        meta, number = one.fields["meta"], int(one.key.rpartition("/")[2])
        row = spatial_miniature.row(task, number)
        assert one.fields["text"] == row["prompt"]
        assert f"({meta['answer']})" == row["answer"]
        assert meta["choices"] == row["choices"]
        assert meta["group"] == row["source"]
        assert one.fields["image"].shape == (9, 12, 3)
    assert len(read("cv_bench", tmp_path, task=task, batch=5)) == 5, "the last two fill no batch"
    assert len(read("cv_bench", tmp_path, task=task, batch=50)) == 0


def test_counts_off_by_one(tmp_path: Path) -> None:
    first, second = (one.fields["meta"] for one in read("cv_bench", tmp_path, task="Count")[:2])
    assert first["graders"] == ["choice", "close"]
    # 4, 3, 0, 7, of which B, 3, is right; and 3, 0, 7, of which 0 is, and none is off by one.
    assert [graders.close(letter, first) for letter in "ABCDE"] == [True, *[False] * 4]
    assert [graders.close(letter, second) for letter in "ABC"] == [False] * 3
    assert graders.close("well", first) is None


def test_sat(tmp_path: Path) -> None:
    found = read("sat", tmp_path, "train")
    assert len(found) == 24, "a fifth has two images"
    assert len(read("sat", tmp_path, "train", first=10)) == 8, "rows are counted before they are left out"
    assert len(read("sat", tmp_path, "val", first=3)) == 8
    for one in found:
        meta, text = one.fields["meta"], one.fields["text"]
        assert text.startswith("Answer in natural language. Which is closer to the camera")
        assert text.endswith(f"Choose between the following options: {' or '.join(meta['choices'])}")
        assert sorted(meta["choices"]) == ["a cup, blue", "a lamp"]
        assert meta["answer"] in meta["choices"]
        assert meta["group"] == "relative_depth"
    assert len({tuple(one.fields["meta"]["choices"]) for one in found}) == 2, "options are shuffled"
    assert sat.prompt("Q?", ["a", "b", "c"]) == (
        "Answer in natural language. Q? Choose between the following options: a, b or c"
    )


def test_rows_that_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="task is 'depth'"):
        read("cv_bench", tmp_path, task="depth")
    with pytest.raises(ParamsError, match="path is missing"):
        list(cv_bench.samples("test", {}, {**defaults(cv_bench), "name": "cv_bench"}))
    with pytest.raises(DataError, match="has no file"):
        list(sat.samples("val", {}, {**defaults(sat), "name": "sat", "path": str(tmp_path / "none")}))
    wrong = {**spatial_miniature.row("Depth", 0), "answer": "(E)"}
    spatial_miniature.parquet(tmp_path / "bad" / "test.parquet", [wrong])
    with pytest.raises(DataError, match="a letter in brackets of 2 options"):
        list(cv_bench.samples("test", {}, {**defaults(cv_bench), "name": "c", "path": str(tmp_path / "bad")}))
