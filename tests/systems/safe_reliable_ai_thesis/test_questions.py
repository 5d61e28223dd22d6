"""VQA-lite: answers that follow from scenes, words that differ where they should, and a net that reads both."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch

from shiftbench.base import registry
from shiftbench.base.errors import ParamsError
from shiftbench.base.registry import defaults
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets
from shiftbench.evaluation.corruption import corrupt
from shiftbench.systems.safe_reliable_ai_thesis.datasets import _questions, vqa_lite
from shiftbench.systems.safe_reliable_ai_thesis.datasets._questions import Item
from shiftbench.systems.safe_reliable_ai_thesis.models import vqa_cnn_gru

SCENE = [Item("bag", "red", 10), Item("boot", "blue", 50), Item("bag", "green", 40)]
POOLS = {kind: np.full((2, 28, 28), 200, np.uint8) for kind in _questions.KINDS}


def rng(number: int) -> RandomStream:
    return RandomStream(0, "scene", "toy", str(number))


def asked(items: list[Item], templates: str = "seen", draws: int = 200) -> list[Any]:
    return [q for i in range(draws) for q in _questions.ask(rng(i), items, templates, 4)]


def test_answers_follow_from_the_scene_by_hand() -> None:
    found = {question.text: question.answer for question in asked(SCENE)}
    expected = {
        "how many bags are there": "2",
        "how many shirts are there": "0",
        "count the boots in the picture": "1",
        "is there a boot": "yes",
        "do you see a trouser in the picture": "no",
        "is there a bag left of a boot": "yes",
        "is there a boot left of a bag": "no",
        "is a boot to the right of a bag": "yes",
        "what colour is the boot": "blue",
    }
    assert expected.items() <= found.items()
    # Two bags have no one colour; every answer is one of the twelve.
    assert not any("colour" in text and "bag" in text for text in found)
    assert set(found.values()) <= set(_questions.ANSWERS)
    assert len(_questions.ANSWERS) == 12


def test_items_that_stand_together_are_not_compared() -> None:
    near = [Item("bag", "red", 30), Item("boot", "blue", 30 + _questions.APART)]
    assert {question.family for question in asked(near)} == {"count", "existence", "colour"}
    apart = [near[0], Item("boot", "blue", 31 + _questions.APART)]
    answers = Counter(q.answer for q in asked(apart) if q.family == "spatial")
    assert set(answers) == {"yes", "no"}
    assert 0.4 < answers["yes"] / answers.total() < 0.6


def test_no_answer_follows_from_the_question_alone() -> None:
    """Over many scenes each kind of question has several answers, none of them nearly always."""
    questions = [
        question
        for number in range(400)
        for question in _questions.ask(rng(number), vqa_lite._scene(rng(number), POOLS)[1], "seen", 2)
    ]
    for family in _questions.FAMILIES:
        counts = Counter(q.answer for q in questions if q.family == family)
        assert counts.most_common(1)[0][1] < 0.65 * counts.total(), family


def test_other_words_ask_the_same() -> None:
    seen, unseen = (asked(SCENE, templates, 40) for templates in ("seen", "unseen"))
    assert [(q.family, q.answer) for q in seen] == [(q.family, q.answer) for q in unseen]
    assert not {q.text for q in seen} & {q.text for q in unseen}
    # No seen word is unknown, most unseen templates have one that is.
    assert all(min(vqa_cnn_gru.numbered(q.text)) > 1 for q in seen)
    assert np.mean([min(vqa_cnn_gru.numbered(q.text)) == 1 for q in unseen]) > 0.5
    assert max(len(q.text.split()) for q in seen + unseen) <= vqa_cnn_gru.LONGEST


def test_scenes_hold_what_they_say() -> None:
    """Each item's colour lies around its middle, and nothing but the ground elsewhere."""
    for number in range(30):
        image, items = vqa_lite._scene(rng(number), POOLS)
        again, _ = vqa_lite._scene(rng(number), POOLS)
        assert np.array_equal(image, again)
        assert 1 <= len(items) <= 4
        light = 85 + 200 * 170 // 255
        for item in items:
            painted = tuple(light * part // 255 for part in vqa_lite.PAINT[item.colour])
            rows = (image[:, int(item.x)] == painted).all(axis=1)
            assert rows.sum() >= vqa_lite.SMALLEST
        assert len(np.unique(image.reshape(-1, 3), axis=0)) <= 1 + len(items)


def test_wrong_options_are_refused() -> None:
    with pytest.raises(ParamsError, match="templates is 'unsen'.*unseen"):
        vqa_lite._check({**defaults(vqa_lite), "templates": "unsen"})
    with pytest.raises(ParamsError, match="questions is 5; expected 1 to 4"):
        vqa_lite._check({**defaults(vqa_lite), "questions": 5})


def sample(text: str = "how many bags are there") -> Sample:
    image, _ = vqa_lite._scene(rng(1), POOLS)
    return Sample("vqa_lite/test/000001/0", {"image": image, "text": text, "label": 1})


def test_a_way_to_join_that_is_none_is_refused() -> None:
    with pytest.raises(ParamsError, match="vqa_cnn_gru: join is 'added'"):
        vqa_cnn_gru.build({**defaults(vqa_cnn_gru), "join": "added"}, 12)


def test_a_net_is_given_a_picture_and_the_words_of_its_question() -> None:
    batch = vqa_cnn_gru.prepare_batch([sample(), sample("")], defaults(vqa_cnn_gru))
    assert batch["image"].shape == (2, 3, 32, 32)
    words = vqa_cnn_gru.numbered("how many bags are there")
    assert batch["words"].tolist() == [words + [0] * (14 - len(words)), [0] * 14]
    assert np.array_equal(batch["image"][0], batch["image"][1])
    given = nets.to_inputs(batch[:1], torch.device("cpu"))
    assert {name: tuple(one.shape) for name, one in given.items()} == {"image": (1, 3, 32, 32), "words": (1, 14)}


@pytest.mark.parametrize("join", vqa_cnn_gru.JOINS)
def test_a_net_reads_picture_and_question_and_no_padding(join: str) -> None:
    torch.manual_seed(0)
    params = {**defaults(vqa_cnn_gru), "join": join}
    net = vqa_cnn_gru.build(params, 12)
    predict = nets.TorchPredictor(net, vqa_cnn_gru, params, "cpu")
    clean = predict([sample()])["logits"]
    for shift in ("gaussian_noise", "char_noise", "gaussian_noise+char_noise"):
        assert not np.array_equal(predict([corrupt(sample(), shift, 5.0)])["logits"], clean), shift
    # A longer question beside it changes nothing.
    beside = predict([sample(), sample("is there a bag to the left of a boot in the picture")])
    assert np.allclose(beside["logits"][0], clean[0], atol=1e-5)
    assert registry.find("models", "vqa_cnn_gru").TASK == vqa_lite.TASK == "visual_question"
