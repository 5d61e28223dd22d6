"""Graders against answers judged by eye, against literal versions of the released rules, and the check of samples."""

import re
from typing import Any

import numpy as np
import pytest

from shiftbench.base.errors import DataError
from shiftbench.evaluation.llm import graders

CHOICES = ["red", "blue", "dark green"]


@pytest.mark.parametrize(
    ("name", "text", "meta", "verdict"),
    [
        ("exact", "(Left).", {"answer": "left"}, True),
        ("exact", "two  words", {"answer": "Two words"}, True),
        ("exact", "leftmost", {"answer": "left"}, False),
        ("exact", " .", {"answer": "left"}, None),
        ("exact", "Straße", {"answer": "STRASSE"}, True),
        ("exact", "\uff4c\uff45\uff46\uff54", {"answer": "left"}, True),  # full width
        ("number", "so 3, then 1,234.50", {"answer": "1234.5"}, True),
        ("number", "it is -7.", {"answer": "-7"}, True),
        ("number", "it is 7", {"answer": "-7"}, False),
        ("number", r"\boxed{12} of 40", {"answer": "12"}, True),
        ("number", "none", {"answer": "12"}, None),
        ("boxed", r"\boxed{3} or \boxed{\frac{1}{2}}.", {"answer": r"\frac{1} {2}"}, True),
        ("boxed", r"\boxed{-\frac{1}{2}}", {"answer": r"\frac{1}{2}"}, False),
        ("boxed", r"\frac{1}{2}", {"answer": r"\frac{1}{2}"}, None),
        ("boxed", r"\boxed{\frac{1}{2}", {"answer": r"\frac{1}{2}"}, None),  # never closed
        ("number", r"\boxed{x = 12} of 40", {"answer": "12"}, True),
        ("choice", "The answer is B.", {"answer": "B"}, True),
        ("choice", "(A) no, rather (C)", {"answer": "C"}, True),
        ("choice", "B", {"answer": "C"}, False),
        ("choice", "it is a dark green thing", {"answer": "C"}, True),
        ("choice", "red or blue", {"answer": "A"}, None),
        ("choice", "A car", {"answer": "A"}, None),  # the article
        ("close", "B", {"choices": ["3", "4", "x"], "answer": "A"}, True),
        ("close", "(A)", {"choices": ["3", "4", "x"], "answer": "A"}, False),
        ("close", "C", {"choices": ["3", "4", "x"], "answer": "A"}, False),
        ("close", "4 lamps", {"choices": ["3", "4", "x"], "answer": "A"}, True),
        ("close", "A", {"choices": ["3", "²"], "answer": "B"}, False),
        ("close", "well", {"choices": ["3", "4"], "answer": "A"}, None),
        ("phrases", "I CANNOT  help with that", {"phrases": ["cannot help"]}, True),
        ("phrases", "我不能回答这个问题", {"phrases": ["不能回答"]}, True),
        ("phrases", "sure", {"phrases": ["cannot"]}, False),
        ("phrases", "  ", {"phrases": ["cannot"]}, None),
    ],
)
def test_verdicts(name: str, text: str, meta: dict[str, Any], verdict: graders.Verdict) -> None:
    assert graders.grade(name, text, {"choices": CHOICES, **meta}) is verdict


def test_the_answer_stands_behind_the_last_mark() -> None:
    meta = {"answer": "4", "graders": ["number"], "answer_after": "</think>"}
    assert graders.correct("5 </think> so 4", meta)
    assert not graders.correct("4 </think> so 5", meta)
    assert not graders.correct("so 4", meta)  # it is not said what the answer is
    assert graders.grade("number", "so 4", meta) is None
    assert graders.correct("</think> 5 </think> 4", meta)


@pytest.mark.parametrize(
    ("said", "verdict"), [("Yes, it is.", True), ("NO", False), ("It is not yes; no.", True), ("maybe", None)]
)
def test_what_a_judge_said(said: str, verdict: graders.Verdict) -> None:
    assert graders.read_verdict(said) is verdict


def released_reward(content: str, solution: str) -> float:
    """The rule of Yvonne511/spatial-vlm-investigator, model/pali_sat_grpo.py."""
    if content.strip() == "":
        return -0.2
    return 1.0 if re.sub(r"[\(\)\.\,\-]", "", content).lower() == solution.lower() else 0.0


def released_number(text: str) -> str | None:
    """The flexible rule of veRL, utils/reward_score/gsm8k.py: the last number that is not a dot."""
    found = [one for one in re.findall(r"(\-?[0-9\.\,]+)", text[-300:]) if one not in ("", ".")]
    return found[-1] if found else None


def test_exact_is_the_released_rule_on_words() -> None:
    random = np.random.default_rng(0)
    words = ["left", "Right", "(left)", "right.", "far-away", "faraway", "left right", ""]
    for _ in range(200):
        text, answer = random.choice(words), random.choice(["left", "right", "faraway"])
        assert (graders.exact(text, {"answer": answer}) is True) == (released_reward(text, answer) == 1.0)


def test_number_is_the_released_rule_on_whole_numbers() -> None:
    random = np.random.default_rng(0)
    for _ in range(200):
        words = random.choice(["so", "7", "-3", "is", "12", "1"], 4)
        text, answer = " ".join(words), str(random.choice(["7", "-3", "12"]))
        assert (graders.number(text, {"answer": answer}) is True) == (released_number(text) == answer)
    # They differ where veRL compares strings and takes the stop at the end along.
    assert graders.number("It is 7.", {"answer": "7"}) is True
    assert released_number("It is 7.") == "7."


@pytest.mark.parametrize(
    ("meta", "message"),
    [
        ({}, "meta.graders is None; expected names, of which the first decides"),
        ({"graders": []}, r"meta.graders is \[\]"),
        ({"graders": ["numbr"]}, "there is no grader 'numbr'; did you mean number"),
        ({"graders": ["number"]}, "the grader number needs meta.answer, which is not there"),
        ({"graders": ["number"], "answer": "seven"}, "meta.answer is 'seven'; the grader number"),
        ({"graders": ["choice"], "answer": "A"}, "needs meta.choices"),
        (
            {"graders": ["choice"], "answer": "D", "choices": CHOICES},
            "meta.answer is 'D'; expected one of the letters of 3 choices",
        ),
        ({"graders": ["judge", "phrases"]}, "needs meta.phrases"),
    ],
)
def test_what_cannot_be_graded_is_refused(meta: dict[str, Any], message: str) -> None:
    graders.check({"graders": ["judge"]}, "toy/0")
    with pytest.raises(DataError, match=f"toy/0.*{message}"):
        graders.check(meta, "toy/0")
