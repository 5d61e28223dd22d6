"""The parser of So-Fake-R1's answers, their rewards, and GRPO's arithmetic on a toy."""

import numpy as np
import pytest
import torch

from shiftbench.plugins.trainers import _policy_loss
from shiftbench.systems.so_fake.models import _answers
from shiftbench.systems.so_fake.models._answers import Answer
from shiftbench.systems.so_fake.trainers import _toy_policy


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("<think>a</think><answer>REAL</answer>", Answer(0, None)),
        ("<think></think> <answer> FULL_SYNTHETIC </answer>\n", Answer(1, None)),
        ("<think>two\nlines</think><answer>TAMPERED</answer>", Answer(2, None)),
        ("<think>a</think><answer>TAMPERED,(1,2),(3.5,4)</answer>", Answer(2, (1, 2, 3.5, 4))),
        ("<think>a < b</think><answer>TAMPERED, ( 1, 2 ), (3, 4)</answer>", Answer(2, (1, 2, 3, 4))),
        ("<think>a</think><answer>REAL,(0,0),(1,1)</answer>", Answer(0, (0, 0, 1, 1))),
    ],
)
def test_answers_in_the_format(text: str, answer: Answer) -> None:
    assert _answers.parse(text) == answer
    assert _answers.parse(_answers.written(answer, "so")) == answer


@pytest.mark.parametrize(
    "text",
    [
        "",
        "REAL",
        "<answer>REAL</answer>",
        "<think>a</think>REAL",
        "<think>a</think><answer>REAL</answer> indeed",
        "so <think>a</think><answer>REAL</answer>",
        "<answer>REAL</answer><think>a</think>",
        "<think>a</think><answer>real</answer>",
        "<think>a</think><answer>FAKE</answer>",
        "<think>a</think><answer>It is REAL</answer>",
        "<think>a</think><answer>TAMPERED,(1,2)</answer>",
        "<think>a</think><answer>TAMPERED (1,2),(3,4)</answer>",
        "<think>a</think><answer>TAMPERED,(1,2),(3,4),(5,6)</answer>",
        "<think>a</think><answer>TAMPERED,(3,4),(1,2)</answer>",
        "<think>a</think><answer>TAMPERED,(1,2),(1,4)</answer>",
        "<think>a</think><answer>TAMPERED,(-1,2),(3,4)</answer>",
        "<think>a</think><answer>TAMPERED,(a,2),(3,4)</answer>",
        "<think>a</think><answer>TAMPERED,(nan,2),(3,4)</answer>",
        "<think>a<think>b</think></think><answer>REAL</answer>",
        "<think>a</think><answer>REAL</answer><answer>REAL</answer>",
        "<think>a</think><answer>REAL</answer></think><answer>TAMPERED</answer>",
    ],
)
def test_malformed_answers_have_no_format(text: str) -> None:
    assert _answers.parse(text) is None
    assert _toy_policy.reward(text, Answer(0, None)) == (0, 0, 0)


def test_rewards_by_hand() -> None:
    truth = Answer(2, (0, 0, 10, 10))
    exact, half, none, wrong, real = (
        _toy_policy.reward(_answers.written(one), truth)
        for one in (
            truth,
            Answer(2, (5, 0, 15, 10)),  # 50 of 150
            Answer(2, None),
            Answer(2, (20, 20, 30, 30)),
            Answer(0, (0, 0, 10, 10)),  # a box does not help a wrong label
        )
    )
    assert (exact, exact.total) == ((1, 1, 1), 3)
    assert half == (1, 1, pytest.approx(1 / 3))
    assert none == wrong == (1, 1, 0)
    assert real == (1, 0, 0)
    # Of an image without a mask nothing is located, whatever is said.
    assert _toy_policy.reward(_answers.written(Answer(0, (0, 0, 1, 1))), Answer(0, None)) == (1, 1, 0)
    assert (_toy_policy.largest_reward(truth), _toy_policy.largest_reward(Answer(1, None))) == (3, 2)


def test_the_overlap_is_that_of_torchvision() -> None:
    ops = pytest.importorskip("torchvision.ops")
    random = np.random.default_rng(0)
    corners = random.integers(0, 20, (30, 2)).astype(float)
    boxes = np.concatenate([corners, corners + random.integers(1, 15, (30, 2))], axis=1)
    wanted = ops.box_iou(torch.from_numpy(boxes), torch.from_numpy(boxes)).numpy()
    found = [[_toy_policy.overlap(tuple(a), tuple(b)) for b in boxes] for a in boxes]
    assert np.allclose(found, wanted)


def test_a_constant_reward_has_no_advantage() -> None:
    """Where all rewards of a group are equal nothing is learnt; elsewhere advantages are as the equation has them."""
    rewards = torch.tensor([[2.0] * 8, [3.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 3.0]], dtype=torch.float64)
    found = _policy_loss.advantages(rewards)
    assert torch.equal(found[0], torch.zeros(8, dtype=torch.float64))
    by_paper = (rewards[1] - rewards[1].mean()) / (rewards[1].std(correction=0) + 1e-8)
    assert torch.allclose(found[1] * (8 / 7) ** 0.5, by_paper, atol=1e-3)  # a sample's deviation


def test_the_table_of_the_toy() -> None:
    truths, table = _toy_policy.truths(), _toy_policy.table(_toy_policy.truths())
    assert table.shape == (11, 27)
    assert torch.equal(table.max(1).values, torch.ones(11))
    assert [round(float(value), 6) for value in table[0]] == [1.0] * 9 + [0.5] * 18
    tampered = table[2 + 4]
    assert truths[2 + 4].box == (9, 9, 18, 18)
    assert [round(3 * float(value), 6) for value in tampered] == [1.0] * 18 + [*[2.0] * 4, 3.0, *[2.0] * 4]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_toy_rises_above_nine_tenths_in_200_updates(seed: int) -> None:
    rewards = _toy_policy.trained(seed)
    chance = float(_toy_policy.table(_toy_policy.truths()).mean())
    assert rewards[0] == pytest.approx(chance, abs=1e-6)
    assert chance < 0.6
    assert len(rewards) == 201
    assert rewards[-1] > 0.9


def test_the_toy_learns_nothing_of_rewards_that_do_not_depend_on_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_toy_policy, "table", lambda images: torch.ones((len(images), 27)))
    monkeypatch.setattr(_toy_policy, "_expected", lambda logits, _: float(logits.detach().abs().max()))
    assert _toy_policy.trained(0, updates=5)[-1] == pytest.approx(0, abs=1e-6)
