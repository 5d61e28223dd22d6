"""ReCode's own parts: coders that look solutions up, the judge of bodies, recorded completions, the released files."""

import json
from pathlib import Path

import numpy as np
import pytest

from makers import claimed_rows
from shiftbench.base import registry
from shiftbench.base.errors import DataError, ModelError, ParamsError
from shiftbench.base.registry import defaults
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.contracts import shift_digests, training_jobs
from shiftbench.evaluation import nets
from shiftbench.evaluation.llm import answer_cache, client
from shiftbench.evaluation.sandbox import pool
from shiftbench.plugins.tasks import generation
from shiftbench.statistics.claims import expressions, judgement
from shiftbench.systems.recode.datasets import _recode_release
from shiftbench.systems.recode.models import _bodies, code_llm, smollm2_choice
from shiftbench.workflow.plan import cards

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
    model = registry.find("models", name)
    return model.load(weights, {**defaults(model), **options}, [], "cpu", {})


def first(predict, sample):
    return predict([sample])["completions"][0][0]


@pytest.mark.parametrize("name", ["retrieval_word", "retrieval_char"])
def test_a_coder_gives_the_solution_of_the_nearest_problem(name, weights):
    predict = predictor(name, weights)
    assert [first(predict, problem(text)) for text in BODIES] == list(BODIES.values())
    typos = problem(LONGEST.replace("longest of some", "lnogest of smoe"))
    assert first(predict, typos) == BODIES[LONGEST]
    assert first(predict, problem(LONGEST.replace('"""', "#", 1).replace('"""', ""))) == BODIES[LONGEST]
    by_name = predictor(name, weights, view="name")
    assert first(by_name, problem(LONGEST.replace("Return", "Add"))) == BODIES[LONGEST]
    with pytest.raises(ParamsError, match=r"view is 'nmae' \(did you mean name\?\)"):
        predictor(name, weights, view="nmae")


def test_words_are_lost_by_typos_and_letters_are_not(weights):
    # Neither word is in the docstring any more; half of the letters' sequences are.
    typos = problem(LONGEST.replace("Return the longest of some words", "Retunr teh longets fo soem wrods"))
    assert first(predictor("retrieval_char", weights), typos) == BODIES[LONGEST]
    assert first(predictor("retrieval_word", weights), typos) == BODIES[ADD]  # the first of all


def test_a_docstring_is_read_though_its_closing_quotes_are_torn():
    """As word perturbations of the release leave them: 87 of 164 prompts of SynonymInsertion, seed 0."""
    for end in ('"""\n', '" " "\n', "'\"\n", '"" "', ""):
        prompt = LONGEST.replace('some words. """\n', f"some words. \n    {end}")
        assert _bodies.docstring(prompt, "longest").strip() == "Return the longest of some words.", end
    partial = LONGEST + "    best = ''\n"
    assert _bodies.docstring(partial, "longest").strip() == "Return the longest of some words."


def test_a_body_takes_the_name_and_the_tabs_of_its_prompt():
    recursive = _bodies.Problem("k", "", "f", "    if n:\n        return f(n - 1) + off(n)\n")
    sample = problem("def g(n):\n\tpass\n")
    assert _bodies.fitted(recursive, sample) == "\tif n:\n\t\treturn g(n - 1) + off(n)\n"


def test_weights_must_hold_problems(tmp_path):
    training_jobs.write(tmp_path / "w.safetensors", {"x": __import__("torch").zeros(1)})
    with pytest.raises(ModelError, match="holds no problems; make it with the trainer `retrieval_index`"):
        predictor("retrieval_word", tmp_path / "w.safetensors")


def test_the_index_is_the_clean_problems():
    samples = [problem(text, number) for number, text in enumerate(BODIES)]
    job = training_jobs.job("retrieval_word", "retrieval_index", train=samples)
    object.__setattr__(job, "samples", lambda _: samples)
    state = registry.find("trainers", "retrieval_index").train(job)
    assert [row["key"] for row in json.loads(state["problems.json"].numpy().tobytes())] == [
        sample.key for sample in samples
    ]


# ------------------------------------------------------------------ choosing


def test_bodies_to_choose_from_are_the_problem_s_whatever_its_prompt(weights):
    known = _bodies.unpacked(weights)
    found = smollm2_choice.choices(problem(LONGEST, 1), known)
    assert found[0] == BODIES[LONGEST]
    assert BODIES[ADD] in found
    typos = problem(LONGEST.replace("Return", "retrun"), 1, canonical_solution=BODIES[LONGEST])
    assert found == smollm2_choice.choices(typos, known)
    mutants = smollm2_choice.mutants(LONGEST, BODIES[LONGEST])
    assert any(">=" in one for one in mutants)
    assert BODIES[LONGEST] not in mutants
    assert smollm2_choice.mutants("def f(:\n", "    pass\n") == []
    loop = "    total = 0\n    for i in range(n):\n        total += i * 2\n    return total\n"
    some = smollm2_choice.mutants("def f(n):\n", loop)
    assert any("range(n - 1)" in one for one in some)
    assert any("range(n)" in one and "total = 1" in one for one in some)
    assert all(pool.essence("def f(n):\n" + one) != pool.essence("def f(n):\n" + loop) for one in some)


def test_scores_are_read_from_the_record_or_missed(weights, tmp_path, monkeypatch):
    monkeypatch.setattr(smollm2_choice, "ANSWERS", tmp_path)
    sample = problem(ADD, 0)
    with pytest.raises(DataError, match=r"holds no scores of a prompt that begins 'def add.*`generate`"):
        first(predictor("smollm2_choice", weights), sample)
    bodies = smollm2_choice.choices(sample, _bodies.unpacked(weights))
    key = smollm2_choice._key(defaults(smollm2_choice), ADD, bodies)
    scores = [-1.0] * len(bodies)
    scores[1] = -0.5
    answer_cache.Answers(tmp_path).put(key, json.dumps(scores))
    assert first(predictor("smollm2_choice", weights), sample) == bodies[1]


# ------------------------------------------------------------------ writing


def test_completions_are_recorded_answers_cut_at_the_next_statement(weights, tmp_path, monkeypatch):
    monkeypatch.setattr(code_llm, "ANSWERS", tmp_path)
    options = {**defaults(code_llm), "samples": 2, "temperature": 0.2}
    sample = problem(ADD)
    requests = code_llm.asks([sample], options, {})
    assert [request.seed for request in requests] == [0, 1]
    assert [request.raw for request in requests] == [ADD, ADD]  # verbatim, to the last newline
    (chat,) = code_llm.asks([sample], {**defaults(code_llm), "ask": "chat"}, {})
    assert (chat.raw, chat.messages[-1][1]) == (None, f"```python\n{ADD}")
    assert chat.template != requests[0].template
    with pytest.raises(ParamsError, match=r"ask is 'chta' \(did you mean chat\?\)"):
        code_llm.asks([sample], {**defaults(code_llm), "ask": "chta"}, {})
    kept = answer_cache.Answers(tmp_path)
    texts = ("    return a + b\n\nprint(add(1, 2))\n", "    return a - b\n```\nSo it is")
    for request, text in zip(requests, texts, strict=True):
        kept.put(request.key(client.identity("smollm2_135m")), text)
    found = predictor("code_llm", weights, samples=2, temperature=0.2)([sample])
    assert found["completions"][0] == ("    return a + b\n\n", "    return a - b\n")
    with pytest.raises(DataError, match="holds no answer of smollm2_135m"):
        predictor("code_llm", weights)([sample])
    with pytest.raises(ParamsError, match="samples is 3 at temperature 0"):
        code_llm.asks([sample], {**defaults(code_llm), "samples": 3}, {})


# ------------------------------------------------------------------ the released files

RANDOM, FIXED = range(10), range(1)
RELEASED = {
    "nlaugmenter": {
        **dict.fromkeys(("BackTranslation", "TenseTransformationPast", "TenseTransformationFuture"), FIXED),
        **dict.fromkeys(
            (
                *("ButterFingersPerturbation", "ChangeCharCase", "EnglishInflectionalVariation"),
                *("SwapCharactersPerturbation", "SynonymInsertion", "SynonymSubstitution"),
                "WhitespacePerturbation",
            ),
            RANDOM,
        ),
    },
    "func_name": {
        "FuncRenameCamelCase": FIXED,
        **dict.fromkeys(
            (
                *("FuncRenameButterFinger", "FuncRenameSwapChar", "FuncRenameChangeChar"),
                *("FuncRenameInflectionalVariation", "FuncRenameSynonymSub"),
            ),
            RANDOM,
        ),
    },
    "natgen": {
        **dict.fromkeys(("DeadCodeInserter", "VarRenamerRN"), RANDOM),
        **dict.fromkeys(("DeadCodeInserterLast", "ForWhileTransformer", "OperandSwap"), FIXED),
        **dict.fromkeys(("VarRenamerCB", "VarRenamerNaive"), FIXED),
    },
    "format": {
        "new_lines": RANDOM,
        **dict.fromkeys(("tab_indent", "split_lines", "doc2comments"), FIXED),
        **dict.fromkeys(("new_line_aftercode", "new_line_afterdoc"), FIXED),
    },
}
"""Files of each set in the release (amazon-science/recode, commit 6688522): family, name, seeds."""
NOMINAL = ("HumanEval", "humaneval_partial", "mbpp_wtest", "mbpp_partial")


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    """A miniature of a clone, with all names of files, one problem in each."""
    release = tmp_path_factory.mktemp("recode") / "dataset-release"
    (release / "nominal").mkdir(parents=True)
    for name in NOMINAL:
        (release / f"nominal/{name}.jsonl").write_text(row("nominal", 0))
    for dataset in ("humaneval", "mbpp"):
        for family, names in RELEASED.items():
            folder = release / "perturbed_finalized" / dataset / "full" / family
            folder.mkdir(parents=True)
            for name, seeds in names.items():
                for seed in seeds:
                    (folder / f"{dataset}_{name}_s{seed}.jsonl").write_text(row(name, seed))
    return release


def row(name, seed):
    about = {"task_id": "t", "entry_point": "f", "seed": seed, "perturbed": True, "partial": None}
    code = {"prompt": f"def f():\n    '{name} {seed}'\n", "canonical_solution": "    return 1\n"}
    test = "def check(candidate):\n    assert candidate() == 1\n"
    return json.dumps({**about, **code, "test": test}) + "\n"


def test_the_files_of_the_full_scale_are_called_as_they_were_released(released):
    """Each file that the card names is there, for each seed, and gives its prompt; each released one is named."""
    params = cards.load("recode").params["full"]
    shift, named = registry.find("shifts", "recode_released"), set()
    sample = shift_digests.prompt(0)
    for options in params["shifts"].values():
        if options.get("use") == "recode_released":
            assert options["path"] == "/data/recode/dataset-release/perturbed_finalized"
            folder = str(released / "perturbed_finalized")
            for seed in options["severities"]:
                rng = RandomStream(0, "a", "d", "k")
                found = shift.apply(sample, float(seed), rng, path=folder, file=options["file"])
                name = options["file"].rpartition("/")[2]
                assert found.fields["text"] == f"def f():\n    '{name} {seed - 1}'\n"
                named.add((options["file"], seed - 1))
    expected = {
        (f"{dataset}/{family}/{name}", seed)
        for dataset in ("humaneval", "mbpp")
        for family, names in RELEASED.items()
        for name, seeds in names.items()
        for seed in seeds
        if seed < 5 and name != "DeadCodeInserterLast"  # as in the release's config.json
    }
    assert named == expected
    release = registry.find("datasets", "recode_release")
    for options in params["datasets"].values():
        file = released / "nominal" / Path(options["path"]).name
        (sample,) = release.samples("test", {}, {"name": "d", "path": str(file)})
        generation.check(sample, [])


def test_every_claim_at_full_scale_finds_its_rows():
    card = cards.load("recode")
    rows = claimed_rows.rows(card, "full")
    judged = {one.name: one for one in judgement.judge(card.claims, rows, "full")}
    full = {name for name, claim in card.claims.items() if claim.scale == "full"}
    assert {name: one.reason for name, one in judged.items() if name in full and one.reason} == {}
    assert {judged[name].verdict for name in full} <= {"supported", "refuted", "inconclusive"}
    for one in card.reported:
        if one.measured and one.scale == "full":
            assert len(expressions.evaluate(rows, one.measured).identities) == 1, one.what


def test_released_files_are_read_and_counted(released):
    folder = released / "perturbed_finalized"
    for dataset in ("humaneval", "mbpp"):
        assert _recode_release.counts(folder, dataset) == _recode_release.FAMILIES
    shift = registry.find("shifts", "recode_released")
    rng = RandomStream(0, "a", "d", "k")
    sample = shift_digests.prompt(0)
    options = {"path": str(folder), "file": "humaneval/natgen/VarRenamerRN"}
    found = shift.apply(sample, 3.0, rng, **options)
    assert found.fields["text"] == "def f():\n    'VarRenamerRN 2'\n"  # severity 3 is seed 2
    assert found.fields["meta"]["entry_point"] == "f"
    assert shift.apply(sample, 0.0, rng, **options) == sample
    solved = generation.program(found, found.fields["meta"]["canonical_solution"])
    assert pool.run_all([solved])[0].passed
    for file, severity, why in (
        ("humaneval/natgen/VarRenamerR", 1.0, r"no humaneval_VarRenamerR_s0.jsonl \(did you mean V"),
        ("mbpp/natgen/OperandSwap", 2.0, r"has no mbpp_OperandSwap_s1.jsonl \(it has seeds \[0\]"),
    ):
        with pytest.raises(DataError, match=why):
            shift.apply(sample, severity, rng, path=str(folder), file=file)
    with pytest.raises(ParamsError, match="expected SET/FAMILY/NAME"):
        shift.apply(sample, 1.0, rng, path=str(folder), file="natgen")
    other = sample.with_field("meta", {**sample.fields["meta"], "task_id": "other"})
    with pytest.raises(DataError, match="has no problem 'other'"):
        shift.apply(other, 1.0, rng, **options)


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
