"""ReCode's own parts: coders that look solutions up, the judge of bodies, recorded completions, the released files."""

from __future__ import annotations

import json

import numpy as np
import pytest

from makers import shift_digests, training_jobs
from shiftbench import plugins
from shiftbench.errors import DataError, ModelError, ParamsError
from shiftbench.inference import nets
from shiftbench.llm import answer_cache, client
from shiftbench.rng import RandomStream
from shiftbench.sample import Sample
from shiftbench.sandbox import pool
from shiftbench.systems.recode.datasets import _recode_release
from shiftbench.systems.recode.models import (
    _bodies,
    _choices,
    code_llm,
    smollm2_choice,
)
from shiftbench.tasks import generation

ADD = 'def add(a, b):\n    """ Add two numbers. """\n'
LONGEST = 'def longest(words):\n    """ Return the longest of some words. """\n'
BODIES = {
    ADD: "    return a + b\n",
    LONGEST: "    best = ''\n    for word in words:\n        if len(word) > len(best):\n            best = word\n"
    "    return best\n",
}


def problem(prompt, number=0, **meta):
    entry = prompt[4 : prompt.index("(")]
    own = {"task_id": f"t/{number}", "entry_point": entry, "test": "def check(candidate): pass\n"}
    own["canonical_solution"] = BODIES.get(prompt, "    pass\n")
    return Sample(f"toy/test/{number:03d}", {"text": prompt, "meta": {**own, **meta}})


@pytest.fixture
def weights(tmp_path):
    state = _bodies.packed([problem(text, number) for number, text in enumerate(BODIES)])
    file = tmp_path / "w.safetensors"
    file.write_bytes(nets.state_bytes(state, {"classes": "[]"}))
    return file


def predictor(name, weights, **options):
    model = plugins.find("models", name)
    return model.load(weights, {**model.PARAMS, **options}, [], "cpu", {})


def first(predict, sample):
    return predict([sample])["completions"][0][0]


@pytest.mark.parametrize("name", ["retrieval_word", "retrieval_char"])
def test_a_coder_gives_the_solution_of_the_nearest_problem(name, weights):
    predict = predictor(name, weights)
    assert [first(predict, problem(text)) for text in BODIES] == list(BODIES.values())
    typos = problem(LONGEST.replace("longest of some", "lnogest of smoe"))
    assert first(predict, typos) == BODIES[LONGEST]
    assert (
        first(predict, problem(LONGEST.replace('"""', "#", 1).replace('"""', "")))
        == BODIES[LONGEST]
    )
    by_name = predictor(name, weights, view="name")
    assert first(by_name, problem(LONGEST.replace("Return", "Add"))) == BODIES[LONGEST]
    with pytest.raises(ParamsError, match=r"view is 'nmae' \(did you mean name\?\)"):
        predictor(name, weights, view="nmae")


def test_words_are_lost_by_typos_and_letters_are_not(weights):
    # Neither word is in the docstring any more; half of the letters' sequences are.
    typos = problem(
        LONGEST.replace("Return the longest of some words", "Retunr teh longets fo soem wrods")
    )
    assert first(predictor("retrieval_char", weights), typos) == BODIES[LONGEST]
    assert first(predictor("retrieval_word", weights), typos) == BODIES[ADD]  # the first of all


def test_a_body_takes_the_name_and_the_tabs_of_its_prompt():
    recursive = _bodies.Problem("k", "", "f", "    if n:\n        return f(n - 1) + off(n)\n")
    sample = problem("def g(n):\n\tpass\n")
    assert _bodies.fitted(recursive, sample) == "\tif n:\n\t\treturn g(n - 1) + off(n)\n"


def test_weights_must_hold_problems(tmp_path):
    training_jobs.write(tmp_path / "w.safetensors", {"x": __import__("torch").zeros(1)})
    with pytest.raises(
        ModelError, match="holds no problems; make it with the trainer `retrieval_index`"
    ):
        predictor("retrieval_word", tmp_path / "w.safetensors")


def test_the_index_is_the_clean_problems():
    samples = [problem(text, number) for number, text in enumerate(BODIES)]
    job = training_jobs.job("retrieval_word", "retrieval_index", train=samples)
    object.__setattr__(job, "samples", lambda _: samples)
    state = plugins.find("trainers", "retrieval_index").train(job)
    assert [row["key"] for row in json.loads(state["problems.json"].numpy().tobytes())] == [
        sample.key for sample in samples
    ]


# ------------------------------------------------------------------ choosing


def test_bodies_to_choose_from_are_the_problem_s_whatever_its_prompt(weights):
    known = _bodies.unpacked(weights)
    found = _choices.bodies(problem(LONGEST, 1), known)
    assert found[0] == BODIES[LONGEST]
    assert BODIES[ADD] in found
    typos = problem(LONGEST.replace("Return", "retrun"), 1, canonical_solution=BODIES[LONGEST])
    assert found == _choices.bodies(typos, known)
    mutants = _choices.mutants(LONGEST, BODIES[LONGEST])
    assert any(">=" in one for one in mutants)
    assert BODIES[LONGEST] not in mutants
    assert _choices.mutants("def f(:\n", "    pass\n") == []
    loop = "    total = 0\n    for i in range(n):\n        total += i * 2\n    return total\n"
    some = _choices.mutants("def f(n):\n", loop)
    assert any("range(n - 1)" in one for one in some)
    assert any("range(n)" in one and "total = 1" in one for one in some)
    assert all(
        pool.essence("def f(n):\n" + one) != pool.essence("def f(n):\n" + loop) for one in some
    )


def test_scores_are_read_from_the_record_or_missed(weights, tmp_path, monkeypatch):
    monkeypatch.setattr(smollm2_choice, "ANSWERS", tmp_path)
    sample = problem(ADD, 0)
    with pytest.raises(
        DataError, match=r"holds no scores of a prompt that begins 'def add.*`generate`"
    ):
        first(predictor("smollm2_choice", weights), sample)
    bodies = _choices.bodies(sample, _bodies.unpacked(weights))
    key = smollm2_choice._key(smollm2_choice.PARAMS, ADD, bodies)
    scores = [-1.0] * len(bodies)
    scores[1] = -0.5
    answer_cache.Answers(tmp_path).put(key, json.dumps(scores))
    assert first(predictor("smollm2_choice", weights), sample) == bodies[1]


# ------------------------------------------------------------------ writing


def test_completions_are_recorded_answers_cut_at_the_next_statement(weights, tmp_path, monkeypatch):
    monkeypatch.setattr(code_llm, "ANSWERS", tmp_path)
    options = {**code_llm.PARAMS, "samples": 2, "temperature": 0.2}
    sample = problem(ADD)
    requests = code_llm.asks([sample], options, {})
    assert [request.seed for request in requests] == [0, 1]
    assert requests[0].messages[-1][1].endswith(ADD)  # verbatim, to the last newline
    kept = answer_cache.Answers(tmp_path)
    texts = ("    return a + b\n\nprint(add(1, 2))\n", "    return a - b\n```\nSo it is")
    for request, text in zip(requests, texts, strict=True):
        kept.put(request.key(client.identity("smollm2_135m")), text)
    found = predictor("code_llm", weights, samples=2, temperature=0.2)([sample])
    assert found["completions"][0] == ("    return a + b\n\n", "    return a - b\n")
    with pytest.raises(DataError, match="holds no answer of smollm2_135m"):
        predictor("code_llm", weights)([sample])
    with pytest.raises(ParamsError, match="samples is 3 at temperature 0"):
        code_llm.asks([sample], {**code_llm.PARAMS, "samples": 3}, {})


# ------------------------------------------------------------------ the released files


@pytest.fixture
def released(tmp_path):
    """A miniature of `perturbed_finalized` with all names of files, one problem in each."""
    for family, count in _recode_release.FAMILIES.items():
        folder = tmp_path / "humaneval/full" / family
        folder.mkdir(parents=True)
        for number in range(count):
            row = {
                "task_id": "t",
                "prompt": f"def f():\n    '{family} {number}'\n",
                "entry_point": "f",
                "canonical_solution": "    return 1\n",
                "test": "def check(candidate):\n    assert candidate() == 1\n",
                "seed": number % 10,
                "perturbed": True,
            }
            file = folder / f"humaneval_Name{number // 10}_s{number % 10}.jsonl"
            file.write_text(json.dumps(row) + "\n")
    return tmp_path


def test_released_files_are_read_and_counted(released):
    found = _recode_release.counts(released, "humaneval")
    assert found == dict(
        zip(("nlaugmenter", "func_name", "natgen", "format"), (73, 51, 25, 15), strict=True)
    )
    shift = plugins.find("shifts", "recode_released")
    rng = RandomStream(0, "a", "d", "k")
    sample = shift_digests.prompt(0)
    options = {"path": str(released), "file": "humaneval/natgen/Name1"}
    found = shift.apply(sample, 3.0, rng, **options)
    assert found.fields["text"] == "def f():\n    'natgen 12'\n"  # severity 3 is seed 2
    assert found.fields["meta"]["entry_point"] == "f"
    assert shift.apply(sample, 0.0, rng, **options) == sample
    solved = generation.program(found, found.fields["meta"]["canonical_solution"])
    assert pool.run_all([solved])[0].passed
    for file, severity, why in (
        ("humaneval/natgen/Nam1", 1.0, r"no humaneval_Nam1_s0.jsonl \(did you mean Name"),
        (
            "humaneval/natgen/Name2",
            7.0,
            r"has no humaneval_Name2_s6.jsonl \(it has seeds \[0, 1, 2, 3, 4\]",
        ),
    ):
        with pytest.raises(DataError, match=why):
            shift.apply(sample, severity, rng, path=str(released), file=file)
    with pytest.raises(ParamsError, match="expected SET/FAMILY/NAME"):
        shift.apply(sample, 1.0, rng, path=str(released), file="natgen")
    with pytest.raises(DataError, match="has no problem 'other'"):
        shift.apply(
            sample.with_field("meta", {**sample.fields["meta"], "task_id": "other"}),
            1.0,
            rng,
            **options,
        )


def test_bad_released_files_are_named(tmp_path):
    good = dict.fromkeys(_recode_release.FIELDS, "x")
    for number, (lines, why) in enumerate(
        (
            (["{"], "line 1 is no JSON object"),
            ([json.dumps(good), json.dumps({**good, "test": None})], "line 2 has no 'test'"),
            ([json.dumps(good)] * 2, "line 2: 'x' comes twice"),
        )
    ):
        file = tmp_path / f"{number}.jsonl"
        file.write_text("\n".join(lines))
        with pytest.raises(DataError, match=f"{number}.jsonl, {why}"):
            _recode_release.rows(file)
    with pytest.raises(DataError, match="does not exist; give the path"):
        _recode_release.rows(tmp_path / "none.jsonl")


def test_completions_fit_the_task(weights):
    """From a coder to a record."""
    samples = [problem(text, number) for number, text in enumerate(BODIES)]
    outputs = predictor("retrieval_word", weights)(samples)
    table = generation.rows(samples, outputs, None, "full")
    assert np.all([row[0] for row in table["passed"].to_pylist()])
