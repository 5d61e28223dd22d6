"""LAPT: learnt prompts and mixed features beside literal versions of the released rules; its arms and budgets."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from makers.lapt_miniature import VOCABULARY, begun, mined, sentence_tower, small_encoder, unit
from shiftbench.base import registry
from shiftbench.base.errors import ParamsError
from shiftbench.base.registry import defaults
from shiftbench.base.rng import RandomStream
from shiftbench.contracts import fake_open_clip
from shiftbench.plugins.models import _sentences, _word_pieces
from shiftbench.systems.lapt.models import prompted
from shiftbench.systems.lapt.trainers import _mixed_features, lapt
from shiftbench.workflow.plan import cards
from shiftbench.workflow.stages.train import train_weights

ID, WORDS, WIDTH = 5, 20, 12
RANDOM = np.random.default_rng(0)


def released_labels(y: np.ndarray, other: np.ndarray, lam: float, beta: float) -> np.ndarray:
    """The released label of a mixed sample, whose last column is "OOD": here over C + N + 1."""
    eye = np.eye(ID + WORDS + 1)
    away = min(beta * lam, 1)
    return away * eye[-1] + (1 - away) * (lam * eye[y] + (1 - lam) * eye[other])


@pytest.mark.parametrize(("lam", "beta"), [(0.0, 0.3), (0.25, 0.0), (0.7, 0.3), (0.9, 2.0)])
def test_mixed_labels_are_the_released_ones_with_ood_spread_over_negatives(lam: float, beta: float) -> None:
    y = RANDOM.integers(0, ID + WORDS, 30)
    known = y < ID
    rng = RandomStream(0, "lapt", "tiny", "0/0")
    other = _mixed_features.partners(known, rng)
    assert (known != known[other]).all()  # no pair of one side
    found = _mixed_features.soft_labels(
        torch.tensor(y), torch.tensor(y[other]), lam, beta, ID, ID + WORDS
    ).numpy()  # fmt: skip
    released = released_labels(y, y[other], lam, beta)
    expected = released[:, :-1].copy()
    expected[:, ID:] += released[:, -1:] / WORDS
    assert found == pytest.approx(expected, abs=1e-6)
    assert found.shape == (30, ID + WORDS)
    assert found.sum(1) == pytest.approx(1, abs=1e-6)


def test_one_side_alone_is_not_paired_and_partners_are_spread() -> None:
    alone = _mixed_features.partners(np.ones(4, bool), RandomStream(0, "a", "b", "c"))
    assert alone.tolist() == [0, 1, 2, 3]
    known = np.arange(200) < 150
    found = _mixed_features.partners(known, RandomStream(0, "a", "b", "c"))
    assert len(set(found[known])) > 40  # of 50
    assert len(set(found[~known])) > 30  # of 150, drawn 50 times


@pytest.mark.parametrize("lam", [0.0, 0.5, 1.0])
def test_mixed_features_have_length_1(lam: float) -> None:
    z, e = (F.normalize(torch.randn(6, WIDTH, generator=torch.Generator().manual_seed(n)), dim=1) for n in (0, 1))
    mixed = _mixed_features.unit_mix(z, e, lam)
    assert mixed.norm(dim=1).numpy() == pytest.approx(1, abs=1e-6)
    by_hand = lam * z.numpy() + (1 - lam) * e.numpy()
    assert mixed.numpy() == pytest.approx(unit(by_hand), abs=1e-6)


def test_the_rate_goes_down_as_in_the_released_code() -> None:
    """The released trainer asks for factors from 1 to 1e-6 / rate, so that the last rate is 1e-6."""
    for rate in (0.01, 0.003):
        for step in range(11):
            lowest = 1e-6 / rate
            released = lowest + (1 - lowest) * 0.5 * (1 + np.cos(step / 10 * np.pi))
            assert lapt.cosine(step, 10, lapt.LOWEST / rate) == pytest.approx(released, rel=1e-12)
        assert rate * lapt.cosine(10, 10, lapt.LOWEST / rate) == pytest.approx(1e-6)


def test_token_vectors_before_a_name_are_read_as_tokens_are(encoder: Path) -> None:
    tower = sentence_tower(encoder)
    names = ["town hall", "zebra", "light", "green"]
    said = [f"the nice {name}." for name in names]
    context = tower.context_of("The nice")
    assert context.shape == (2, 384)
    found = tower.encode_words(names, context)
    assert torch.equal(found, tower.texts(said))  # exactly
    raw = torch.stack([_sentences.encode(_word_pieces.tokens(one, VOCABULARY, 256), small_encoder()) for one in said])
    expected = F.normalize(tower.model.text(F.normalize(raw, dim=1)), dim=1)
    assert torch.allclose(found, expected, atol=1e-6)
    assert not torch.allclose(found, tower.encode_words(names, context.flip(0)), atol=1e-3)  # places count


def test_gradients_reach_v_and_u_alone(encoder: Path) -> None:
    tower = sentence_tower(encoder)
    for negative in (torch.randn(4, 384), None):
        prompts = lapt.Prompts(torch.randn(4, 384), negative)
        known, others = prompts.directions(tower, ["a", "b"], ["zebra", "town hall"])
        (known.sum() + others[:, 0].sum()).backward()
        learnt = dict(prompts.named_parameters())
        assert set(learnt) == {"known", "negative"} if negative is not None else {"known"}
        assert all(one.grad is not None and one.grad.abs().sum() > 0 for one in learnt.values())
        assert not any(one.requires_grad for one in tower.model.parameters())
        assert not any(one.requires_grad for one in tower.state.values())
        assert sum(one.numel() for one in prompts.parameters()) == (2 if negative is not None else 1) * 4 * 384


ARMS = {
    "lapt": {},
    "unified": {"prompts": "unified"},
    "unmixed": {"mixing": "none"},
    "cross_modal": {"mixing": "cross_modal"},
    "released": {"beta": 0.0},
}


def test_arms_differ_learn_and_move_nothing_but_prompts(inputs: Any, tmp_path: Path) -> None:
    state, _ = mined(inputs)
    seen = {}
    for name, options in ARMS.items():
        learnt, rows = train_weights(begun(inputs, state, tmp_path, **options))
        told = {(step, what): value for step, what, value in rows}
        steps = max(step for step, _ in told)
        assert steps == 4 * -(-(64 + 12) // 40)  # equal for all
        assert {what for _, what in told} == {"parameters", "train_loss", "unmixed_loss", "val_loss"}
        assert told[0, "parameters"] == (1 if name == "unified" else 2) * 2 * 384
        moved = {key for key, value in learnt.items() if not torch.equal(value, state[key])}
        assert moved == {"head.weight", "negatives", "contexts"}
        assert torch.equal(*learnt["contexts"]) == (name == "unified")
        if name == "unmixed":
            assert told[steps, "train_loss"] == pytest.approx(told[steps, "unmixed_loss"])
            assert told[steps, "train_loss"] < told[steps // 4, "train_loss"]
        seen[name] = learnt["negatives"].numpy().tobytes()
    assert len(set(seen.values())) == len(ARMS)
    again, _ = train_weights(begun(inputs, state, tmp_path))
    assert again["negatives"].numpy().tobytes() == seen["lapt"]


def test_the_loss_by_hand(inputs: Any, tmp_path: Path) -> None:
    state, _ = mined(inputs)
    job = begun(inputs, state, tmp_path, beta=0.3, weight=0.5)
    known, count = 4, 8
    draw = torch.Generator().manual_seed(5)
    z, t = (F.normalize(torch.randn(n, 384, generator=draw), dim=1) for n in (6, count))
    texts = F.normalize(torch.randn(count, 7, 384, generator=draw), dim=2)
    y = torch.tensor([0, 3, 5, 7, 1, 4])
    found = lapt.loss(job, lapt.Features(z, y), 10 * t, texts, known, RandomStream(0, "lapt", "tiny", "0/0"))
    words = RandomStream(0, "lapt", "tiny", "0/0")
    lam = float(words.uniform())  # Beta(1, 1)
    e = texts.numpy()[y, words.integers(0, 7, 6)]
    z1 = unit(lam * z.numpy() + (1 - lam) * e)
    total = -np.mean([log_softmax(10 * row @ t.numpy().T)[own] for row, own in zip(z1, y, strict=True)])
    lam = float(words.uniform())
    other = _mixed_features.partners(y.numpy() < known, words)
    z2 = unit(lam * z.numpy() + (1 - lam) * z.numpy()[other])
    soft = np.zeros((6, count))
    for i in range(6):
        away = min(0.3 * lam, 1)
        soft[i, y[i]] += (1 - away) * lam
        soft[i, y[other[i]]] += (1 - away) * (1 - lam)
        soft[i, known:] += away / (count - known)
    total -= 0.5 * np.mean(
        [(own * log_softmax(10 * row @ t.numpy().T)).sum() for row, own in zip(z2, soft, strict=True)]
    )
    assert found.item() == pytest.approx(total, rel=1e-5)


def log_softmax(x: np.ndarray) -> np.ndarray:
    return x - x.max() - np.log(np.exp(x - x.max()).sum())


@pytest.mark.parametrize("option", ["prompts", "mixing", "init"])
def test_an_option_that_is_none_is_told(inputs: Any, tmp_path: Path, option: str) -> None:
    state, _ = mined(inputs)
    with pytest.raises(ParamsError, match=f"lapt: {option} is 'other'"):
        train_weights(begun(inputs, state, tmp_path, **{option: "other"}))


def test_the_context_takes_places_1_to_m_of_clips_tokens() -> None:
    fake_open_clip.install()
    params = {
        **defaults(prompted),
        "encoder": "open_clip",
        "options": {"name": "ViT-B-16"},
        "negatives": 3,
        "context": 3,
        "width": 12,
    }
    torch.manual_seed(0)
    net = prompted.build(params, 4).eval().requires_grad_(requires_grad=False)
    tower = prompted.tower(net, params, {})
    context = torch.nn.Parameter(torch.randn(3, 12))
    found = tower.encode_words(["cat", "dog"], context)
    found.sum().backward()
    assert context.grad is not None
    assert context.grad.abs().min() > 0
    import open_clip

    clip, ids = net.clip, open_clip.get_tokenizer("ViT-B-16")(["X X X cat.", "X X X dog."])
    table = clip.token_embedding.weight[ids]
    table[:, 1:4] = context
    if isinstance(clip, fake_open_clip.TwoTowers):
        expected = F.normalize(table.mean(1) @ clip.text_projection, dim=1)
        assert torch.allclose(found, expected, atol=1e-5)
    own = tower.texts(["a cat."])
    assert own.norm(dim=1).item() == pytest.approx(1, abs=1e-5)
    with torch.no_grad():
        plain = clip.encode_text(open_clip.get_tokenizer("ViT-B-16")(["a cat."]))  # the hook is gone
    assert torch.allclose(own, F.normalize(plain, dim=1), atol=1e-6)


def of_card(scale: str) -> dict[str, Any]:
    params: dict[str, Any] = cards.load("lapt").params[scale]
    return params


def test_the_grid_has_every_pair_of_prompts_and_mixing_at_equal_budgets() -> None:
    params = of_card("embedded")
    names = params["benchmarks"]["split_1"]["models"][0]["trainers"]
    arms = [{**defaults(lapt), **params["trainers"][name]} for name in names if "lapt" in name]
    pairs = {(one["prompts"], one["mixing"]) for one in arms}
    assert pairs >= set(itertools.product(("dis_aware", "unified"), ("both", "none")))
    assert len(pairs) == len(arms)
    budget = ("epochs", "batch_size", "lr", "beta", "trained", "images", "train_on")
    assert len({tuple(one[key] for key in budget) for one in arms}) == 1
    assert arms[0]["train_on"] == "label_noise/0.3"
    splits = {name: one["split"] for name, one in params["datasets"].items() if name.startswith("known_")}
    held = registry.find("datasets", "fashion_mnist_classes")
    out = {held.classes({"part": "out", "split": split, "held_out": 3}, {}) for split in splits.values()}
    assert len(out) == len(splits) == 3


def test_full_scale_has_the_papers_numbers() -> None:
    params = of_card("full")
    made = {**defaults(lapt), **params["trainers"]["lapt"]}
    step = {"lr": 0.01, "momentum": 0.9, "weight_decay": 1e-5, "batch_size": 32, "epochs": 10}
    mix = {"alpha": 1.0, "beta": 0.3, "weight": 1.0, "mixing": "both"}
    wanted = {**step, **mix, "trained": 1000, "prompts": "dis_aware", "scale": 100.0}
    assert {name: made[name] for name in wanted} == wanted
    model = {**defaults(prompted), **params["models"]["prompted_b16"]}
    assert (model["context"], model["width"], model["negatives"]) == (4, 512, 10_000)
    assert 2 * model["context"] * model["width"] == 4096
    assert params["detectors"]["neglabel_100"]["groups"] == 100
