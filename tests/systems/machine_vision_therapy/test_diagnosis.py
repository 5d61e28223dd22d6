"""Support, transition matrix, candidates, exemplars and prompts, against the released rules written out literally."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from shiftbench.base.errors import DataError, ModelError, ParamsError
from shiftbench.systems.machine_vision_therapy.methods import _diagnosis, _prompts

CLASSES = 7


def probabilities(count: int, seed: int = 0, classes: int = CLASSES) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.dirichlet(np.full(classes, 0.4), count)


def released_matrix(p: np.ndarray, labels: np.ndarray, budget: int) -> np.ndarray:
    """`modeling_transition_matrix.py` of the authors, their loop over classes."""
    logits, label_all = torch.from_numpy(p), torch.from_numpy(labels)
    confidence, _ = logits.max(dim=1)
    everything, matrix = torch.arange(len(label_all)), torch.zeros(p.shape[1], p.shape[1])
    for cls in range(p.shape[1]):
        own = everything[label_all == cls]
        ordered = own[torch.argsort(confidence[label_all == cls], dim=0)]
        interval = len(ordered) // budget
        chosen = ordered[0 : len(ordered) : interval] if interval != 0 else ordered
        matrix[cls] = torch.mean(logits[chosen], dim=0)
    low, high = matrix.min(), matrix.max()
    return ((matrix - low) / (high - low)).numpy()


@pytest.mark.parametrize("per_class", [4, 10, 17, 25])
def test_the_matrix_is_the_released_one_under_its_sampling(per_class: int) -> None:
    labels = np.repeat(np.arange(CLASSES), per_class)
    p = probabilities(len(labels))
    chosen = _diagnosis.support(p, labels, 10, "strided")
    found = _diagnosis.transition(p[chosen], labels[chosen])
    np.testing.assert_allclose(found, released_matrix(p, labels, 10), atol=1e-6)
    assert (found.min(), found.max()) == (0, 1)


def test_even_places_keep_to_the_budget_and_strides_do_not() -> None:
    sure = np.random.default_rng(1).random(25)
    even, strided = (_diagnosis.spread(sure, 10, how) for how in _diagnosis.SAMPLING)
    assert (len(even), len(strided)) == (10, 13)
    assert sure[even[0]] == sure.min()
    assert sure[even[-1]] == sure.max()
    assert (np.diff(sure[even]) > 0).all()
    with pytest.raises(ParamsError, match="sampling is 'evn'; did you mean even"):
        _diagnosis.spread(sure, 10, "evn")


def test_rows_are_true_classes() -> None:
    """Images of class 0 look like class 2: so does row 0, and of a prediction 2 class 0 is a candidate."""
    p = np.array([[0.2, 0.1, 0.7], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]])
    matrix = _diagnosis.transition(p, np.arange(3))
    assert matrix[0].argmax() == 2
    assert matrix[2, 0] < matrix[0, 2]
    query = np.array([0.2, 0.3, 0.5])
    assert _diagnosis.candidates(matrix, query, range(3), 2) == [2, 0]
    assert _diagnosis.candidates(matrix, query, range(3), 2, "logits") == [2, 1]
    lacking = _diagnosis.transition(p[:2], np.arange(2))
    assert lacking[2].tolist() == [0, 0, 0]


def released_candidates(matrix: np.ndarray, p: np.ndarray, known: set[int], top: int) -> list[int]:
    """The lines of `dicl.py` between a prediction and its candidates."""
    tran_mat, logits = torch.from_numpy(matrix), torch.from_numpy(p)
    clip_pred = logits.argsort(dim=-1, descending=True).tolist()
    top_n_pred = torch.argsort(tran_mat[:, clip_pred[0]], dim=0, descending=True)
    top_n_sort = torch.argsort(logits[top_n_pred], dim=-1, descending=True)
    found: list[int] = top_n_pred[top_n_sort].tolist()
    if clip_pred[0] not in found:
        found.insert(0, clip_pred[0])
    found = found[:top]
    return [one for one in found if one in known][:top]


def test_the_released_matrix_has_no_effect_and_the_rule_of_the_paper_has() -> None:
    labels = np.repeat(np.arange(CLASSES), 10)
    matrix = _diagnosis.transition(probabilities(70), labels)
    shuffled = matrix[np.random.default_rng(3).permutation(CLASSES)]
    known, other = set(range(CLASSES)) - {5}, 0
    for p in probabilities(60, seed=4):
        own = _diagnosis.candidates(matrix, p, known, 4, "logits")
        assert own == released_candidates(matrix, p, known, 4)
        assert own == released_candidates(shuffled, p, known, 4)
        found = _diagnosis.candidates(matrix, p, known, 4)
        hat = int(p.argmax())
        assert (found[:1] == [hat]) == (hat in known)
        assert 5 not in found
        assert len(found) <= 4
        assert [p[one] for one in found] == sorted((p[one] for one in found), reverse=True)
        column = np.argsort(-matrix[:, hat])[:4].tolist()
        assert set(found) <= {hat, *column}
        other += set(found) != set(own)
    assert other > 30
    with pytest.raises(ParamsError, match="candidates is 'matrix'"):
        _diagnosis.candidates(matrix, p, known, 4, "matrix")


def released_retrieval(logits: np.ndarray, exemplars: list[np.ndarray], many: int) -> list[list[int]]:
    """`retrieve_sim_logit_list` of `get_prompts.py`, whose permutation goes on from class to class."""
    query = torch.from_numpy(logits)
    value, pred = torch.max(query.view(1, -1), dim=-1)
    sims = torch.cat([(torch.from_numpy(one)[:, pred] - value).view(1, -1) for one in exemplars])
    found: list[list[int]] = [[] for _ in exemplars]
    order = torch.arange(many)
    for _, at in itertools.product(range(many), range(len(exemplars))):
        order = order[torch.argsort(sims[at], dim=-1, descending=False)]
        place = 0
        while int(order[place]) in found[at]:
            place += 1
        found[at].append(int(order[place]))
    return found


def test_what_the_release_retrieves_is_all_that_it_holds() -> None:
    """With as many exemplars as are retrieved, whatever their order: the set is the same; with more it breaks."""
    p = probabilities(1, seed=7)[0]
    held = [probabilities(3, seed=at) for at in range(4)]
    told = released_retrieval(p, held, 3)
    hat = int(p.argmax())
    own = [_diagnosis.retrieve(one, hat, p[hat], 3, "signed").tolist() for one in held]
    assert [sorted(one) for one in told] == [sorted(one) for one in own] == [[0, 1, 2]] * 4
    assert told[0][0] == own[0][0]
    with pytest.raises(IndexError):
        released_retrieval(p, [probabilities(10, seed=at) for at in range(4)], 3)


def test_retrieval_by_hand() -> None:
    p = np.array([[0.9, 0.1], [0.45, 0.55], [0.05, 0.95], [0.6, 0.4]])
    assert _diagnosis.retrieve(p, 0, 0.5, 2).tolist() == [1, 3]
    assert _diagnosis.retrieve(p, 0, 0.5, 2, "signed").tolist() == [2, 1]
    alike = np.array([0.1, 0.2, 0.9, 0.8])
    assert _diagnosis.retrieve(p, 0, 0.5, 2, "similarity", alike).tolist() == [2, 3]
    with pytest.raises(ParamsError, match="takes features of the vision model"):
        _diagnosis.retrieve(p, 0, 0.5, 2, "similarity")


def test_released_matrices_are_read(tmp_path: Path) -> None:
    file = tmp_path / "vit-l0ImageNetVimagenet_tran_mat.pt"
    matrix = torch.rand(100, 100)
    torch.save(matrix, file)
    np.testing.assert_array_equal(_diagnosis.read_matrix(file, 100), matrix.double().numpy())
    with pytest.raises(DataError, match=r"shape \(100, 100\), expected \(200, 200\)"):
        _diagnosis.read_matrix(file, 200)
    torch.save(2 * matrix, file)
    with pytest.raises(DataError, match="outside 0 to 1"):
        _diagnosis.read_matrix(file, 100)
    with pytest.raises(ModelError, match="does not exist"):
        _diagnosis.read_matrix(tmp_path / "none.pt", 100)


def released_prompt(names: list[str], at: int) -> list[str]:
    """`get_inputs` of `Prompt_Builder`, for ImageNet, one placeholder for its thirty-two."""
    prompt = "This image {image} shows a photo of <#text>, True or False"
    return [
        prompt.replace("<#text>", names[0]) + "? Answer: False",
        prompt.replace("<#text>", names[at]) + "? Answer: True",
        prompt.replace("<#text>", names[at]) + "? Answer: ",
    ]


def test_prompts_are_the_released_ones() -> None:
    """Golden, for c = y and for c != y: the text, and which image stands before it."""
    names, labels, retrieved = ["cat", "dog", "owl"], [0, 1, 2], [[10, 11], [20, 21], [30, 31]]
    for at in range(3):
        assert _prompts.lines(names[0], names[at]) == released_prompt(names, at)
    own = list(_prompts.asks(4, 0, labels, retrieved, 0))
    assert [ask.shown for ask in own] == [(20, 10), (21, 11)]
    assert [(ask.positive, ask.negative) for ask in own] == [(10, 20), (11, 21)]
    other = list(_prompts.asks(4, 0, labels, retrieved, 2))
    assert [ask.shown for ask in other] == [(30, 30), (31, 31)]
    assert [(ask.positive, ask.negative) for ask in other] == [(30, 10), (31, 11)]
    assert {(ask.query, ask.hat, ask.candidate) for ask in other} == {(4, 0, 2)}
    assert "a wild animal photo of cat" in _prompts.lines("cat", "cat", _prompts.WORDS["iwildcam"])[0]
