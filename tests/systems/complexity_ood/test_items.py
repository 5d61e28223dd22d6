"""Generators of known complexity: reference programs against independent solvers, splits, contrast sets, the shift."""

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from makers import miniature_texts
from shiftbench.base import registry
from shiftbench.base.errors import DataError, ParamsError, RangeError
from shiftbench.base.registry import defaults
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets
from shiftbench.evaluation.llm import graders
from shiftbench.plugins.models import _given, completions
from shiftbench.plugins.tasks import LabelSpace, free_text
from shiftbench.systems.complexity_ood.datasets import (
    _chain_mod,
    _generated,
    _khop,
    _perm_whole,
    _perm_word,
    _problems,
    digit_sum,
)
from shiftbench.systems.complexity_ood.shifts import complexity

CARD = Path(_problems.__file__).parents[1] / "card.yaml"
MADE = ("chain_mod", "khop", "perm_whole", "perm_word")
SMALL = {"count": 400, "test_count": 60}


def made(name: str, split: str, **options: Any) -> list[Sample]:
    module = registry.find("datasets", name)
    return list(module.samples(split, {}, {**defaults(module), "name": name, **SMALL, **options}))


def at(sample: Sample, steps: int) -> Sample:
    return complexity.apply(sample, steps, RandomStream(0, "complexity", "d", sample.key))


def programs(module: Any, count: int, most: int = 6, slots: int = 8) -> list[dict[str, Any]]:
    rng = RandomStream(0, "test", "programs", module.__name__)
    return [module.draw(rng, most, slots) for _ in range(count)]


# ------------------------------------------------------------------ solvers that are not the generators'


def solve_chain(text: str) -> str:
    start, *words = text.split()[:-1]
    whole = start
    for word in words:
        whole = f"({whole}){word}" if word != "." else whole
    return str(eval(whole, {"__builtins__": {}}) % 10)  # noqa: S307 - digits and two operators


def solve_word(text: str) -> str:
    """Exchange rows of a matrix: the element goes where its one is."""
    start, *words = text.split()[:-1]
    product = np.eye(5, dtype=int)
    for word in words:
        if word != ".":
            place = int(word[1:]) - 1
            product[[place, place + 1]] = product[[place + 1, place]]
    return str(1 + int(np.flatnonzero(product[:, int(start) - 1])[0]))


def solve_whole(text: str) -> str:
    """Track each element by itself, as `solve_word` does, and sort by where all went."""
    words = text.split()
    went = {solve_word(" ".join([str(at + 1), *words[5:]])): words[at] for at in range(5)}
    return " ".join(went[str(place)] for place in range(1, 6))


def solve_hops(text: str) -> str:
    """Search breadth first over the facts for nodes that are exactly so many hops away."""
    told, _, asked = text.partition(" : ")
    names, (start, *words) = told.split(), asked.split()[:-1]
    facts = list(zip(names[::2], names[1::2], strict=True))
    reached = {start}
    for _ in range(words.count("hop")):
        reached = {to for head, to in facts if head in reached}
    (only,) = reached
    return only


SOLVERS = {"chain_mod": solve_chain, "khop": solve_hops, "perm_whole": solve_whole, "perm_word": solve_word}


@pytest.mark.parametrize("name", MADE)
def test_an_independent_solver_gives_every_answer(name: str) -> None:
    module = _generated.GENERATORS[name]
    items = [module.item(one, 1 + number % 6) for number, one in enumerate(programs(module, 1000))]
    assert [item.answer for item in items] == [SOLVERS[name](item.text) for item in items]
    assert all(item.steps[-1] == item.slots[-1] == item.answer for item in items)
    assert [len(item.steps) for item in items] == [1 + number % 6 for number in range(1000)]
    assert {word for item in items for word in item.text.split()} == set(module.VOCABULARY)
    assert len(module.VOCABULARY) < 64
    assert len({len(item.text.split()) for item in items}) == 1


def test_values_by_hand() -> None:
    program = {"start": "7", "steps": ["+4", "*3", "+9"], "places": [2, 0, 3, 1]}
    item = _chain_mod.item(program, 2)
    assert item.text == "7 +4 . *3 . ="
    assert (item.steps, item.slots) == (("1", "3"), ("1", "1", "3", "3"))
    assert _chain_mod.item(program, 3).text == "7 +4 . *3 +9 ="
    assert _generated.traces(item) == {"direct": "3", "scratchpad": "1 1 3 3 3", "adaptive": "1 3 3"}
    word = {"start": "2", "steps": ["s2", "s3", "s1"], "places": [0, 1, 2]}
    assert _perm_word.item(word, 3).steps == ("3", "4", "4")


def test_every_step_of_a_whole_permutation_changes_the_answer() -> None:
    """Who stops after two steps is never right above; of one element two thirds would be, at three steps."""
    for program in programs(_perm_whole, 300):
        answers = [program["start"], *_perm_whole.item(program, 6).steps]
        assert len(set(answers)) == 7
        assert all(_perm_whole.fewest(program, steps) == steps for steps in (3, 4))
    stopped = [_perm_word.item(one, 3).steps[1:] for one in programs(_perm_word, 1000)]
    assert 0.55 < np.mean([two == three for two, three in stopped]) < 0.7


def test_neighbours_cannot_be_collapsed() -> None:
    for program in programs(_chain_mod, 200):
        kinds = [step[0] for step in program["steps"]]
        assert all(one != other for one, other in itertools.pairwise(kinds))
    for program in programs(_perm_word, 200):
        whole: tuple[int, ...] = tuple(range(5))
        for length, step in enumerate(program["steps"], 1):
            whole = _perm_word.compose(whole, step)
            assert _perm_word.inversions(whole) == length
    for program in programs(_khop, 50):
        assert len(program["facts"]) == _khop.FACTS == len({head for head, _ in program["facts"]})
        assert len(set(_khop.item(program, 6).steps)) == 6


def test_shares_that_shorter_programs_solve() -> None:
    """By search over all shorter programs: reduced words are minimal, chains are affine maps of two operations."""
    words = [_perm_word.fewest(one, 4) for one in programs(_perm_word, 20)]
    assert set(words) == {4}
    chains = programs(_chain_mod, 30)
    assert {_chain_mod.fewest(one, 1) for one in chains} == {1}
    two = [_chain_mod.fewest(one, 2) for one in chains]
    assert 0.9 < np.mean(np.array(two) == 2) <= 1
    assert max(_chain_mod.fewest(one, 3) for one in chains) == 2


# ------------------------------------------------------------------ splits and the shift


@pytest.mark.parametrize("name", MADE)
def test_no_question_is_on_two_sides_at_any_complexity(name: str) -> None:
    train, val, test = (made(name, split) for split in ("train", "val", "test"))
    learnt = {sample.fields["text"] for sample in (*train, *val)}
    assert len(learnt) == len(train) + len(val)
    for sample in (*train, *val, *test):
        assert 1 <= int(sample.fields["meta"]["group"]) <= 2  # the threshold
    for sample in test:
        for steps in range(1, 7):
            shifted = at(sample, steps)
            meta = shifted.fields["meta"]
            assert meta["group"] == str(steps)
            assert shifted.fields["text"] not in learnt
            assert meta["answer"] == SOLVERS[name](shifted.fields["text"])
            free_text.check(shifted, [])
    assert len({sample.fields["text"].count(" ") for sample in test}) == 1
    assert "traces" not in test[0].fields["meta"]


@pytest.mark.parametrize("name", MADE)
def test_traces_end_in_the_answer(name: str) -> None:
    for sample in made(name, "train"):
        meta = sample.fields["meta"]
        assert all(graders.correct(text, meta) for text in meta["traces"].values())
        steps = int(meta["group"])
        words = {key: len(text.split()) for key, text in meta["traces"].items()}
        if name == "perm_whole":
            assert words == {"direct": 5}
            continue
        slots = words["scratchpad"] - 1
        assert slots in (4, 6)
        assert words == {"direct": 1, "adaptive": steps + 1, "scratchpad": slots + 1}


def test_test_questions_come_in_clusters_that_begin_differently() -> None:
    samples = made("chain_mod", "test")
    for one, other in zip(samples[::2], samples[1::2], strict=True):
        first, second = (sample.fields["meta"] for sample in (one, other))
        assert first["cluster"] == second["cluster"]
        assert first["program"]["steps"] == second["program"]["steps"]
        assert first["program"]["start"] != second["program"]["start"]
    assert len({sample.fields["meta"]["cluster"] for sample in samples}) == len(samples) / 2


def pairs_of(text: str) -> list[tuple[str, str]]:
    words = [word for word in text.split()[1:-1] if word != "."]
    return list(itertools.pairwise(words))


def test_combinations_of_the_contrast_set_are_new_and_no_more_complex() -> None:
    known = {
        pair
        for split in ("train", "val")
        for sample in made("chain_mod", split)
        for pair in pairs_of(sample.fields["text"])
    }
    tested = [at(sample, 6).fields["text"] for sample in made("chain_mod", "test")]
    new = [pair for one in made("chain_mod_composition", "test") for pair in pairs_of(one.fields["text"])]
    assert len(new) == 60
    assert not known & set(new)
    assert not {pair for text in tested for pair in pairs_of(text)} & set(new)
    steps = {step for pair in known for step in pair}
    assert {step for pair in new for step in pair} <= steps


def test_complexity_and_length_are_crossed() -> None:
    samples = made("chain_mod_decorrelated", "test")
    groups = [sample.fields["meta"]["group"].split("/") for sample in samples]
    c, length = np.array(groups, float).T
    assert np.corrcoef(c, length)[0, 1] == pytest.approx(0, abs=1e-9)
    assert set(length) == {6, 8}
    for sample, words in zip(samples, length, strict=True):
        assert len(sample.fields["text"].split()) == words
        assert len(pairs_of(sample.fields["text"])) == float(sample.fields["meta"]["group"][0]) - 1


def test_what_is_wrong_is_told() -> None:
    sample = made("chain_mod", "test")[0]
    assert at(sample, 0) is sample
    with pytest.raises(RangeError, match=r"severity 2\.5 is no number of steps"):
        at(sample, 2.5)  # type: ignore[arg-type]
    with pytest.raises(RangeError, match="the program has 6 steps; raise `most`"):
        at(sample, 7)
    with pytest.raises(DataError, match="a program in its meta; there is none"):
        at(Sample("k", {"text": "1 ="}), 2)
    for wrong in ({"most": 3}, {"threshold": 0}, {"lengths": [1, 6]}, {"lengths": [4]}):
        with pytest.raises(ParamsError, match="expected most to be twice the threshold at least"):
            made("chain_mod", "test", **wrong)
    with pytest.raises(ParamsError, match="generator = 'khops'; did you mean khop"):
        made("chain_mod", "test", generator="khops")


def test_sums_of_digits(tmp_path: Path) -> None:
    digits = np.zeros((2, 28, 28), np.uint8)
    digits[0, :2, :2] = [[255, 254], [3, 2]]  # 514 / 4 = 128.5, rounded up
    canvas = digit_sum.draw(digits, np.array([4, 8]))
    assert canvas.shape == (42, 42)
    assert canvas[14, 14] == 129
    assert canvas.sum() == 129
    with pytest.raises(ParamsError, match="expected 1 <= threshold <= most <= 9"):
        next(digit_sum.samples("test", {}, {**defaults(digit_sum), "most": 10}))


# ------------------------------------------------------------------ problems in words


def test_operations_are_counted_in_annotations() -> None:
    fixture = [
        ("Natalia sold 48/2 = <<48/2=24>>24 clips. Altogether <<48+24=72>>72.\n#### 72", "2"),
        ("She pays 3*5+2 = <<3*5+2=17>>17.\n#### 17", "2"),
        ("It is <<-5+8=3>>3.\n#### 3", "1"),
        ("So <<7=7>>7 as said.\n#### 7", "1"),
        ("Nothing is annotated.\n#### 1", "unknown"),
        ("".join(f"<<{n}+1={n + 1}>>" for n in range(11)), "8"),
        ("(<<(4+6)/2=5>>5) and <<.5*10=5>>5", "3"),
    ]
    assert [_problems.complexity(text, "operations", 8) for text, _ in fixture] == [wanted for _, wanted in fixture]
    assert _problems.complexity("a + b, so 12.", "tokens", 8) == "1"
    assert _problems.complexity("one " * 101, "tokens", 8) == "2"


@pytest.mark.parametrize("name", ["gsm8k", "aime", "omni_math"])
def test_files_as_they_are_published_are_read(name: str, tmp_path: Path) -> None:
    _, options = getattr(miniature_texts, name)(tmp_path)
    module = registry.find("datasets", name)
    samples = list(module.samples("test", {}, {**defaults(module), "name": name, **options}))
    groups = [sample.fields["meta"]["group"] for sample in samples]
    wanted = {"gsm8k": ["1", "2", "unknown"], "aime": ["1", "3", "1"], "omni_math": ["1", "3", "1"]}
    assert groups[:3] == wanted[name]
    for sample in samples:
        free_text.check(sample, [])
        answer = sample.fields["meta"]["answer"]
        assert sample.fields["meta"]["graders"][0] == ("math" if name == "omni_math" else "number")
        for told in (rf"</think> \boxed{{{answer}}}", rf"\boxed{{{answer}}}"):
            assert graders.correct(told, sample.fields["meta"]), "with thinking or without"
    with pytest.raises(ParamsError, match=f"{name}: option path is missing"):
        next(module.samples("test", {}, {**defaults(module), "name": name}))
    with pytest.raises(DataError, match="does not exist; expected a problem a row"):
        next(module.samples("test", {}, {**defaults(module), "name": name, "path": str(tmp_path / "x")}))


@pytest.mark.parametrize("name", ["gsm8k", "aime", "omni_math"])
def test_models_that_think_aloud_and_others_answer_the_same_problems(name: str, tmp_path: Path) -> None:
    _, options = getattr(miniature_texts, name)(tmp_path)
    module = registry.find("datasets", name)
    samples = list(module.samples("test", {}, {**defaults(module), "name": name, **options}))

    def share(said: str, **own: Any) -> float:
        """Return the accuracy at full scale of a model that writes so; {} is the answer."""
        answers = [one.fields["meta"]["answer"] for one in samples]
        file = completions_of(samples, [said.replace("{}", answer) for answer in answers], tmp_path)
        weights = file.with_suffix(".safetensors")
        weights.write_bytes(nets.state_bytes(_given.state(str(file)), {"classes": "[]"}))
        params = {**defaults(completions), "path": str(file), **own}
        outputs = completions.load(weights, params, (), "cpu", {})(samples)
        rows = free_text.rows(samples, outputs, LabelSpace((), ()), "full")
        return float(np.mean(rows["correct"].to_pylist()))

    full = yaml.safe_load(CARD.read_text())["params"]["full"]["models"]
    marks = {model: {k: v for k, v in full[model].items() if k == "answer_after"} for model in full}
    assert share(r"so \boxed{{}}", **marks["general"]) == 1
    assert share(r"so \boxed{{}}", **marks["o3_mini"]) == 1
    assert share(r"is it \boxed{-1}? </think> \boxed{{}}", **marks["deepseek_r1"]) == 1
    assert share(r"is it \boxed{{}}? And then", **marks["deepseek_r1"]) == 0, "it never answered"


def completions_of(samples: list[Sample], texts: list[str], root: Path) -> Path:
    """Return a file of one completion for each sample."""
    file = root / "model.jsonl"
    lines = [json.dumps({"key": sample.key, "completion": text}) for sample, text in zip(samples, texts, strict=True)]
    file.write_text("\n".join(lines))
    return file


def test_rows_of_another_form_are_told(tmp_path: Path) -> None:
    module = registry.find("datasets", "gsm8k")
    (tmp_path / "test.jsonl").write_text('{"question": "?"}\n')
    with pytest.raises(DataError, match="row 0: no text 'answer'; it has question"):
        next(module.samples("test", {}, {**defaults(module), "name": "gsm8k", "path": str(tmp_path)}))
    (tmp_path / "test.jsonl").write_text("[]\n")
    with pytest.raises(DataError, match=r"row 0: expected a JSON object; got '\[\]"):
        next(module.samples("test", {}, {**defaults(module), "name": "gsm8k", "path": str(tmp_path)}))
