"""The balanced database, its vote, thresholds, few-shot, and what is read of the published files."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import save_file
from scipy.special import softmax

from shiftbench.base import refs, registry
from shiftbench.base.errors import DataError, ModelError, ParamsError
from shiftbench.base.refs import Ref
from shiftbench.base.registry import defaults
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.data import shards
from shiftbench.plugins.tasks import text_classification
from shiftbench.systems.detree.datasets import realbench
from shiftbench.systems.detree.methods import few_shot_database
from shiftbench.systems.detree.models import detree_checkpoint
from shiftbench.systems.detree.models._database import Database, Voter, threshold

T = 0.05


def units(n: int, d: int = 6, seed: int = 0) -> np.ndarray[Any, np.dtype[np.float32]]:
    rows = np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def drawn(n: int = 40) -> tuple[Database, np.ndarray[Any, np.dtype[np.float32]]]:
    return Database.of(units(n), np.arange(n) % 3 == 0), units(7, seed=1)


# --- the vote ---------------------------------------------------------------------------------------


def test_votes_are_those_of_the_formula() -> None:
    known, queries = drawn()
    for k in (1, 5, 100):
        found = known.human_share(queries, k, T)
        for query, share in zip(queries.astype(np.float64), found, strict=True):
            alike = known.vectors.astype(np.float64) @ query
            near = np.argsort(-alike)[:k]
            assert share == pytest.approx(softmax(alike[near] / T) @ known.human[near], abs=1e-12)


def test_the_demo_is_the_formula_at_temperature_one_and_the_evaluation_is_another() -> None:
    """`process_element`: sums of T x score of each side, and a softmax of both; k and T act otherwise there."""
    known, queries = drawn()
    for query, share in zip(queries, known.human_share(queries, 10, T, "sums"), strict=True):
        alike = known.vectors.astype(np.float64) @ query.astype(np.float64)
        near, now = np.argsort(-alike)[:10], np.zeros(2)
        for at in near:
            now[int(known.human[at])] += alike[at] * T
        assert share == pytest.approx(softmax(now)[1], abs=1e-12)
    assert not np.allclose(known.human_share(queries, 10, T), known.human_share(queries, 10, T, "sums"))


def test_worked_out_by_hand() -> None:
    """Scores 1, 0.95 and 0: at T = 0.05 the second has exp(-1) of the first's vote; a weight of e makes them equal."""
    vectors = np.array([[1, 0], [0.95, 0], [0, 1]], dtype=np.float32)
    human, query = np.array([True, False, True]), np.array([[1, 0]], dtype=np.float32)
    known = Database.of(vectors, human)
    assert known.human_share(query, 1, T) == [1.0]
    assert known.human_share(query, 2, T)[0] == pytest.approx(1 / (1 + np.exp(-1)), abs=1e-6)
    heavy = Database(vectors, human, np.array([1.0, np.e, 1.0]))
    assert heavy.human_share(query, 2, T)[0] == pytest.approx(0.5, abs=1e-6)


def test_both_sides_have_as_many_centres() -> None:
    vectors = np.concatenate([units(90), units(30, seed=2)])
    human = np.repeat([False, True], [90, 30])
    found = Database.balanced(vectors, human, 10, seed=0)
    assert (found.human.sum(), (~found.human).sum()) == (10, 10)
    again = Database.balanced(vectors, human, 10, seed=0)
    np.testing.assert_array_equal(found.vectors, again.vectors)
    np.testing.assert_allclose(  # a centre is the mean of those that are nearest to it
        found.vectors[~found.human].mean(0), _weighted(vectors[:90], found.vectors[~found.human]), atol=1e-5
    )
    few = Database.balanced(vectors, human, 40, seed=0)
    np.testing.assert_array_equal(few.vectors[few.human], vectors[90:])


def _weighted(vectors: np.ndarray[Any, Any], centres: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    nearest = ((vectors[:, None] - centres[None]) ** 2).sum(2).argmin(1)
    means = [vectors[nearest == at].mean(0) for at in range(len(centres))]
    return np.asarray(np.mean(means, axis=0))


def test_threshold_is_the_lowest_that_keeps_the_rate() -> None:
    shares = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
    assert threshold(shares, 0.1) == 0.9  # one of ten above
    assert (shares > threshold(shares, 0.05)).mean() <= 0.05
    assert threshold(np.array([1.0] * 9 + [0.0]), 0.05) == 1.0


def test_logits_are_above_zero_where_the_share_is_above_the_threshold() -> None:
    known, queries = drawn()
    share = 1 - known.human_share(queries, 10, T)
    at = float(np.sort(share)[3])
    voter = Voter(lambda _: queries, known, at, 10, T)
    found = voter([])
    assert found["logits"].argmax(1).tolist() == (share > at).astype(int).tolist()
    assert np.argsort(found["logits"][:, 1]).tolist() == np.argsort(share).tolist()
    assert np.isfinite(Voter(lambda _: queries, known, 1.0, 1, T)([])["logits"]).all()


def test_what_is_no_database_or_vote_is_told() -> None:
    known, queries = drawn()
    with pytest.raises(DataError, match="of 3 are 3 human"):
        Database.of(units(3), np.ones(3, bool))
    with pytest.raises(ParamsError, match="expected both above 0"):
        known.human_share(queries, 0, T)
    with pytest.raises(ParamsError, match="rule is 'mean'"):
        known.human_share(queries, 1, T, "mean")


# --- few-shot ---------------------------------------------------------------------------------------


def support(folder: Path, seed: int = 3, n: int = 12) -> dict[Ref, Path]:
    folder.mkdir(exist_ok=True)
    texts = [
        Sample(f"toy/train/{at:02d}", {"text": "x" * at, "label": at % 2, "meta": {"group": "g"}}) for at in range(n)
    ]
    shards.write(texts, folder, text_classification.FIELDS, {"classes": ["human", "machine"]}, 10**9)
    weights = refs.checkpoint("toy", "net", "supcon", seed)
    return {weights: folder / "w", refs.shards("toy", "train"): folder / "manifest.json"}


def embedded(samples: Any) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.stack([units(1, seed=len(one.fields["text"]))[0] for one in samples])


def options(**given: object) -> dict[str, Any]:
    return {**defaults(few_shot_database), "support": "toy", "shots": 3, **given}


def test_target_texts_join_or_take_the_place_of_the_database(tmp_path: Path) -> None:
    inputs = support(tmp_path / "s")
    before = Voter(embedded, drawn()[0], 0.5, 10, T)
    added = few_shot_database.wrap(before, options(weight=2.0), inputs).database
    assert (len(added.vectors), added.human.sum()) == (40 + 6, 14 + 3)
    np.testing.assert_array_equal(added.vectors[:40], before.database.vectors)
    assert added.weights[40:].tolist() == [2.0] * 6
    alone = few_shot_database.wrap(before, options(mode="replace"), inputs).database
    assert alone.human.tolist() == [True] * 3 + [False] * 3
    np.testing.assert_array_equal(alone.vectors, added.vectors[40:])
    other = few_shot_database.wrap(before, options(), support(tmp_path / "s", seed=4)).database
    assert not np.array_equal(other.vectors, added.vectors)  # another seed draws other texts


@pytest.mark.parametrize("name", ["few_shot_unseen", "few_shot_paraphrase"])
def test_at_full_scale_the_file_of_target_texts_is_the_database(name: str, tmp_path: Path) -> None:
    """As detree/cli/test_score_knn.py: its database is MAGE_Unseen/.../train_0.jsonl and nothing else."""
    full = yaml.safe_load((Path(realbench.__file__).parents[1] / "card.yaml").read_text())
    own = dict(full["params"]["full"]["methods"][name])
    dataset = full["params"]["full"]["datasets"][own.pop("support")]
    file = tmp_path / dataset["files"]["train"][0]
    file.parent.mkdir(parents=True)
    rows = [
        {"text": "x" * at, "label": str(at % 2), "src": "human" if at % 2 else "gpt2_xl", "id": at} for at in range(14)
    ]
    file.write_text("\n".join(map(json.dumps, rows)))
    params = {**defaults(realbench), "root": str(tmp_path), "files": dataset["files"]}
    texts = [one for one in realbench.samples("train", {}, params) if isinstance(one, Sample)]
    (tmp_path / "s").mkdir()
    classes = {"classes": list(realbench.CLASSES)}
    shards.write(texts, tmp_path / "s", text_classification.FIELDS, classes, 10**9)
    assert own.pop("use") == "few_shot_database"
    given = {**defaults(few_shot_database), **own, "support": "target"}
    inputs = {
        refs.checkpoint("mage", "detree_mage", "given", 0): tmp_path / "w",
        refs.shards("target", "train"): tmp_path / "s/manifest.json",
    }
    voter = Voter(embedded, drawn()[0], 0.5, 10, T)
    found = few_shot_database.wrap(voter, given, inputs).database
    assert {row.tobytes() for row in found.vectors} == {row.tobytes() for row in embedded(texts)}
    assert (len(found.vectors), found.human.sum()) == (14, 7)
    added = few_shot_database.wrap(voter, {**given, "mode": "add"}, inputs).database
    assert len(added.vectors) == 40 + 14


def test_more_shots_hold_fewer() -> None:
    texts = [Sample(str(at), {"label": at % 2}) for at in range(20)]
    few, more = (few_shot_database.draw(texts, shots, RandomStream(0, "few_shot", "d", "0")) for shots in (2, 5))
    assert {one.key for one in few[:2]} <= {one.key for one in more[:5]}
    assert [one.fields["label"] for one in few] == [0, 0, 1, 1]
    with pytest.raises(DataError, match="11 human texts are wanted, and support has 10"):
        few_shot_database.draw(texts, 11, RandomStream(0, "few_shot", "d", "0"))


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"support": ""}, "name under `support`"),
        ({"mode": "mix"}, "mode is 'mix'"),
        ({"weight": 0.0}, "weight is 0"),
        ({"shots": -1}, "shots is -1"),
    ],
)
def test_few_shot_options_are_checked(given: dict[str, Any], fault: str, tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match=fault):
        few_shot_database.wrap(Voter(embedded, drawn()[0], 0.5, 10, T), options(**given), support(tmp_path / "s"))
    with pytest.raises(ModelError, match="this model has none"):
        few_shot_database.wrap(lambda _: {}, options(), {})


# --- published files --------------------------------------------------------------------------------


def published(file: Path, **changes: Any) -> Path:
    """Write a database of 20 rows in the published form: 10 centres a side, two layers, bfloat16."""
    held: dict[str, Any] = {
        "embeddings": {17: torch.from_numpy(units(20)).bfloat16(), 18: torch.from_numpy(units(20, seed=5)).bfloat16()},
        "labels": torch.tensor([0] * 10 + [1] * 10),
        "ids": torch.arange(20),
        "classes": ["llm", "human"],
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    torch.save(held | changes, file)
    return file


def test_published_database_of_twenty_rows(tmp_path: Path) -> None:
    found = detree_checkpoint._read_database(published(tmp_path / "mage_center10k.pt"), 18)
    assert found.vectors.dtype == np.float32
    np.testing.assert_allclose(found.vectors, units(20, seed=5), atol=4e-3)  # bfloat16 has eight bits
    assert found.human.tolist() == [False] * 10 + [True] * 10
    each = {17: torch.tensor([1] * 10 + [0] * 10), 18: torch.tensor([1] * 10 + [0] * 10)}
    turned = detree_checkpoint._read_database(published(tmp_path / "b.pt", labels=each, classes=["human", "a"]), 17)
    assert turned.human.tolist() == [False] * 10 + [True] * 10  # label 0 is human there: by name, not by number


class Evil:
    def __reduce__(self) -> Any:
        return Path.touch, (Path("run"),)


def test_published_files_run_nothing_and_say_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="without running what is in it"):
        detree_checkpoint._read_database(published(tmp_path / "evil.pt", ids=Evil()), 18)
    assert not Path("run").exists()
    with pytest.raises(ModelError, match="has no layer 19"):
        detree_checkpoint._read_database(published(tmp_path / "a.pt"), 19)
    with pytest.raises(ModelError, match="no class is 'human'"):
        detree_checkpoint._read_database(published(tmp_path / "c.pt", classes=["llm", "person"]), 18)
    with pytest.raises(ModelError, match="is no database of DETree"):
        detree_checkpoint._read_database(published(tmp_path / "d.pt", embeddings=torch.zeros(3)), 18)
    with pytest.raises(ModelError, match="does not exist"):
        detree_checkpoint._read_database(tmp_path / "none.pt", 18)


def test_average_pooling_leaves_padding_out() -> None:
    hidden = torch.tensor([[[1.0, -2.0], [3.0, -4.0], [99.0, 99.0]]])
    mask = torch.tensor([[1, 1, 0]])
    assert detree_checkpoint._pool(hidden, mask, "max").tolist() == [[3.0, -2.0]]
    assert detree_checkpoint._pool(hidden, mask, "average").tolist() == [[2.0, -3.0]]
    assert detree_checkpoint._pool(hidden, mask, "cls").tolist() == [[1.0, -2.0]]
    with pytest.raises(ModelError, match="pooling is 'sum'"):
        detree_checkpoint._pool(hidden, mask, "sum")


def test_adapter_is_added_to_the_layer_that_it_was_trained_over(tmp_path: Path) -> None:
    query = torch.nn.Linear(3, 2)
    net = torch.nn.ModuleDict({"query": query})
    before, down, up = query.weight.detach().clone(), torch.randn(1, 3), torch.randn(2, 1)
    name = "base_model.model.query"
    save_file({f"{name}.lora_A.weight": down, f"{name}.lora_B.weight": up}, tmp_path / "adapter_model.safetensors")
    (tmp_path / "adapter_config.json").write_text(json.dumps({"r": 128, "lora_alpha": 256}))
    detree_checkpoint._merge_adapter(net, tmp_path)
    torch.testing.assert_close(query.weight.detach(), before + 2 * up @ down)
    with pytest.raises(ModelError, match="is no layer of the net"):
        detree_checkpoint._merge_adapter(torch.nn.ModuleDict({"other": torch.nn.Linear(3, 2)}), tmp_path)
    with pytest.raises(ModelError, match="is no adapter"):
        detree_checkpoint._merge_adapter(net, tmp_path / "none")


def roberta(folder: Path) -> Path:
    """Write a RoBERTa of two layers, with a tokeniser of a few words, as `save_pretrained` does."""
    transformers = pytest.importorskip("transformers")
    tokenizers = pytest.importorskip("tokenizers")
    words = ["<s>", "<pad>", "</s>", "<unk>", "a", "text", "by", "people"]
    inner = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({word: at for at, word in enumerate(words)}, unk_token="<unk>")
    )
    inner.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    marks = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    transformers.PreTrainedTokenizerFast(tokenizer_object=inner, **marks).save_pretrained(folder)
    torch.manual_seed(0)
    config = transformers.RobertaConfig(
        vocab_size=8, hidden_size=6, num_hidden_layers=2, num_attention_heads=2, intermediate_size=8, pad_token_id=1
    )
    transformers.RobertaModel(config).save_pretrained(folder)
    return folder


@pytest.mark.slow
def test_checkpoint_and_published_database_score_texts(tmp_path: Path) -> None:
    """A RoBERTa of two layers in the published layout, of which layer 1 is looked at, and a database of 20 rows."""
    roberta(tmp_path / "DETree")
    rows = {layer: torch.from_numpy(units(20, seed=layer)).bfloat16() for layer in (1, 2)}
    published(tmp_path / "embbedings/mage_center10k.pt", embeddings=rows)
    model = registry.find("models", "detree_checkpoint")
    params = {**defaults(model), "path": str(tmp_path), "layer": 1}
    weights = tmp_path.with_name("w.safetensors")
    save_file(model.pretrained(params, {}), weights)
    texts = [Sample(str(at), {"text": text}) for at, text in enumerate(["a text", "a text by people", "people"])]
    predictor = model.load(weights, params, ("human", "machine"), "cpu", {})
    found = predictor(texts)
    assert found["logits"].shape == (3, 2)
    np.testing.assert_allclose(np.linalg.norm(found["features"], axis=1), 1, atol=1e-6)
    alone = np.concatenate([predictor([one])["features"] for one in texts])
    np.testing.assert_allclose(found["features"], alone, atol=1e-5)  # padding does not leak
    share = 1 - predictor.database.human_share(found["features"], 10, T)
    assert found["logits"].argmax(1).tolist() == (share > 0.5).astype(int).tolist()
    deeper = model.load(weights, params | {"layer": 2}, ("human", "machine"), "cpu", {})
    assert not np.allclose(deeper(texts)["features"], found["features"])
    with pytest.raises(ModelError, match="tells human from machine"):
        model.load(weights, params, ("a", "b"), "cpu", {})
    (tmp_path / "DETree/new").write_text("x")
    with pytest.raises(ModelError, match="is not the file"):
        model.load(weights, params, ("human", "machine"), "cpu", {})
