"""LAPT: the score beside the released one, and NegLabel where no step is taken."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from makers.lapt_miniature import MODEL, begun, mined, sentence_tower, unit
from shiftbench.base import refs, registry
from shiftbench.base.errors import ModelError, ParamsError
from shiftbench.base.sample import Sample
from shiftbench.contracts import training_jobs
from shiftbench.plugins.detectors._rows import Head, Rows
from shiftbench.plugins.models import _sentences
from shiftbench.plugins.tasks import LabelSpace, classification
from shiftbench.systems.lapt.models import _towers, prompted
from shiftbench.systems.lapt.trainers import _begin, lapt
from shiftbench.workflow.stages.score import score_cell
from shiftbench.workflow.stages.train import train_weights

ID, WORDS, WIDTH = 5, 20, 12
RANDOM = np.random.default_rng(0)


def released_score(known: np.ndarray, negative: np.ndarray, groups: int) -> np.ndarray:
    """`OneOodPromptPostprocessor.postprocess` with random_permute, in NumPy around torch's permutation."""
    drop = negative.shape[1] % groups
    if drop > 0:
        negative = negative[:, :-drop]
    torch.manual_seed(0)
    negative = negative[:, torch.randperm(negative.shape[1]).numpy()]
    negative = negative.reshape(len(negative), groups, -1)
    scores = []
    for i in range(groups):
        full = np.concatenate([known, negative[:, i, :]], axis=1)
        full = np.exp(full - full.max(1, keepdims=True))
        scores.append((full / full.sum(1, keepdims=True))[:, : known.shape[1]].sum(1))
    return np.mean(scores, axis=0)


def scored(groups: int, scale: float = 20.0) -> tuple[np.ndarray, np.ndarray]:
    """Return the scores of 9 images and minus those of the released rule."""
    z, t = unit(RANDOM.normal(size=(9, WIDTH))), unit(RANDOM.normal(size=(ID + WORDS, WIDTH)))
    logits = (scale * z @ t[:ID].T).astype(np.float32)
    names = tuple("abcde")
    some = [Sample(f"toy/test/{n}", {"label": 0}) for n in range(9)]
    table = classification.rows(some, {"logits": logits}, LabelSpace(names, names), "full")
    net = SimpleNamespace(module=SimpleNamespace(negatives=torch.tensor(scale * t[ID:])))
    rows = Rows(table, z.astype(np.float32), logits, Head(scale * t[:ID], np.zeros(ID)), net)  # type: ignore[arg-type]
    found = score_cell(registry.find("detectors", "neglabel"), {"groups": groups}, rows)["score"].to_numpy()
    return found, -released_score(logits.astype(float), scale * z @ t[ID:].T, groups)


@pytest.mark.parametrize("groups", [1, 3, 4, 20])
def test_the_score_is_the_released_one(groups: int) -> None:
    found, released = scored(groups)
    assert found == pytest.approx(released, abs=1e-6)
    assert not (groups > 1 and np.allclose(found, scored(1)[0]))


def test_what_does_not_fill_a_group_is_dropped() -> None:
    order = registry.find("detectors", "neglabel").members(WORDS, 3)
    assert order.shape == (3, 6)
    assert sorted(order.ravel()) == list(range(18))  # 18 and 19 are dropped, then the rest is permuted
    with pytest.raises(ParamsError, match="groups is 21; expected 1 to 20"):
        scored(21)


@pytest.mark.parametrize(("adjectives", "template"), [("photo", "This is a {} photo."), ("nice", "The nice {}.")])
def test_adjectives_are_scored_by_their_own_template(inputs: Any, adjectives: str, template: str) -> None:
    state, _ = mined(inputs, adjectives=adjectives)
    words = prompted.read(state["words"])
    own = {"green", "bad", "nice"} & set(words)
    assert own
    prompts = [(template if word in own else "The nice {}.").format(word) for word in words]
    text = torch.nn.Linear(*state["text.weight"].shape[::-1], bias=False)
    text.load_state_dict({"weight": state["text.weight"]})
    net = torch.nn.Module()
    net.text = text
    tower = _towers.SentenceTower(net, inputs[refs.sources(_sentences.SOURCE)].parent)
    assert unit(state["negatives"].numpy()) == pytest.approx(tower.texts(prompts).numpy(), abs=1e-5)


def test_another_template_of_adjectives_is_refused(inputs: Any) -> None:
    with pytest.raises(ParamsError, match="adjectives is 'phto'.*photo"):
        mined(inputs, adjectives="phto")


def test_no_step_from_the_nice_is_neglabel_exactly(inputs: Any, tmp_path: Path) -> None:
    state, _ = mined(inputs, adjectives="nice")
    none, _ = train_weights(begun(inputs, state, tmp_path, epochs=0, init="hand"))
    for name in ("head.weight", "head.bias", "negatives", "words", "unit"):
        assert torch.equal(none[name], state[name]), name
    with pytest.raises(ParamsError, match=r"`init: hand` has a context \(2, 384\), the model \(3, 384\)"):
        lapt.fresh(
            training_jobs.job("prompted", "lapt", model_params={**MODEL, "context": 3}, init="hand"),
            SimpleNamespace(tower=sentence_tower(inputs[refs.sources(_sentences.SOURCE)].parent)),  # type: ignore[arg-type]
        )


def test_a_model_without_negative_labels_is_told() -> None:
    with pytest.raises(ModelError, match="'convnet' keeps no negative labels; take the model `prompted`"):
        _begin.begin(training_jobs.job("convnet", "neglabel"))
    with pytest.raises(ParamsError, match="text tower of 'convnet' takes no token vectors"):
        _towers.of("convnet", torch.nn.Module(), {}, {})
