"""LAPT: negative labels, prompts, mixing and score beside literal versions of the released rules."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from makers import fake_open_clip, small_files, training_jobs
from shiftbench import plugins, refs
from shiftbench.data import shards
from shiftbench.detectors._rows import Head, Rows
from shiftbench.errors import DataError, ModelError, ParamsError
from shiftbench.inference import nets
from shiftbench.models import _sentences, _word_pieces
from shiftbench.plan import cards
from shiftbench.rng import RandomStream
from shiftbench.sample import Sample
from shiftbench.stages.score import score_cell
from shiftbench.stages.train import train_weights
from shiftbench.systems.lapt.models import _towers, prompted
from shiftbench.systems.lapt.trainers import _begin, _mixed_features, _negatives, lapt
from shiftbench.tasks import LabelSpace, classification

ID, WORDS, WIDTH = 5, 20, 12
RANDOM = np.random.default_rng(0)
NOUNS = [f"noun {n:02d}" for n in range(14)]
ADJECTIVES = [f"adjective {n}" for n in range(6)]


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


# --- negative labels ------------------------------------------------------------------------------


def released_selection(
    total: int, adjectives: list[str], cos_adj: np.ndarray, nouns: list[str], cos_noun: np.ndarray
) -> list[str]:
    """`get_selected_ood_text_list` of YBZh/OpenOOD-VLM, line for line in NumPy."""
    adj_num = int(total * (len(adjectives) / (len(adjectives) + len(nouns))))
    noun_num = total - adj_num
    place = int(cos_adj.shape[1] * 0.95)
    q_adj, q_noun = np.sort(cos_adj, 1)[:, place], np.sort(cos_noun, 1)[:, place]
    picked_adj = [adjectives[i] for i in np.argsort(q_adj)[:adj_num]]
    return picked_adj + [nouns[i] for i in np.argsort(q_noun)[:noun_num]]


@pytest.mark.parametrize("count", [1, 7, 10, 20])
@pytest.mark.parametrize("names", [ID, 40])
def test_negative_labels_are_those_of_the_released_rule(count: int, names: int) -> None:
    texts = unit(RANDOM.normal(size=(WORDS + names, WIDTH)))
    cosines = texts[:WORDS] @ texts[WORDS:].T
    noun, adjective = cosines[:14], cosines[14:]
    q = _negatives.distances(noun), _negatives.distances(adjective)
    found = _negatives.chosen(count, (NOUNS, q[0]), (ADJECTIVES, q[1]))
    assert [word for word, _ in found] == released_selection(
        count, ADJECTIVES, adjective, NOUNS, noun
    )
    assert len(found) == count
    assert sum(word in ADJECTIVES for word, _ in found) == int(count * 6 / 20)
    for word, own in found:
        row = cosines[(NOUNS + ADJECTIVES).index(word)]
        assert own == pytest.approx(sorted(row)[int(0.95 * names)])
    with pytest.raises(ParamsError, match="21 negative labels are to be mined from 20 candidates"):
        _negatives.shares(21, 14, 6)


def test_a_word_counts_once_and_an_id_name_not_at_all(tmp_path: Path) -> None:
    licence = "  1 the licence, which is no word\n"
    (tmp_path / "index.noun").write_text(f"{licence}light n 1\nshirt n 1\ntown_hall n 2\n")
    (tmp_path / "index.adj").write_text(f"{licence}green a 1\nlight a 1\nshirt a 1\n")
    assert _negatives.candidates(tmp_path, {"shirt"}) == (["light", "town hall"], ["green"])
    nouns, adjectives = _negatives.candidates(tmp_path, set(), most=4)
    assert (len(nouns), len(adjectives)) == (3, 1)
    with pytest.raises(DataError, match="index.noun is missing; `shiftbench fetch wordnet`"):
        _negatives.candidates(tmp_path / "nowhere", set())


# --- mixing ---------------------------------------------------------------------------------------


def released_labels(y: np.ndarray, other: np.ndarray, lam: float, beta: float) -> np.ndarray:
    """The released label of a mixed sample, whose last column is "OOD": here over C + N + 1."""
    eye = np.eye(ID + WORDS + 1)
    away = min(beta * lam, 1)
    return away * eye[-1] + (1 - away) * (lam * eye[y] + (1 - lam) * eye[other])


@pytest.mark.parametrize(("lam", "beta"), [(0.0, 0.3), (0.25, 0.0), (0.7, 0.3), (0.9, 2.0)])
def test_mixed_labels_are_the_released_ones_with_ood_spread_over_negatives(
    lam: float, beta: float
) -> None:
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
    z, e = (
        F.normalize(torch.randn(6, WIDTH, generator=torch.Generator().manual_seed(n)), dim=1)
        for n in (0, 1)
    )
    mixed = _mixed_features.unit_mix(z, e, lam)
    assert mixed.norm(dim=1).numpy() == pytest.approx(1, abs=1e-6)
    by_hand = lam * z.numpy() + (1 - lam) * e.numpy()
    assert mixed.numpy() == pytest.approx(unit(by_hand), abs=1e-6)


def test_the_rate_goes_down_as_in_the_released_code() -> None:
    for step in range(11):
        released = 1e-8 + (1 - 1e-8) * 0.5 * (1 + np.cos(step / 10 * np.pi))
        assert lapt.cosine(step, 10) == pytest.approx(released, rel=1e-12)


# --- score ----------------------------------------------------------------------------------------


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
    found = score_cell(plugins.find("detectors", "neglabel"), {"groups": groups}, rows)[
        "score"
    ].to_numpy()
    return found, -released_score(logits.astype(float), scale * z @ t[ID:].T, groups)


@pytest.mark.parametrize("groups", [1, 3, 4, 20])
def test_the_score_is_the_released_one(groups: int) -> None:
    found, released = scored(groups)
    assert found == pytest.approx(released, abs=1e-6)
    assert not (groups > 1 and np.allclose(found, scored(1)[0]))


def test_what_does_not_fill_a_group_is_dropped() -> None:
    order = plugins.find("detectors", "neglabel").members(WORDS, 3)
    assert order.shape == (3, 6)
    assert sorted(order.ravel()) == list(
        range(18)
    )  # 18 and 19 are dropped, then the rest is permuted
    with pytest.raises(ParamsError, match="groups is 21; expected 1 to 20"):
        scored(21)


# --- the text tower of the small dual encoder -----------------------------------------------------


def small_encoder() -> nets.State:
    """Random weights of MiniLM's names for tokens 0 to 19, two of its layers."""
    generator = torch.Generator().manual_seed(0)

    def drawn(*shape: int) -> torch.Tensor:
        return 0.1 * torch.randn(shape, generator=generator)

    state = {
        "embeddings.word_embeddings.weight": 5 * drawn(20, 384),
        "embeddings.position_embeddings.weight": drawn(64, 384),
        "embeddings.token_type_embeddings.weight": drawn(2, 384),
    }
    square = [
        f"attention.{part}" for part in ("self.query", "self.key", "self.value", "output.dense")
    ]
    sizes = {
        **dict.fromkeys(square, (384, 384)),
        "intermediate.dense": (96, 384),
        "output.dense": (384, 96),
    }
    for number in range(2):
        for name, shape in sizes.items():
            state[f"encoder.layer.{number}.{name}.weight"] = 0.5 * drawn(*shape)
            state[f"encoder.layer.{number}.{name}.bias"] = drawn(shape[0])
        for name in ("attention.output", "output"):
            state[f"encoder.layer.{number}.{name}.LayerNorm.weight"] = torch.ones(384)
            state[f"encoder.layer.{number}.{name}.LayerNorm.bias"] = torch.zeros(384)
    return state | {
        "embeddings.LayerNorm.weight": torch.ones(384),
        "embeddings.LayerNorm.bias": torch.zeros(384),
    }


PIECES = (
    "[CLS] [SEP] . the nice a bad photo of b c d zebra town hall green this is light [UNK]".split()
)
VOCABULARY = {piece: number for number, piece in enumerate(PIECES)}


@pytest.fixture
def encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a small sentence encoder of two layers."""
    monkeypatch.setattr(_sentences, "LAYERS", 2)
    _towers._opened.cache_clear()
    folder = tmp_path / "encoder"
    folder.mkdir()
    (folder / "tokenizer.json").write_text(json.dumps({"model": {"vocab": VOCABULARY}}))
    (folder / "model.safetensors").write_bytes(nets.state_bytes(small_encoder()))
    yield folder
    _towers._opened.cache_clear()


def sentence_tower(folder: Path) -> _towers.SentenceTower:
    torch.manual_seed(1)
    net = torch.nn.Module()
    net.text = torch.nn.Linear(384, 384, bias=False)
    return _towers.SentenceTower(net.requires_grad_(requires_grad=False), folder)


def test_token_vectors_before_a_name_are_read_as_tokens_are(encoder: Path) -> None:
    tower = sentence_tower(encoder)
    names = ["town hall", "zebra", "light", "green"]
    said = [f"the nice {name}." for name in names]
    context = tower.context_of("The nice")
    assert context.shape == (2, 384)
    found = tower.named(names, context)
    assert torch.equal(found, tower.texts(said))  # exactly
    raw = torch.stack(
        [
            _sentences.encode(_word_pieces.tokens(one, VOCABULARY, 256), small_encoder())
            for one in said
        ]
    )
    expected = F.normalize(tower.net.text(F.normalize(raw, dim=1)), dim=1)
    assert torch.allclose(found, expected, atol=1e-6)
    assert not torch.allclose(found, tower.named(names, context.flip(0)), atol=1e-3)  # places count


def test_gradients_reach_v_and_u_alone(encoder: Path) -> None:
    tower = sentence_tower(encoder)
    for negative in (torch.randn(4, 384), None):
        prompts = lapt.Prompts(torch.randn(4, 384), negative)
        known, others = prompts.directions(tower, ["a", "b"], ["zebra", "town hall"])
        (known.sum() + others[:, 0].sum()).backward()
        learnt = dict(prompts.named_parameters())
        assert set(learnt) == {"known", "negative"} if negative is not None else {"known"}
        assert all(one.grad is not None and one.grad.abs().sum() > 0 for one in learnt.values())
        assert not any(one.requires_grad for one in tower.net.parameters())
        assert not any(one.requires_grad for one in tower.state.values())
        assert (
            sum(one.numel() for one in prompts.parameters())
            == (2 if negative is not None else 1) * 4 * 384
        )


# --- the trainers ---------------------------------------------------------------------------------

MODEL = {"negatives": 7, "context": 2}


def drawn(random: np.random.Generator, label: int) -> np.ndarray:
    return random.integers(200 * label, 56 + 200 * label, (28, 28), np.uint8)


def images_of_negatives(folder: Path) -> dict[refs.Ref, Path]:
    """Shards of images of two negative labels: dark ones, bright ones."""
    found = {}
    for split, seed in (("train", 0), ("val", 1)):
        random = np.random.default_rng(seed)
        some = [
            Sample(f"far/{split}/{n:02d}", {"image": drawn(random, n % 2), "label": n % 2})
            for n in range(12)
        ]
        place = folder / "far" / split
        place.mkdir(parents=True)
        shards.write(some, place, classification.FIELDS, {"classes": ["town_hall", "light"]}, 10**9)
        found[refs.shards("far", split)] = place / "manifest.json"
    return found


@pytest.fixture
def inputs(tmp_path: Path, encoder: Path) -> dict[refs.Ref, Path]:
    """Weights of a small dual encoder, its sentence encoder, WordNet and images of negative labels."""
    model = plugins.find("models", "dual_encoder")
    torch.manual_seed(3)
    net = model.build(model.PARAMS, 9)
    start = training_jobs.write(
        tmp_path / "start.safetensors", net.state_dict(), tuple("abcdefghi")
    )
    wordnet = tmp_path / "wordnet"
    wordnet.mkdir()
    (wordnet / "index.noun").write_text(
        "zebra n 1\nphoto n 1\nlight n 1\nhall n 1\na n 1\nnice_hall n\n"
    )
    (wordnet / "index.adj").write_text("green a 1\nbad a 1\nnice a 1\n")
    return {
        refs.weights("elsewhere", "dual_encoder", "contrastive"): start,
        refs.sources(_sentences.SOURCE): encoder / "manifest.json",
        refs.sources("wordnet"): wordnet / "manifest.json",
        **images_of_negatives(tmp_path),
    }


def mined(inputs: dict[refs.Ref, Path]) -> tuple[nets.State, list[Any]]:
    job = training_jobs.job(
        "prompted", "neglabel", inputs=inputs, model_params=MODEL, images="far", trained=4, learnt_from="elsewhere"
    )  # fmt: skip
    return train_weights(job)


def begun(inputs: dict[refs.Ref, Path], state: nets.State, folder: Path, **params: Any) -> Any:
    """Return a job of LAPT from weights that mined."""
    file = training_jobs.write(folder / "mined.safetensors", state)
    others = {ref: path for ref, path in inputs.items() if ref.kind != "weights"}
    start = {refs.weights("tiny", "prompted", "neglabel"): file}
    given = {"images": "far", "trained": 4, "batch_size": 40, "epochs": 4, "lr": 0.05, **params}
    return training_jobs.job(
        "prompted", "lapt", inputs={**others, **start}, model_params=MODEL, **given
    )


def test_the_negative_labels_are_kept_with_what_was_forced_first(inputs: Any) -> None:
    state, rows = mined(inputs)
    words = prompted.read(state["words"])
    assert words[:2] == ["town hall", "light"]
    assert set(words[2:]) < {"zebra", "photo", "hall", "nice hall", "green", "bad", "nice"}
    assert "a" not in words  # an ID name
    assert [name for _, name, _ in rows] == [f"negative/{word}" for word in words]
    assert len(words) == len(set(words)) == 7
    q = {name.partition("/")[2]: value for _, name, value in rows}
    assert q[words[2]] <= max(q[word] for word in words[2:])
    assert state["negatives"].norm(dim=1).numpy() == pytest.approx(
        10.0, rel=1e-4
    )  # the scale of fresh weights


def test_no_step_from_the_nice_is_neglabel_exactly(inputs: Any, tmp_path: Path) -> None:
    state, _ = mined(inputs)
    none, _ = train_weights(begun(inputs, state, tmp_path, epochs=0, init="hand"))
    for name in ("head.weight", "head.bias", "negatives", "words", "unit"):
        assert torch.equal(none[name], state[name]), name
    with pytest.raises(
        ParamsError, match=r"`init: hand` has a context \(2, 384\), the model \(3, 384\)"
    ):
        lapt.fresh(
            training_jobs.job(
                "prompted", "lapt", model_params={**MODEL, "context": 3}, init="hand"
            ),
            SimpleNamespace(tower=sentence_tower(inputs[refs.sources(_sentences.SOURCE)].parent)),  # type: ignore[arg-type]
        )


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
        assert {what for _, what in told} == {
            "parameters",
            "train_loss",
            "unmixed_loss",
            "val_loss",
        }
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
    found = lapt.loss(
        job, lapt.Features(z, y), 10 * t, texts, known, RandomStream(0, "lapt", "tiny", "0/0")
    )
    words = RandomStream(0, "lapt", "tiny", "0/0")
    lam = float(words.uniform())  # Beta(1, 1)
    e = texts.numpy()[y, words.integers(0, 7, 6)]
    z1 = unit(lam * z.numpy() + (1 - lam) * e)
    total = -np.mean(
        [log_softmax(10 * row @ t.numpy().T)[own] for row, own in zip(z1, y, strict=True)]
    )
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
        [
            (own * log_softmax(10 * row @ t.numpy().T)).sum()
            for row, own in zip(z2, soft, strict=True)
        ]
    )
    assert found.item() == pytest.approx(total, rel=1e-5)


def log_softmax(x: np.ndarray) -> np.ndarray:
    return x - x.max() - np.log(np.exp(x - x.max()).sum())


@pytest.mark.parametrize("option", ["prompts", "mixing", "init"])
def test_an_option_that_is_none_is_told(inputs: Any, tmp_path: Path, option: str) -> None:
    state, _ = mined(inputs)
    with pytest.raises(ParamsError, match=f"lapt: {option} is 'other'"):
        train_weights(begun(inputs, state, tmp_path, **{option: "other"}))


def test_a_model_without_negative_labels_is_told() -> None:
    with pytest.raises(
        ModelError, match="'convnet' keeps no negative labels; take the model `prompted`"
    ):
        _begin.begin(training_jobs.job("convnet", "neglabel"))
    with pytest.raises(ParamsError, match="text tower of 'convnet' takes no token vectors"):
        _towers.of("convnet", torch.nn.Module(), {}, {})


# --- open_clip ------------------------------------------------------------------------------------


def test_the_context_takes_places_1_to_m_of_clips_tokens() -> None:
    fake_open_clip.install()
    params = {
        **prompted.PARAMS,
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
    found = tower.named(["cat", "dog"], context)
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
        plain = clip.encode_text(
            open_clip.get_tokenizer("ViT-B-16")(["a cat."])
        )  # the hook is gone
    assert torch.allclose(own, F.normalize(plain, dim=1), atol=1e-6)


# --- data -----------------------------------------------------------------------------------------


def test_folders_of_labels_are_read_with_their_source(tmp_path: Path) -> None:
    for kind, label, count in (
        ("web", "zebra", 12),
        ("web", "town hall", 3),
        ("synth", "zebra", 9),
    ):
        for n in range(count):
            file = tmp_path / kind / label / f"uid{n}.jpg"
            file.parent.mkdir(parents=True, exist_ok=True)
            small_files.picture(n, (30, 20)).save(file)
    module = plugins.find("datasets", "collected")
    options = {**module.PARAMS, "folder": str(tmp_path), "name": "yours"}
    assert module.classes(options, {}) == ("town hall", "zebra")
    split = {name: list(module.samples(name, {}, options)) for name in ("train", "val", "test")}
    assert not split["test"]
    assert len(split["train"]) + len(split["val"]) == 24
    assert len(split["train"]) > len(split["val"]) > 0
    told = {
        (s.fields["meta"]["source"], int(s.fields["label"]))
        for part in split.values()
        for s in part
    }
    assert told == {("web", 0), ("web", 1), ("synth", 1)}
    assert all(s.key.startswith(f"yours/{s.fields['meta']['source']}/") for s in split["train"])
    named = module.classes({**options, "classes": "imagenet"}, {})
    assert (named[0], len(named)) == ("tench", 1000)
    with pytest.raises(DataError, match="holds neither `web` nor `synth`"):
        module.classes({**options, "folder": str(tmp_path / "web")}, {})


# --- the card -------------------------------------------------------------------------------------


def of_card(scale: str) -> dict[str, Any]:
    params: dict[str, Any] = cards.load("lapt").params[scale]
    return params


def test_the_grid_has_every_pair_of_prompts_and_mixing_at_equal_budgets() -> None:
    params = of_card("embedded")
    names = params["campaigns"]["split_1"]["weights"][0]["trainers"]
    arms = [{**lapt.PARAMS, **params["trainers"][name]} for name in names if "lapt" in name]
    pairs = {(one["prompts"], one["mixing"]) for one in arms}
    assert pairs >= set(itertools.product(("dis_aware", "unified"), ("both", "none")))
    assert len(pairs) == len(arms)
    budget = ("epochs", "batch_size", "lr", "beta", "trained", "images", "train_on")
    assert len({tuple(one[key] for key in budget) for one in arms}) == 1
    assert arms[0]["train_on"] == "label_noise/0.3"
    splits = {
        name: one["split"] for name, one in params["datasets"].items() if name.startswith("known_")
    }
    held = plugins.find("datasets", "fashion_mnist_classes")
    out = {
        held.classes({"part": "out", "split": split, "held_out": 3}, {})
        for split in splits.values()
    }
    assert len(out) == len(splits) == 3


def test_no_image_that_is_learnt_from_was_seen_in_pretraining() -> None:
    datasets = of_card("embedded")["datasets"]
    for name in ("garments_seen", "animals_seen", "places_seen"):
        assert datasets[name]["slice"] == {"train": [0.0, 0.4], "val": [0.0, 0.4]}
    for name in ("known_1", "known_2", "known_3", "animals", "places"):
        assert datasets[name]["slice"] == {"train": [0.4, 1.0], "val": [0.4, 1.0]}


def test_full_scale_has_the_papers_numbers() -> None:
    params = of_card("full")
    made = {**lapt.PARAMS, **params["trainers"]["lapt"]}
    step = {"lr": 0.01, "momentum": 0.9, "weight_decay": 1e-5, "batch_size": 32, "epochs": 10}
    mix = {"alpha": 1.0, "beta": 0.3, "weight": 1.0, "mixing": "both"}
    wanted = {**step, **mix, "trained": 1000, "prompts": "dis_aware", "scale": 100.0}
    assert {name: made[name] for name in wanted} == wanted
    model = {**prompted.PARAMS, **params["models"]["prompted_b16"]}
    assert (model["context"], model["width"], model["negatives"]) == (4, 512, 10_000)
    assert 2 * model["context"] * model["width"] == 4096
    assert params["detectors"]["neglabel_100"]["groups"] == 100
