"""PEAR: its reward against values worked by hand, its problems, and what training with it does."""

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from isolation import ROOT
from makers import small_policies
from shiftbench.base import registry
from shiftbench.base.errors import ParamsError
from shiftbench.base.refs import Ref
from shiftbench.base.registry import defaults
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets
from shiftbench.evaluation.llm import graders
from shiftbench.evaluation.llm.token_statistics import TokenStatistics
from shiftbench.plugins.models import decoder
from shiftbench.plugins.tasks import free_text
from shiftbench.plugins.trainers._rollouts import Rollout
from shiftbench.systems.pear.datasets import chain_arithmetic
from shiftbench.systems.pear.trainers import lcpo, pear
from shiftbench.workflow.plan import plan as plans
from shiftbench.workflow.stages.train import train_weights

# ------------------------------------------------------------------ full scale


def test_math500_is_graded_by_equivalence(tmp_path: Path) -> None:
    """Answers of MATH-500 in the hub's layout, as models write them."""
    written = {
        r"\frac{1}{2}": [r"\dfrac{1}{2}", r"\frac12", "0.5", "1/2"],
        r"90^\circ": ["90", r"90^{\circ}"],
        r"\text{Evelyn}": ["Evelyn", r"\textbf{Evelyn}"],
        r"10,\!000": ["10000", "10,000"],
        r"\left( 3, \frac{\pi}{2} \right)": [r"(3,\frac{\pi}{2})", r"\left(3, \dfrac{\pi}{2}\right)"],
        "5": ["x=5", "x = 5", "5."],
    }
    rows = [
        {"problem": "?", "solution": "...", "answer": answer, "subject": "Algebra", "level": 2,
         "unique_id": f"test/algebra/{at}.json"}
        for at, answer in enumerate(written)
    ]  # fmt: skip
    (tmp_path / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    card = yaml.safe_load((Path(pear.__file__).parents[1] / "card.yaml").read_text())
    options = {**card["params"]["full"]["datasets"]["math500"], "path": str(tmp_path)}
    module = registry.find("datasets", options.pop("use"))
    samples = list(module.samples("test", {}, {**defaults(module), "name": "math500", **options}))
    for one, own in zip(samples, written.values(), strict=True):
        free_text.check(one, [])
        for said in own:
            meta = one.fields["meta"]
            assert graders.correct(rf"hmm </think> so \boxed{{{said}}}", meta), said
            assert not graders.correct(rf"hmm </think> so \boxed{{1{said}7}}", meta), said


# ------------------------------------------------------------------ the reward


def rewarded(entropies: list[float], closing: int | None, *, right: bool = True, **options: Any) -> float:
    statistics = TokenStatistics(np.array(entropies), np.zeros(len(entropies)), closing, truncated=False)
    rollout = Rollout([Sample("a", {})], ["text"], [statistics])
    found = pear.parts(rollout, np.array([right]), {**defaults(pear), **options})
    return float(found["reward"][0])


@pytest.mark.parametrize(
    ("entropies", "closing", "options", "reward"),
    [
        # Thinking 0.5 and 0.9, mean 0.7; the closing token's 9 counts nowhere; answer 0.2 and 0, mean 0.1.
        ([0.5, 0.9, 9.0, 0.2, 0.0], 2, {}, 1 - (0.7 - 0.1)),
        ([0.5, 0.9, 9.0, 0.2, 0.0], 2, {"alpha": 0.0}, 1 - 0.7),
        ([0.5, 0.9, 9.0, 0.2, 0.0], 2, {"alpha": -1.0}, 1 - 0.8),
        ([0.5, 0.9, 9.0, 0.2, 0.0], 2, {"alpha": 3.0}, 1 - 0.4),
        ([0.5, 0.9, 9.0, 0.2, 0.0], 2, {"right": False}, 0.0),
        ([0.5, 0.9, 9.0, 0.2, 0.0], 2, {"right": False, "format_score": -0.1}, -0.1),
        ([0.1, 9.0, 0.4, 0.6], 1, {}, 1.0),  # thinks with less entropy than it answers: no penalty
        ([0.1, 9.0, 0.4, 0.6], 1, {"score": 2.0}, 1.0),  # 1 at most
        ([0.5, 0.7], None, {}, 1 - 0.6),  # never closed: all is thinking
        ([9.0, 0.4], 0, {}, 1.0),  # closed at once: no thinking, mean 0
        ([0.5, 9.0], 1, {}, 1 - 0.5),  # no answer, mean 0
        ([1.5, 1.7, 9.0, 0.2], 2, {}, 1 - 1.4),  # right, and less than nothing
        ([1.5, 1.7, 9.0, 0.2], 2, {"clip_low": 0.0}, 0.0),
    ],
)
def test_rewards_by_hand(entropies: list[float], closing: int | None, options: dict[str, Any], reward: float) -> None:
    assert rewarded(entropies, closing, **options) == pytest.approx(reward)


def test_what_is_told_of_rewards() -> None:
    statistics = [
        TokenStatistics(np.array(values), np.zeros(len(values)), closing, truncated=False)
        for values, closing in (([1.6, 9.0, 0.2], 1), ([0.5], None))
    ]
    rollout = Rollout([Sample("a", {})] * 2, ["", ""], statistics)
    found = pear.parts(rollout, np.array([True, False]), defaults(pear))
    assert found["negative"].tolist() == [1.0]
    assert found["closed"].tolist() == [1, 0]
    assert found["penalty"].tolist() == pytest.approx([1.4, 0.5])
    assert found["answer_entropy"].tolist() == pytest.approx([0.2, 0])


def test_right_answers_that_are_all_alike_to_the_binary_reward_are_told_apart() -> None:
    assert rewarded([0.2, 9.0, 0.2], 1) > rewarded([0.8, 9.0, 0.2], 1)


@pytest.mark.parametrize(
    ("length", "right", "options", "reward"),
    [
        (8, True, {}, 1 - 0.1 * 3),
        (8, False, {}, -0.1 * 3),  # of wrong answers, too
        (3, True, {}, 1 - 0.1 * 2),  # shorter than the target is no better than longer
        (5, True, {}, 1.0),
        (8, True, {"gamma": 0.5, "target": 7}, 0.5),
        (8, False, {"format_score": -1.0, "gamma": 0.0}, -1.0),
    ],
)
def test_rewards_of_a_controlled_length_by_hand(
    length: int, right: bool, options: dict[str, Any], reward: float
) -> None:
    statistics = [TokenStatistics(np.ones(length), np.zeros(length), None, truncated=False)]
    rollout = Rollout([Sample("a", {})], ["text"], statistics)
    found = lcpo.parts(rollout, np.array([right]), {**defaults(lcpo), **options})
    assert found["reward"].tolist() == pytest.approx([reward])


def test_each_reward_gives_another_policy(tmp_path: Path) -> None:
    inputs = small_policies.start(tmp_path)
    short = {"updates": 2, "prompts": 2, "group_size": 4, "max_new_tokens": 5, "every": 1}
    jobs = {
        "grpo": small_policies.job("grpo", inputs, **short),
        "pear": small_policies.job("pear", inputs, **short),
        "pear 0": small_policies.job("pear", inputs, **short, alpha=-1.0),
        "lcpo": small_policies.job("lcpo", inputs, **short, target=2),
    }
    made = {name: train_weights(job) for name, job in jobs.items()}
    states = [nets.state_bytes(state) for state, _ in made.values()]
    assert len(set(states)) == 4
    # The first batch is the same: the arms differ by their rewards alone.
    first = [{name: value for step, name, value in log if step == 1} for _, log in made.values()]
    assert len({one["correct"] for one in first}) == len({one["tokens"] for one in first}) == 1
    assert first[1]["penalty"] < first[2]["penalty"]
    again, _ = train_weights(small_policies.job("pear", inputs, **short))
    assert nets.state_bytes(again) == states[1]


# ------------------------------------------------------------------ the benchmark


def test_completions_stand_behind_its_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    planned, _ = plans.load("systems/pear/smoke")
    page, chosen = Ref("report", "samples/chains/index"), Ref("samples", "chains")
    assert planned.artifacts[page].inputs == (chosen,)
    for ref in (page, chosen):
        assert planned.artifacts[ref].recipe["shows"] == "completions"
    code = planned.artifacts[chosen].recipe["code"]
    assert {file for file in code if "/report/" in file} == {
        "shiftbench/report/cells.py",
        "shiftbench/report/completions.py",
        "shiftbench/report/queries.py",
    }
    assert planned.artifacts[Ref("report", "index")].recipe["samples"] == ["chains"]
    others, _ = plans.load("systems/llm-tta/smoke")
    shown = {recipe["shows"] for one in others.artifacts.values() if "shows" in (recipe := one.recipe)}
    assert shown == {"samples"}


# ------------------------------------------------------------------ the problems


def problems(split: str = "test", **options: Any) -> list[Sample]:
    given = {**defaults(chain_arithmetic), "count": 30, "traces": 8, **options}
    return list(chain_arithmetic.samples(split, {}, given))


def test_answers_are_right() -> None:
    for sample in problems(operations=[1, 2, 3, 4, 5]):
        start, *steps = sample.fields["text"].split()[:-1]
        value = int(start)
        for step in steps:
            value = eval(f"({value}) {step}", {"__builtins__": {}}) % 10  # noqa: S307 - digits and one operator
        meta = sample.fields["meta"]
        assert meta["answer"] == str(value)
        assert meta["group"] == str(len(steps))
        assert "completions" not in meta
        free_text.check(sample, [])


def test_traces_think_aloud_and_are_right() -> None:
    lengths, fillers, decisions, styles = [], 0, 0, Counter[str]()
    for sample in problems("train", train_operations=[3], count=200):
        meta, start = sample.fields["meta"], sample.fields["text"].split()[0]
        values = chain_arithmetic.running(start, sample.fields["text"].split()[1:-1])
        assert len(meta["completions"]) == 8
        for text in meta["completions"]:
            assert graders.correct(text, meta)
            thinking, _, answer = text.partition(f" {chain_arithmetic.CLOSING} ")
            assert [word for word in thinking.split() if word.isdigit()] == values
            fillers += len(thinking.split()) - 3
            decisions += len(thinking.split())
            styles[answer.split()[0]] += 1
            lengths.append(len(text.split()) + 1)
    assert min(lengths) == 3 + 4  # n + 4 tokens, the end included
    assert fillers / decisions == pytest.approx(chain_arithmetic.FILL, abs=0.02)
    assert styles["so"] / styles.total() == pytest.approx(0.5, abs=0.05)


def test_no_prompt_is_in_two_splits() -> None:
    own = {
        split: {sample.fields["text"] for sample in problems(split, count=400, train_operations=[1, 2, 3])}
        for split in chain_arithmetic.NATIVE
    }
    assert not own["train"] & own["test"]
    assert not own["train"] & own["val"]
    assert not own["val"] & own["test"]
    whole = [sample for split in own for sample in problems(split, operations=[1], train_operations=[1], count=120)]
    assert len({sample.fields["text"] for sample in whole}) == 10 * 12  # all of one operation turn up
    assert len({sample.key for sample in whole}) == len(whole)


def test_more_prompts_contain_fewer() -> None:
    few, many = problems(count=10), problems(count=20)
    assert {one.key for one in few} < {one.key for one in many}
    assert few[0].fields == next(one for one in many if one.key == few[0].key).fields


def test_the_decoder_knows_all_words() -> None:
    words = {"vocabulary": chain_arithmetic.vocabulary(), "closing": chain_arithmetic.CLOSING}
    options = {**defaults(decoder), **words}
    assert decoder.size(options) == 29
    for sample in problems("train", count=5):
        decoder.encoded(sample.fields["text"], options)
        for text in sample.fields["meta"]["completions"]:
            assert decoder.decoded(decoder.encoded(text, options), options) == text
    card = registry.find("datasets", "chain_arithmetic")
    assert card is chain_arithmetic


def test_a_trace_takes_as_many_words_whatever_it_says() -> None:
    one, other = (RandomStream(0, "a", "b", key) for key in "cd")
    for stream in (one, other):
        chain_arithmetic.trace(["1", "2"], stream)
    fresh = RandomStream(0, "a", "b", "c")
    fresh.raw(2 * 4 + 1)  # two draws of five 16-bit words are two raw words each, for each value
    assert one.raw(1) == fresh.raw(1)


def test_options_out_of_range_are_refused() -> None:
    with pytest.raises(ParamsError, match="operations, count or traces is 0; expected 1 at least"):
        problems(operations=[0])
