"""Rankers, each against a literal version of its equations; what changed documents do to them; runs."""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from makers import ranked_collection
from shiftbench.base import refs, registry
from shiftbench.base.errors import DataError, ModelError, ParamsError
from shiftbench.base.refs import Ref
from shiftbench.base.registry import defaults
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.data import bag_of_words, trec
from shiftbench.evaluation import nets
from shiftbench.plugins.models import _rankers, _sentences
from shiftbench.systems.neural_ranking_robustness.models import _features, _interactions, conv_knrm, cross_encoder, drmm

Made = tuple[dict[Ref, Path], dict[str, list[Sample]], Path]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    tmp = tmp_path_factory.mktemp("ranking")
    return *ranked_collection.made(tmp), tmp


def load(made: Made, model: str, trainer: str = "index", **options: Any) -> Any:
    inputs, queries, tmp = made
    return ranked_collection.trained(tmp, inputs, queries, model, trainer, **options)[0]


def test_bm25_over_the_whole_collection_and_candidates(made: Made) -> None:
    _, queries, _ = made
    first = queries["test"][0]
    whole = load(made, "bm25", built={"candidates": "all"})([first])
    assert len(whole["documents"][0]) == 10
    assert set(whole["documents"][0][:3]) == {"FT90.x", "FT94.x", "FT98.x"}
    few = first.with_field("candidates", ["FT91.x", "FT94.x"])
    assert load(made, "bm25")([few])["documents"][0] == ["FT94.x", "FT91.x"]
    own = load(made, "bm25", built={"candidates": "own", "first_stage": 3})([few])
    assert set(own["documents"][0]) == {"FT90.x", "FT94.x", "FT98.x"}
    for model, message in (
        ({"candidates": "some"}, "candidates is 'some'"),
        ({"collections": []}, "a ranker needs `collections`"),
    ):
        with pytest.raises(ParamsError, match=message):
            load(made, "bm25", built=model)
    elsewhere = first.with_field("meta", {"collection": "other"})
    with pytest.raises(ModelError, match="queries of the collection 'other', which the model does not rank"):
        load(made, "bm25")([elsewhere])
    with pytest.raises(ModelError, match="no candidates; set `candidates: own`"):
        load(made, "bm25")([first.with_field("candidates", [])])


@pytest.mark.parametrize(
    ("model", "trainer", "options"),
    [
        ("bm25", "index", {}),
        ("query_likelihood", "index", {}),
        ("linear_ranker", "rank_svm", {}),
        ("tree_ranker", "lambda_mart", {"trees": 3}),
        ("drmm", "pairwise_hinge", {"epochs": 2}),
        ("conv_knrm", "pairwise_hinge", {"epochs": 2, "built": {"filters": 4}}),
        ("cross_encoder", "pairwise_hinge", {"epochs": 2, "built": {"width": 8, "layers": 1}}),
    ],
)
def test_every_ranker_ranks_and_sees_changed_documents(
    made: Made, model: str, trainer: str, options: dict[str, Any]
) -> None:
    _, queries, _ = made
    ranker = load(made, model, trainer, **options)
    answers = ranker(queries["test"])
    assert [sorted(one) for one in answers["documents"]] == [
        sorted(sample.fields["candidates"]) for sample in queries["test"]
    ]
    registry.find("tasks", "ranking").rows(queries["test"], answers, None, "full")
    assert answers["targets"][0] == []
    # A document that reads as before has the score and the rank that it had.
    first, target = queries["test"][0], answers["documents"][0][4]
    known = {one.fields["id"]: one.fields for one in queries_of(made)}
    same = [known[target]["title"], known[target]["text"]]
    again = ranker([first.with_field("documents", {target: same})])
    assert again["before"][0] == again["after"][0] == [5]
    assert again["documents"][0] == answers["documents"][0]
    assert again["targets"][0] == [target]


def queries_of(made: Made) -> list[Sample]:
    inputs, _, _ = made
    from shiftbench.data import shards

    return list(shards.read(inputs[refs.shards("trec_documents", "test")].parent))


@pytest.mark.parametrize(
    ("model", "trainer"),
    [("drmm", "pairwise_hinge"), ("linear_ranker", "rank_svm"), ("cross_encoder", "pairwise_hinge")],
)
def test_training_beats_a_random_order(made: Made, model: str, trainer: str) -> None:
    _, queries, _ = made
    nets_ = {"drmm": {"lr": 0.02}, "cross_encoder": {"lr": 0.003, "built": {"width": 16, "heads": 2}}}
    longer = {"epochs": 40, "patience": 40, **nets_[model]} if model in nets_ else {}
    found = _rankers.validation(queries["test"], load(made, model, trainer, **longer))
    assert found > 0.8  # two or three of ten are relevant


def test_stuffing_raises_a_document(made: Made) -> None:
    inputs, queries, _ = made
    shift = registry.find("shifts", "keyword_stuffing")
    sample = queries["test"][0]
    options = {"collection": "trec_documents", "rank": 2, "inputs": inputs}
    attacked = shift.apply(sample, 3.0, RandomStream(0, "s", "d", "k"), **options)
    (target,) = attacked.fields["documents"]
    assert target == "FT91.x"  # the first that is not relevant, from rank 2
    title, text = attacked.fields["documents"][target]
    assert text.endswith("wooden boats test " * 2 + "wooden boats test")
    assert (title, attacked.fields["judged"], attacked.fields["text"]) == (
        "about garden birds", sample.fields["judged"], sample.fields["text"],
    )  # fmt: skip
    found = load(made, "bm25")([attacked])
    assert found["before"][0][0] > found["after"][0][0] == 1
    first = registry.find("shifts", "query_first").apply(sample, 1.0, RandomStream(0, "s", "d", "k"), **options)
    assert first.fields["documents"][target][1].startswith("wooden boats test. garden")
    assert shift.apply(sample, 0.0, RandomStream(0, "s", "d", "k")) is sample
    with pytest.raises(DataError, match="reads documents, which are not here"):
        shift.apply(sample, 3.0, RandomStream(0, "s", "d", "k"))
    with pytest.raises(DataError, match="no field 'candidates'"):
        shift.apply(Sample("k", {"text": "t", "judged": {}}), 1.0, RandomStream(0, "s", "d", "k"))


def test_features_of_a_text_are_those_of_the_document(made: Made) -> None:
    inputs, _, _ = made
    collection = _rankers.Collections(inputs, {**defaults(_rankers), **ranked_collection.COLLECTIONS})["trec_documents"]
    features = _features.Features(collection)
    for query in ("wooden boats", "absent", "", "number3 birds birds"):
        indexed = features.of(query, np.arange(10))
        assert indexed.shape == (10, _features.COUNT)
        assert features.of_texts(query, collection.documents) == pytest.approx(indexed, abs=1e-12)
    # "wooden boats": FT90 has both once in the title and once in the text, first at the place after "about".
    ours = features.of("wooden boats", np.array([0]))[0]
    assert ours[5:12] == pytest.approx(
        [1, collection.index.idf(["wooden", "boats"]).sum(), 2, 2, math.log(3), math.log(4), math.log(5)]
    )
    words = bag_of_words.words("about wooden boats. wooden boats and number0 again")
    assert ours[12] == pytest.approx(math.log1p(words.index("wooden")))


def test_drmm_counts_cosines() -> None:
    random = np.random.default_rng(0)
    table = torch.nn.functional.normalize(torch.from_numpy(random.normal(size=(9, 5))).float(), dim=1)
    query, documents = torch.tensor([1, 2]), torch.tensor([[1, 3, 4, 0], [5, 5, 2, 6]])
    found = drmm.histograms(table, query, documents).numpy()
    expected = np.zeros((2, 2, 30))
    for d, document in enumerate(documents.tolist()):
        for q, piece in enumerate(query.tolist()):
            for other in filter(None, document):
                cosine = float(table[piece] @ table[other])
                expected[d, q, 29 if other == piece else int((cosine + 1) / 2 * 29)] += 1
    assert np.array_equal(found, expected)


def test_conv_knrm_counts_by_kernels() -> None:
    random = np.random.default_rng(0)
    query, documents = random.normal(size=(2, 2, 5)), random.normal(size=(3, 2, 4, 5))
    query /= np.linalg.norm(query, axis=-1, keepdims=True)
    documents /= np.linalg.norm(documents, axis=-1, keepdims=True)
    there = np.array([[1, 1, 1, 0], [1, 1, 1, 1], [1, 0, 0, 0]])
    expected = np.zeros((3, 2, 2, 11))
    for d, h, g, k in np.ndindex(*expected.shape):
        mean, width = conv_knrm.MEANS[k], conv_knrm.WIDTHS[k]
        for q in query[h]:
            own = [w for w, t in zip(documents[d, g], there[d], strict=True) if t]
            near = sum(math.exp(-((q @ w - mean) ** 2) / (2 * width**2)) for w in own)
            expected[d, h, g, k] += math.log(max(near, 1e-10)) / 2 / 100
    given = [torch.from_numpy(part).double() for part in (query, documents, there)]
    assert conv_knrm.kernels(*given).numpy() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("length", [1, 2, 3, 7])
@pytest.mark.parametrize("training", [False, True])
def test_conv_knrm_has_the_n_grams_of_convolutions(length: int, training: bool) -> None:
    """Of texts as short as one piece (oracle: torch's convolution over a text that ends in zeros)."""
    random = torch.Generator().manual_seed(length)
    table = torch.randn(9, _interactions.SIZE, generator=random)
    table[_interactions.PAD] = 0
    net = conv_knrm.ConvKnrm(SimpleNamespace(table=table), 5)  # type: ignore[arg-type]
    ids = torch.randint(9, (3, length), generator=random)
    found = net.train(training).grams(ids)
    for gram, convolution in enumerate(net.each):
        ended = torch.nn.functional.pad(table[ids].transpose(1, 2), (0, gram))
        expected = torch.relu(convolution(ended)).transpose(1, 2)
        expected /= expected.norm(dim=2, keepdim=True).clamp(min=1e-6)
        assert torch.allclose(found[:, gram], expected, atol=1e-5)


def test_a_cross_encoder_can_begin_as_minilm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One of its layers on one text without a document is what `_sentences` makes of it (its oracle)."""
    monkeypatch.setattr(_sentences, "LAYERS", 1)
    size, random = _sentences.SIZE, np.random.default_rng(1)

    def tensor(*shape: int) -> torch.Tensor:
        return torch.from_numpy(0.1 * random.normal(size=shape)).float()

    folder = ranked_collection.encoder(tmp_path / "minilm")
    state = {
        "embeddings.word_embeddings.weight": tensor(len(ranked_collection.PIECES), size),
        "embeddings.position_embeddings.weight": tensor(512, size),
        "embeddings.token_type_embeddings.weight": tensor(2, size),
    }
    parts = {"attention.self.query": (size, size), "attention.self.key": (size, size)}
    parts |= {"attention.self.value": (size, size), "attention.output.dense": (size, size)}
    parts |= {"intermediate.dense": (4 * size, size), "output.dense": (size, 4 * size)}
    names = {f"encoder.layer.0.{name}": shape for name, shape in parts.items()}
    names |= {"embeddings.LayerNorm": (size,)}
    names |= {f"encoder.layer.0.{name}": (size,) for name in ("attention.output.LayerNorm", "output.LayerNorm")}
    for name, shape in names.items():
        state |= {f"{name}.weight": tensor(*shape), f"{name}.bias": tensor(shape[0])}
    (folder / "model.safetensors").write_bytes(nets.state_bytes(state, {}))
    params = {**defaults(cross_encoder), "pretrained": True, "width": size, "heads": 12, "layers": 1}
    inputs = {refs.sources(_sentences.SOURCE): folder / "manifest.json"}
    net = cross_encoder.build_ranker(inputs, params).eval()
    seen: list[torch.Tensor] = []
    net.head.register_forward_hook(lambda _, given, __: seen.append(given[0]))
    net.layers.register_forward_hook(lambda _, __, made: seen.append(made))
    query = torch.tensor([4, 5])
    with torch.inference_mode():
        net(query, torch.ones(2), torch.zeros((1, 3), dtype=torch.int64))
        expected = _sentences.encode([2, 4, 5, 3], state)
    assert torch.allclose(seen[0][0, :4].mean(0), expected, atol=1e-5)
    assert torch.equal(seen[1][0], seen[0][0, 0])  # [CLS] is what is scored
    for wrong in ({"width": 96}, {"layers": 2}):
        with pytest.raises(ParamsError, match="pretrained is of width 384 with 12 heads and 1 layers"):
            cross_encoder.build_ranker(inputs, params | wrong)
    with pytest.raises(ParamsError, match="expected a multiple of the heads"):
        cross_encoder.build_ranker(inputs, {**params, "heads": 7})


def test_a_query_is_scored_once_however_its_documents_are_attacked(made: Made) -> None:
    inputs, queries, _ = made
    asked: list[str] = []

    class Counting:
        def scores(self, query: str, _: Any, places: Any) -> Any:
            asked.append(query)
            return np.arange(float(len(places)))

        def changed(self, _: str, __: Any, documents: Any) -> Any:
            return np.full(len(documents), 99.0)

    params = {**defaults(_rankers), **ranked_collection.COLLECTIONS}
    predict = _rankers.predictor(Counting(), inputs, params)
    first = queries["test"][0]
    plain = predict([first])["documents"][0]
    attacked = first.with_field("documents", {plain[-1]: ["", "new"]})
    assert predict([attacked])["documents"][0] == [plain[-1], *plain[:-1]]
    assert predict([first])["documents"][0] == plain
    assert asked == [first.fields["text"]]


def test_vectors_are_made_once(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs, queries, tmp = made
    asked: list[Any] = []

    def encode(ids: Any, state: dict[str, torch.Tensor]) -> torch.Tensor:
        asked.extend(ids if isinstance(ids[0], list) else [ids])
        return state["embeddings.word_embeddings.weight"][torch.tensor(ids)].mean(-2)

    monkeypatch.setattr(_sentences, "encode", encode)
    ranker, _, file = ranked_collection.trained(tmp, inputs, queries, "sentence_encoder", "index", built={"length": 6})
    assert (len(asked), max(map(len, asked))) == (10, 6)
    ranker(queries["test"])
    assert len(asked) == 13  # three queries more, no document
    index = Ref("checkpoints", "trec_documents/mine-index-s0")
    other, _, none = ranked_collection.trained(
        tmp / "other", {**inputs, index: file}, queries, "sentence_encoder", "index",
        built={"index": index.name, "length": 6},
    )  # fmt: skip
    assert none.stat().st_size < 1000
    assert [*other(queries["test"])["documents"]] == [*ranker(queries["test"])["documents"]]
    with pytest.raises(ModelError, match="has not the vectors of trec_documents; train with `index`"):
        registry.find("models", "sentence_encoder").load(
            none,
            {**defaults(registry.find("models", "sentence_encoder")), **ranked_collection.COLLECTIONS},
            [],
            "cpu",
            inputs,
        )(queries["test"])


def test_wrong_model_and_models_are_told(made: Made) -> None:
    inputs, queries, tmp = made
    _, _, file = ranked_collection.trained(tmp, inputs, queries, "bm25", "index")
    params = {**defaults(_interactions), **ranked_collection.COLLECTIONS, "filters": 4}
    for model, message in (
        ("linear_ranker", "is no linear ranker"),
        ("tree_ranker", "has no trees"),
        ("drmm", "does not fit Drmm"),
        ("conv_knrm", "does not fit ConvKnrm"),
    ):
        with pytest.raises(ModelError, match=message):
            registry.find("models", model).load(file, params, [], "cpu", inputs)
    with pytest.raises(ModelError, match="'bm25' is no neural ranker"):
        load(made, "bm25", "pairwise_hinge")
    alike = {
        split: [one.with_field("judged", {"FT90.x": 0, "FT95.x": 0}) for one in some] for split, some in queries.items()
    }
    with pytest.raises(ModelError, match="trec/train: no query has relevant and other documents"):
        ranked_collection.trained(tmp, inputs, alike, "linear_ranker", "rank_svm")


def test_runs_go_out_and_come_in(made: Made, tmp_path: Path) -> None:
    _, queries, _ = made
    task = registry.find("tasks", "ranking")
    records = task.rows(queries["test"], load(made, "bm25")(queries["test"]), None, "full")
    file = tmp_path / "ours.run"
    trec.write_run(file, trec.lists_of_records(records.to_pylist()))
    assert file.read_text().startswith("200 Q0 FT9")
    theirs = load(made, "trec_run", "given", built={"path": str(file)})
    again = task.rows(queries["test"], theirs(queries["test"]), None, "full")
    assert again["documents"].to_pylist() == records["documents"].to_pylist()
    assert again["ap_e9"].to_pylist() == records["ap_e9"].to_pylist()
    with pytest.raises(ModelError, match=r"ours.run has no list for query '000' \(3 of 3"):
        theirs(queries["train"])
