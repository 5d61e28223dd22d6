"""SceneGraph CoT: graphs read from replies, prompts of one and two calls, a stub that is asked for both, metrics."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from makers import spatial_miniature
from shiftbench.base import registry
from shiftbench.base.errors import DataError, ModelError, ParamsError
from shiftbench.base.registry import defaults
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.contracts.metric_inputs import value
from shiftbench.evaluation import nets
from shiftbench.evaluation.llm import graders
from shiftbench.plugins.models import _given
from shiftbench.systems.spatial_vlm_cot_grpo.datasets import cv_bench, sat
from shiftbench.systems.spatial_vlm_cot_grpo.methods import _prompts, bare_letter, two_call
from shiftbench.systems.spatial_vlm_cot_grpo.models import patch_decoder, vlm_replies
from shiftbench.systems.spatial_vlm_cot_grpo.shifts import question_phrasing

# ------------------------------------------------------------------ graphs and answers

DIRECT_CALL, SINGLE_CALL = (registry.find("methods", name) for name in ("direct_call", "single_call"))
GRAPH = '{"objects": [{"name": "lamp"}]}'


@pytest.mark.parametrize(
    ("reply", "graph"),
    [
        (f"First ```json\n{{}}\n``` then:\n```\n{GRAPH}\n``` done", GRAPH),  # the last fenced block
        (f"```json\n{GRAPH}\n``` and {{not this}}", GRAPH),  # fences come before braces
        (f"One {{a}}, then {GRAPH} and that is all.", GRAPH),  # the last object, nested ones whole
        ("an open { brace <code> lamp left of sofa </code>", "lamp left of sofa"),  # tagged
        ("<CODE>one</CODE> <code>two</code>", "two"),
        ("the lamp is left of the sofa", "the lamp is left of the sofa"),  # the whole reply
        ("", ""),
        ("{ red x3 y1 d2 }", "{ red x3 y1 d2 }"),
    ],
)
def test_graphs_by_the_paper(reply: str, graph: str) -> None:
    assert two_call.graph_of(reply) == graph


def released(full_response: str) -> str:
    """Return what the released function extracts, strategy by strategy in its order."""

    def loads(text: str) -> bool:
        try:
            json.loads(text)
        except ValueError:
            return False
        return True

    blocks = list(re.finditer(r"```(?:json)?\s*([\s\S]*?)\s*```", full_response, re.IGNORECASE))
    if blocks and loads(blocks[-1].group(1).strip()):
        return blocks[-1].group(1).strip()
    if loads(full_response):
        return full_response
    objects = list(re.finditer(r"({[\s\S]*?})(?:\s*$|\n)", full_response))
    if objects and loads(objects[-1].group(1)):
        return objects[-1].group(1)
    labels = list(re.finditer(r"Scene Graph:?\s*([\s\S]*)", full_response, re.IGNORECASE))
    if labels and loads(labels[-1].group(1).strip()):
        return labels[-1].group(1).strip()
    return "{}"


@pytest.mark.parametrize(
    ("reply", "graph"),
    [
        (f"```json\n{GRAPH}\n```", GRAPH),
        (GRAPH, GRAPH),
        (f"Here it is:\n{GRAPH}\n", GRAPH),
        ("Scene Graph: [1, 2]", "[1, 2]"),
        (f"```\nno json\n```\n{GRAPH}", GRAPH),
        ("```\nno json\n```", "{}"),
        ("the lamp is left of the sofa", "{}"),
        ("{ red x3 y1 d2 }", "{}"),
    ],
)
def test_graphs_by_the_released_script(reply: str, graph: str) -> None:
    assert two_call.graph_of(reply, "released") == graph == released(reply)


def test_answers_of_replies() -> None:
    assert two_call.answer("so I think <answer> B </answer>.") == "B"
    assert two_call.answer("It is (C), the lamp") == "C"
    assert two_call.answer("  the lamp\n") == "the lamp"
    assert two_call.answer("{ red x1 } so A", " so ") == "A"
    assert two_call.answer("{ red x1 } so so B", " so ") == "B"
    with pytest.raises(ParamsError, match="graph_rule is 'code'"):
        two_call.graph_of("", "code")
    with pytest.raises(ParamsError, match="form is 'official'"):
        _prompts.of("official")


def official_letter(text: str) -> str:
    """Return what the released `normalize_answer` makes of a completion of a task of CV-Bench."""
    if not text:
        return ""
    text = text.lower().strip()
    if "\n" in text:
        text = text.split("\n")[-1].strip()
    match = re.search(r"\(([a-z])\)", text) or re.search(r"\b([a-z])\b", text)
    choice = match.group(1).lower() if match else text
    return choice.lower() if choice and choice.lower() in "abcde" else text


@pytest.mark.parametrize(
    "text", ["(B) lamp", "B", "it is a lamp", "the lamp", "no\n(D)", "(f) then b", "b. or (a)", "", "I say C"]
)
def test_the_official_reading_of_letters(text: str) -> None:
    assert bare_letter.letter(text).lower() == official_letter(text) or not text.strip()
    own = bare_letter.wrap(lambda _: _texts([[text, "x (a)"]]), {}, {})
    assert own([Sample("a", {})])["completions"][0] == (bare_letter.letter(text), "A")


# ------------------------------------------------------------------ calls


def _texts(rows: list[list[str]]) -> nets.Outputs:
    found = np.empty(len(rows), object)
    for at, row in enumerate(rows):
        found[at] = tuple(row)
    return {"completions": found}


class Stub:
    """A vision-language model that writes a graph when it is asked for one, and else an answer."""

    def __init__(self) -> None:
        self.asked: list[Sample] = []

    def __call__(self, sample: Sample) -> list[str]:
        self.asked.append(sample)
        if "generate a scene graph in JSON format" in sample.fields["text"]:
            return [f"Let me see.\n```json\n{GRAPH}\n```"]
        return [f"I think <answer>({sample.fields['meta']['answer']})</answer>", "(A)", "(B)", "(A)", "(A)"]


def items(root: Path, count: int = 2) -> list[Sample]:
    _, given = spatial_miniature.cv_bench(root)
    options = {**defaults(cv_bench), **given, "name": "cv_bench_distance", "task": "Distance"}
    return list(cv_bench.samples("test", {}, options))[:count]


def test_a_dry_run_of_both_calls_on_a_stub(tmp_path: Path) -> None:
    samples, stub, file = items(tmp_path), Stub(), tmp_path / "stub.jsonl"
    options = {**defaults(two_call), "form": "paper"}
    asking = two_call.wrap(vlm_replies.recording(file, stub), options, {})
    found = asking(samples)["completions"]
    assert [graders.correct(own[0], one.fields["meta"]) for own, one in zip(found, samples, strict=True)] == [
        True,
        True,
    ]
    first, second = stub.asked[:2], stub.asked[2:]
    assert len(stub.asked) == 4, "two calls of two items"
    for asked, one in zip([*first, *second], samples * 2, strict=True):
        assert one.fields["text"] in asked.fields["text"]
        assert (asked.fields["image"] == one.fields["image"]).all()
    for asked in first:
        assert "<answer>" not in asked.fields["text"], "the first call never asks for the answer"
        assert "generate a scene graph in JSON format" in asked.fields["text"]
    assert all(f"Scene Graph: {GRAPH}" in asked.fields["text"] for asked in second)
    # What was recorded is looked up, under the method and under the shift that it was asked for.
    loaded = replies(file)
    assert two_call.wrap(loaded, options, {})(samples)["completions"].tolist() == found.tolist()
    turned = [
        question_phrasing.apply(one, 2, RandomStream(0, "q", "d", one.key), form="official", untriggered="error")
        for one in samples
    ]
    with pytest.raises(ModelError, match=r"has no reply for .*, and for 1 more"):
        loaded(turned)
    vlm_replies.recording(file, stub)(turned)
    again = bare_letter.wrap(replies(file), {}, {})(turned)["completions"]
    assert [own[0] for own in again] == [one.fields["meta"]["answer"] for one in turned]
    assert len(again[0]) == 5, "greedy, then four that are drawn"
    count = len(stub.asked)
    vlm_replies.recording(file, stub)(turned)
    assert len(stub.asked) == count, "what is recorded is not asked again"


def replies(file: Path) -> nets.Predictor:
    """Return the predictor of a file of replies, as the trainer `given` brings it."""
    weights = file.with_suffix(".safetensors")
    weights.write_bytes(nets.state_bytes(_given.state(str(file)), {"classes": "[]"}))
    return vlm_replies.load(weights, {"path": str(file)}, (), "cpu", {})


def asked_by(method: Any, form: str, samples: list[Sample], stub: Stub) -> list[str]:
    """Return the prompts of a method, first calls first."""
    stub.asked.clear()
    options = {**defaults(method), "form": form}
    method.wrap(lambda own: _texts([list(stub(one)) for one in own]), options, {})(samples)
    return [one.fields["text"] for one in stub.asked]


def test_the_released_prompts_word_for_word(tmp_path: Path) -> None:
    (one,) = items(tmp_path, 1)
    question = (
        "Estimate the real-world distances between objects in this image. Which object is closer to the table "
        "(highlighted by a red box), the bookcase (highlighted by a blue box) or the lamp (highlighted by a green box)?"
    )
    number = one.key.rpartition("/")[2]
    if int(number) % 2:
        question = question.replace("bookcase", "things").replace("lamp", "bookcase")
        question = question.replace("things", "lamp")
    listed = "(A) bookcase (B) lamp" if int(number) % 2 == 0 else "(A) lamp (B) bookcase"
    first, second = asked_by(two_call, "released", [one], Stub())
    # CoT/CV_Bench_Kluster_Batch_Scene_graph.py, `process_batch` and `process_scene_graphs`: system text, then message.
    assert _prompts.turns(first) == (
        "You are an AI assistant that generates scene graphs based on images and questions.",
        (
            f"{question} {listed}\n\n\n"
            "For the provided image and its associated question, think and generate a scene graph in JSON format that "
            "includes the following:\n"
            "1. Objects that are relevant to answering the question\n"
            "2. Object attributes that are relevant to answering the question\n"
            "3. Object relationships that are relevant to answering the question\n"
            "Enclose the final scene graph in ```\nscene_graph_here\n```\n"
        ),
    )
    system, message = _prompts.turns(second)
    assert system == (
        "You are an AI assistant proficient in Visual and Spatial reasoning with tasks involving counting, relations, "
        "depth, distances, etc. Think based on the image and the JSON scene graph and then answer. Final answer should "
        "be provided between <answer> </answer> tags. All questions are multiple choice, provide the letter (A, B, C, "
        "or D) of the correct answer after thinking."
    )
    assert message == (
        f"Scene Graph: {GRAPH}\n\n\nUse the image and scene graph as context and answer the following question:\n\n"
        f"{question} {listed}\n\nAnswer with the option's letter from the given choices directly."
    )
    # CoT/CV_Bench_kluster_batch.py.
    (direct,) = asked_by(DIRECT_CALL, "released", [one], Stub())
    assert _prompts.turns(direct) == (
        (
            "Final answer should be provided between <answer> </answer> tags. All questions are multiple choice, just "
            "provide the letter (A, B, C, or D) of the correct answer."
        ),
        f"{question} Select from the following choices. {listed}",
    )


def test_the_papers_prompts_have_the_samples_text(tmp_path: Path) -> None:
    (one,) = items(tmp_path, 1)
    first, second = asked_by(two_call, "paper", [one], Stub())
    assert _prompts.turns(first)[0].startswith(
        "You are an AI assistant proficient in visual and spatial reasoning with tasks involving counting, relations, "
        "depth, distances, etc., and generate scene graphs"
    )
    assert f"\n\n{one.fields['text']}\n\nFor the provided image" in first
    assert second.endswith(f"answer the following question.\n\n{one.fields['text']}")


@pytest.mark.parametrize("form", list(_prompts.FORMS))
def test_no_text_of_a_sample_is_taken_for_a_field(form: str) -> None:
    meta = {"question": "What is {graph}?", "choices": ["{text}", "{options}"], "answer": "A"}
    one = Sample("a", {"text": "{graph} or {question}", "meta": {**meta, "graders": ["choice"]}})
    found = _prompts.filled(_prompts.of(form).answer, one, "{text}")
    assert found.count("{text}") == 1 + (form in ("released", "sat"))
    with pytest.raises(DataError, match="sample 'b' has no meta.question"):
        _prompts.filled("{question}", Sample("b", {"text": "x", "meta": {}}))


def test_a_turned_question_is_turned_in_the_released_prompt(tmp_path: Path) -> None:
    (one,) = items(tmp_path, 1)
    rng = RandomStream(0, "q", "d", one.key)
    turned = question_phrasing.apply(one, 2, rng, form="official", untriggered="error")
    (prompt,) = asked_by(DIRECT_CALL, "released", [turned], Stub())
    assert "Which object is far away from the table" in prompt
    assert "closer to" not in prompt


@pytest.mark.parametrize("options", ["words", "letters"])
def test_sat_is_answered_as_it_is_asked(tmp_path: Path, options: str) -> None:
    _, given = spatial_miniature.sat(tmp_path)
    params = {**defaults(sat), **given, "name": "sat", "options": options}
    for one in sat.samples("val", {}, params):
        meta = one.fields["meta"]
        assert graders.correct(meta["answer"], meta)
        if options == "letters":
            assert one.fields["text"] == f"{meta['question']}\n\nA. a cup, blue\nB. a lamp"
            assert meta["choices"][ord(meta["answer"]) - ord("A")] in ("a cup, blue", "a lamp")
            assert graders.correct(f"<answer>{meta['answer']}</answer>".strip("<answer>/"), meta)
            (direct,) = asked_by(DIRECT_CALL, "sat", [one], Stub())
            assert _prompts.turns(direct)[1] == one.fields["text"]
    with pytest.raises(ParamsError, match="options is 'numbers'"):
        next(iter(sat.samples("val", {}, {**params, "options": "numbers"})))


def test_replies_of_another_form(tmp_path: Path) -> None:
    file = tmp_path / "theirs.jsonl"
    file.write_text('{"key": "a", "prompt": "p", "completions": ["x"]}\n{"key": "b"}\n')
    with pytest.raises(ModelError, match="line 2: expected a JSON object with key, prompt"):
        vlm_replies.read(file)


def test_the_description_control(tmp_path: Path) -> None:
    samples, stub = items(tmp_path), Stub()
    options = {**defaults(two_call), "form": "paper", "describe": True}
    two_call.wrap(lambda own: _texts([list(stub(one)) for one in own]), options, {})(samples)
    assert all("Describe the objects in this image: their color" in one.fields["text"] for one in stub.asked[:2])
    assert all("generate a scene graph in JSON" not in one.fields["text"] for one in stub.asked[:2])
    assert all("Scene Graph: I think <answer>" in one.fields["text"] for one in stub.asked[2:]), (
        "all of the reply goes on"
    )


def small() -> nets.Predictor:
    torch.manual_seed(0)
    options = {**defaults(patch_decoder), "width": 16, "heads": 2, "max_new_tokens": 7}
    return patch_decoder.predictor(patch_decoder.build(options, 0), patch_decoder, options, "cpu", "float32")


def asked(count: int = 4) -> list[Sample]:
    image = np.zeros((32, 32, 3), np.uint8)
    return [
        Sample(
            f"toy/test/{at}",
            {
                "image": image + 20 * at,
                "text": f"Which object is {'not ' * (at % 2)}closer to the camera?\n(A) red\n(B) blue",
                "meta": {"answer": "A", "graders": ["exact"]},
            },
        )
        for at in range(count)
    ]


def test_the_decoder_answers_and_writes() -> None:
    predict, samples = small(), asked()
    found = predict(samples)["completions"]
    assert [len(own) for own in found] == [5] * 4
    assert all(len(text.split()) <= 1 for own in found for text in own)
    assert found.tolist() == [predict([one])["completions"][0] for one in samples]
    long = [one.with_field("text", one.fields["text"] + "\ngraph:") for one in samples]
    written = predict([*samples[:1], *long])["completions"]
    assert written[0] == found[0]
    assert all(len(own) == 1 for own in written[1:])
    assert max(len(own[0].split()) for own in written[1:]) > 1
    for module in (two_call, SINGLE_CALL):
        answers = module.wrap(predict, defaults(module), {})(samples)["completions"]
        assert [len(own) for own in answers] == [1] * 4


def test_draws_follow_the_probabilities() -> None:
    logits = torch.log(torch.tensor([[0.5, 0.25, 0.25]]))
    uniforms = torch.tensor([[0.0, 0.49, 0.51, 0.76, 0.999]], dtype=torch.float64)
    assert patch_decoder.draw(logits, uniforms, 1.0).tolist() == [[0, 0, 1, 2, 2]]
    assert patch_decoder.draw(logits, uniforms, 0.01).tolist() == [[0] * 5]


# ------------------------------------------------------------------ metrics


def records(passed: list[list[bool]], verdicts: list[list[list[bool | None]]]) -> pa.Table:
    return pa.table({"passed": passed, "verdicts": verdicts})


def test_metrics_by_hand() -> None:
    passed = [[True] + [False] * 4, [False] * 4 + [True], [False] * 5, [True], [True, True]]
    # Right; wrong and off by one; wrong and far off; unreadable; of one grader; off by one in the second alone.
    verdicts: list[list[list[bool | None]]] = [
        [[True, False]],
        [[False, True]],
        [[None, False]],
        [[False]],
        [[False, False], [False, True]],
    ]
    table = records(passed, verdicts)
    pass_at_4, close = (registry.find("metrics", name) for name in ("pass_at_4", "close_call_rate"))
    # The greedy one does not count where four were drawn; of fewer all do.
    assert value(pass_at_4, table)[0] == pytest.approx(3 / 5)
    assert value(pass_at_4, table, k=1)[0] == pytest.approx(3 / 5)
    assert value(close, table)[0] == pytest.approx(1 / 3)


def test_metrics_of_nothing() -> None:
    table = records([[True]], [[[False]]])
    assert np.isnan(value(registry.find("metrics", "close_call_rate"), table)).all()


@pytest.mark.parametrize("said", ["({})", "{}", "{}.", "The answer is {}.", "{} it is\n({})"])
def test_close_calls_whatever_the_form_of_the_letter(said: str, tmp_path: Path) -> None:
    _, given = spatial_miniature.cv_bench(tmp_path)
    options = {**defaults(cv_bench), **given, "name": "c", "task": "Count"}
    one = next(iter(cv_bench.samples("test", {}, options)))
    meta = one.fields["meta"]
    # 4, 3, 0, 7, of which B, 3, is right and A off by one.
    for letter, right, near in (("A", False, True), ("B", True, False), ("C", False, False)):
        reply = said.replace("{}", letter)
        for read in (reply, bare_letter.letter(reply), two_call.answer(f"<answer>{reply}</answer>")):
            verdicts = [graders.grade(name, read, meta) for name in meta["graders"]]
            assert verdicts == [right, near], (read, letter)


def test_counts_of_the_decoder_are_judged_twice() -> None:
    meta: dict[str, Any] = {"graders": ["exact", "phrases"], "answer": "2", "phrases": ["1", "3"]}
    said = {text: [graders.grade(name, text, meta) for name in meta["graders"]] for text in "1245"}
    assert said == {"1": [False, True], "2": [True, False], "4": [False, False], "5": [False, False]}
