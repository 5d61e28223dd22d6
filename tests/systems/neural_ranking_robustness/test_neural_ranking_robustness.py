"""Rankers, what robustness is measured by and what attacks them, each against a literal version or by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from makers import miniature_originals, ranked_collection
from shiftbench import plugins, refs
from shiftbench.data import bag_of_words, trec
from shiftbench.errors import DataError, ModelError, ParamsError
from shiftbench.inference import nets
from shiftbench.metrics import _lists
from shiftbench.models import _rankers, _sentences
from shiftbench.refs import Ref
from shiftbench.rng import RandomStream
from shiftbench.sample import Sample
from shiftbench.statistics.contributions import weighted
from shiftbench.statistics.rows import Row, Rows, SeverityPath
from shiftbench.systems.neural_ranking_robustness.metrics import (
    by_task,
    order_reversal,
    relative_change,
    unseen_type,
)
from shiftbench.systems.neural_ranking_robustness.models import (
    _features,
    _interactions,
    conv_knrm,
    cross_encoder,
    drmm,
)
from shiftbench.systems.neural_ranking_robustness.shifts import near_words, word_errors

Made = tuple[dict[Ref, Path], dict[str, list[Sample]], Path]
ONE = np.ones((4, 1), dtype=np.uint8)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    tmp = tmp_path_factory.mktemp("ranking")
    return *ranked_collection.made(tmp), tmp


def load(made: Made, model: str, trainer: str = "index", **options: Any) -> Any:
    inputs, queries, tmp = made
    return ranked_collection.trained(tmp, inputs, queries, model, trainer, **options)[0]


# --- metrics by hand -------------------------------------------------------------------------------


def sample_metric(name: str, **columns: list[int | None]) -> float:
    metric = plugins.find("metrics", name)
    table = pa.table({key: pa.array(values, pa.int64()) for key, values in columns.items()})
    (sums,) = weighted(
        [metric.reduce(Rows(table), **metric.PARAMS)], np.ones((len(table), 1), dtype=np.uint8)
    )
    return float(metric.finish(sums, **metric.PARAMS)[0])


def test_means_and_variances_over_queries() -> None:
    ap = [200_000_000, 400_000_000, 600_000_000, 400_000_000]
    assert sample_metric("mean_ap", ap_e9=ap) == pytest.approx(0.4)
    # NAP is 0.5, 1, 1.5, 1: its variance, by n, is (0.25 + 0 + 0.25 + 0) / 4.
    assert sample_metric("vnap", ap_e9=ap) == pytest.approx(0.125)
    assert sample_metric("vndcg10", ndcg10_e9=ap) == pytest.approx(0.02)
    assert np.isnan(sample_metric("vnap", ap_e9=[0, 0]))


def test_what_attacks_do_to_documents() -> None:
    # Two attacked documents: one rises from 30 to 4, one falls from 12 to 15; the third query was not attacked.
    columns = {
        "attacked": [1, 1, None],
        "raised": [1, 0, None],
        "gained": [26, -3, None],
        "entered": [1, 0, None],
    }
    found = {
        name: sample_metric(name, attacked=columns["attacked"], **{column: columns[column]})
        for name, column in (("raised_share", "raised"), ("rank_gain", "gained"), ("boost10", "entered"))
    }  # fmt: skip
    assert found == {"raised_share": 0.5, "rank_gain": 11.5, "boost10": 0.5}


def test_distances_of_lists() -> None:
    # Of the pairs ab, ac, bc of both lists, b and c have changed places.
    assert _lists.kendall_distance(["a", "b", "c", "x"], ["y", "a", "c", "b"]) == pytest.approx(
        1 / 3
    )
    assert _lists.kendall_distance(["a"], ["b"]) == 0
    # p = 0.5, depth 3: overlaps 0/1, 2/2, 2/3 with weights 1, 1/2, 1/4, which add up to 7/4.
    rbo = _lists.rank_biased_overlap(["a", "b", "c"], ["b", "a", "d"], 0.5)
    assert rbo == pytest.approx((0.5 + 0.25 * 2 / 3) / 1.75)
    assert _lists.rank_biased_overlap(["a", "b"], ["a", "b"], 0.9) == 1
    assert (_lists.top_change(["a", "b"], ["b", "a"]), _lists.top_change(["a"], ["a"])) == (1, 0)


def test_lists_are_compared_with_the_clean_one() -> None:
    def rows(*lists: list[str]) -> Rows:
        return Rows(pa.table({"documents": list(lists), "group": [None] * len(lists)}))

    path = SeverityPath(
        (0.0, 1.0, 5.0), (rows(["a", "b"], ["a"]), rows(["b", "a"], ["a"]), rows(["b"], ["c"]))
    )
    for name, expected in (("top_change", (0.5, 1.0)), ("kendall_distance", (0.5, 0.0))):
        metric = plugins.find("metrics", name)
        (sums,) = weighted([metric.reduce(path)], ONE[:2])
        found = metric.finish(sums, path)
        assert (found[1.0][0], found[5.0][0]) == pytest.approx(expected)
        assert found[None][0] == pytest.approx(np.mean(expected))
    metric = plugins.find("metrics", "rank_biased_overlap")
    (sums,) = weighted([metric.reduce(path, p=0.9)], ONE[:2])
    assert metric.finish(sums, path, p=0.9)[1.0][0] == pytest.approx((0.9 / 1.9 + 1) / 2)
    for p in (0, 1):
        with pytest.raises(ParamsError, match=f"p is {p}; expected a number above 0 and below 1"):
            metric.reduce(path, p=p)


def row(
    value: float,
    draws: list[float],
    shift: str = "identity",
    severity: float | None = 0.0,
    **more: Any,
) -> Row:
    clean = shift == "identity"
    base = Row(
        campaign="c", task="ranking", weights="w", method="plain", detector=None, dataset="d", split="test",
        reference=None if clean else "d/test/identity/0", shift=shift, severity=severity, group=None, step=None,
        metric="mean_ndcg10", value=value, draws=np.array(draws), n=4, seed=None, unit="key",
    )  # fmt: skip
    return replace(base, **more)


def test_relative_change() -> None:
    rows = [
        row(0.4, [0.5, 0.04]),
        row(0.3, [0.25, 0.02], "swap", 5.0),
        row(0.5, [0.5, 0.5], "elsewhere", None, dataset="other"),
    ]
    swap, elsewhere = relative_change.compute(rows, "mean_ndcg10", 0.05)
    assert swap.all[:2] == pytest.approx([-0.25, -0.5])
    assert np.isnan(swap.draws[1])  # 0.04 is too little to be a share of
    assert elsewhere.value == pytest.approx(0.25)


def test_rows_by_task() -> None:
    rows = [
        row(0.4, [0.4]),
        row(0.3, [0.2], "swap", 5.0),
        row(0.1, [0.2], "key", 5.0),
        row(0.2, [0.2], "swap", 1.0),
    ]
    tasks = {
        "plain": {"metric": "mean_ndcg10"},
        "query": {
            "metric": "mean_ndcg10",
            "shift": ["swap/5", "key/5"],
            "relative": True,
            "sign": -1,
        },
        "absent": {"metric": "mean_ndcg10", "shift": ["gone/1"]},
    }
    plain, query = by_task.compute(rows, tasks=tasks, least=0.05)
    assert (plain.group, plain.value) == ("plain", 0.4)
    assert (query.group, query.value) == ("query", pytest.approx((0.25 + 0.75) / 2))
    with pytest.raises(ParamsError, match="by_task: x has shift; expected metric"):
        by_task.sources({"tasks": {"x": {"shift": ["a"]}}})


def test_the_difficulty_of_a_target_is_taken_off() -> None:
    """DR(ranker) - DR(BM25), under each draw; nothing where BM25 was not run."""
    own = {"weights": "web/net-hinge-s1"}, {"weights": "documents/bm25-index-s0"}
    rows = [
        row(value, draws, *place, **who)
        for who, clean, after in zip(own, (0.4, 0.5), (0.2, 0.4), strict=True)
        for value, draws, *place in ((clean, [clean]), (after, [clean], "news", None))
    ]
    task = {"metric": "mean_ndcg10", "shift": ["news"], "relative": True, "sign": -1}
    tasks = {"corpus": {**task, "beside": "bm25-index"}}
    net, bm25 = by_task.compute(rows, tasks=tasks, least=0.05)
    assert net.all == pytest.approx([0.5 - 0.2, 0.0])
    assert not bm25.all.any()
    assert by_task.compute(rows[:2], tasks=tasks, least=0.05) == []


def test_what_is_lost_on_a_type_that_training_left_out() -> None:
    """Both arms answer the same queries, so that difficulty cancels; a ranker that learns nothing loses nothing."""
    values = {
        ("without/net-hinge-s0", "identity"): 0.3, ("with/net-hinge-s0", "identity"): 0.4,
        ("other/net-hinge-s0", "to_b"): 0.2, ("both/net-hinge-s0", "to_b"): 0.2,
        ("documents/bm25-index-s0", "identity"): 0.7, ("documents/bm25-index-s0", "to_b"): 0.1,
        ("without/half-hinge-s0", "identity"): 0.3,
    }  # fmt: skip
    rows = [
        row(value, [value / 2], shift, None, weights=name)
        for (name, shift), value in values.items()
    ]
    types = {
        "a": {"at": "identity", "seen": "with", "unseen": "without"},
        "b": {"at": "to_b", "seen": "both", "unseen": "other"},
    }
    asked = {**unseen_type.PARAMS, "types": types}
    lost = {one.weights: one for one in unseen_type.compute(rows, **asked)}
    assert lost.keys() == {
        "without/net-hinge-s0",
        "documents/bm25-index-s0",
    }  # the third lacks arms
    assert lost["without/net-hinge-s0"].all == pytest.approx([(0.25 + 0) / 2] * 2)
    assert not lost["documents/bm25-index-s0"].all.any()
    assert {one.group for one in lost.values()} == {"type"}
    seen = {one.weights: one.value for one in unseen_type.compute(rows, **{**asked, "seen": True})}
    assert seen["without/net-hinge-s0"] == pytest.approx(0.3)
    with pytest.raises(ParamsError, match="unseen_type: a has at; expected at, seen, unseen"):
        unseen_type.sources({"of": "m", "types": {"a": {"at": "identity"}}})


def test_a_pair_is_reversed_where_both_differences_are_told_from_nothing() -> None:
    """Under near ties of one true order no pair is reversed; in 200 sets of seven rankers at most 5% have one."""
    draw = np.random.default_rng(0)

    def found(good: np.ndarray, frail: np.ndarray) -> list[float]:
        rows = [
            replace(
                row(float(values[0]), values[1:].tolist(), weights=f"d/r{at}-t-s0"),
                metric=name,
                group="task",
            )
            for name, table in (("effectiveness", good), ("fragility", frail))
            for at, values in enumerate(table)
        ]
        return [one.value for one in order_reversal.compute(rows, **order_reversal.PARAMS)]

    def seen(truth: np.ndarray, noise: float) -> np.ndarray:
        values = truth + noise * draw.normal(size=len(truth))
        return (
            values[:, None]
            + np.c_[np.zeros(len(truth)), noise * draw.normal(size=(len(truth), 200))]
        )

    order = np.arange(7.0)
    assert max(found(seen(order, 0.01), seen(-order, 0.01))) < 0  # better and sturdier
    assert min(found(seen(order, 0.01), seen(order, 0.01))) > 0
    swapped = found(seen(np.array([1.0, 2, 3]), 0.01), seen(np.array([3.0, 1, 2]), 0.01))
    assert [value > 0 for value in swapped] == [False, True, True]
    ties = [max(found(seen(order / 9, 0.2), seen(-order / 9, 0.2))) for _ in range(200)]
    assert np.mean(np.array(ties) > 0) <= 0.05


def test_means_over_training_seeds_stand_for_their_ranker() -> None:
    names = {"d/a-t-s0": 1.0, "d/a-t-s1": 9.0, "d/a-t": 5.0, "d/b-t-s0": 3.0}
    rows = [
        replace(
            row(sign * value, [sign * value + x * value for x in (0.1, 0, -0.1)], weights=name),
            metric=metric,
            group="q",
        )
        for name, value in names.items()
        for metric, sign in (("effectiveness", 1), ("fragility", 1))
    ]
    found = {
        one.weights: one.value for one in order_reversal.compute(rows, **order_reversal.PARAMS)
    }
    assert len(set(found.values())) == 1
    assert found["d/a-t"] == pytest.approx((5 - 3) / 0.2 - 1.96, abs=1e-3)


def test_the_worst_of_several_attacks() -> None:
    analysis = plugins.find("analyses", "ranking_tasks")
    params = {
        "weights": ["d/w-t-s0"], "methods": ["plain"], "dataset": "d", "split": "test", "steps": [0, 30],
        "tasks": {"query": ["swap/5", "key/5"], "type": ["to/1"]}, "other": ["type"],
    }  # fmt: skip
    values = {
        "identity": {"a": 0.9, "b": 0.5}, "swap": {"a": 0.4, "b": 0.5}, "key": {"a": 0.7, "b": 0.3}, "to": {"z": 0.1},
    }  # fmt: skip

    class Job:
        """Records that only say how good each list is."""

        def __init__(self) -> None:
            self.params = params

        def records(self, of: Ref) -> pa.Table:
            found = values[of.parts[-2]]
            return pa.table(
                {"key": list(found), "ndcg10_e9": [round(v * 1e9) for v in found.values()]}
            )

    assert len(analysis.needs(params)) == 4
    rows = list(analysis.measure(Job()))
    worst = {one.key: one.value for one in rows if one.metric == "worst_query"}
    assert worst == pytest.approx(
        {"a": 0.4, "b": 0.3}
    )  # P_worst = 0.35, though each attack alone leaves more
    lost = {one.step: one.value for one in rows if one.metric == "lost_query" and one.key == "a"}
    assert lost == {0: 1.0, 30: 0.0}  # 0.9 -> 0.7 under the last attack
    assert {one.shift for one in rows if one.metric == "value_type"} == {"to"}
    assert not [one for one in rows if one.metric == "loss_type"]


# --- rankers ---------------------------------------------------------------------------------------


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
    with pytest.raises(
        ModelError, match="queries of the collection 'other', which the model does not rank"
    ):
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
    plugins.find("tasks", "ranking").rows(queries["test"], answers, None, "full")
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
    [
        ("drmm", "pairwise_hinge"),
        ("linear_ranker", "rank_svm"),
        ("cross_encoder", "pairwise_hinge"),
    ],
)
def test_training_beats_a_random_order(made: Made, model: str, trainer: str) -> None:
    _, queries, _ = made
    nets_ = {
        "drmm": {"lr": 0.02},
        "cross_encoder": {"lr": 0.003, "built": {"width": 16, "heads": 2}},
    }
    longer = {"epochs": 40, "patience": 40, **nets_[model]} if model in nets_ else {}
    found = _rankers.validation(queries["test"], load(made, model, trainer, **longer))
    assert found > 0.8  # two or three of ten are relevant


def test_stuffing_raises_a_document(made: Made) -> None:
    inputs, queries, _ = made
    shift = plugins.find("shifts", "keyword_stuffing")
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
    first = plugins.find("shifts", "query_first").apply(
        sample, 1.0, RandomStream(0, "s", "d", "k"), **options
    )
    assert first.fields["documents"][target][1].startswith("wooden boats test. garden")
    assert shift.apply(sample, 0.0, RandomStream(0, "s", "d", "k")) is sample
    with pytest.raises(DataError, match="reads documents, which are not here"):
        shift.apply(sample, 3.0, RandomStream(0, "s", "d", "k"))
    with pytest.raises(DataError, match="no field 'candidates'"):
        shift.apply(Sample("k", {"text": "t", "judged": {}}), 1.0, RandomStream(0, "s", "d", "k"))


def test_features_of_a_text_are_those_of_the_document(made: Made) -> None:
    inputs, _, _ = made
    collection = _rankers.Collections(inputs, {**_rankers.PARAMS, **ranked_collection.COLLECTIONS})[
        "trec_documents"
    ]
    features = _features.Features(collection)
    for query in ("wooden boats", "absent", "", "number3 birds birds"):
        indexed = features.of(query, np.arange(10))
        assert indexed.shape == (10, _features.COUNT)
        assert features.of_texts(query, collection.documents) == pytest.approx(indexed, abs=1e-12)
    # "wooden boats": FT90 has both once in the title and once in the text, first at the place after "about".
    ours = features.of("wooden boats", np.array([0]))[0]
    assert ours[5:12] == pytest.approx(
        [1, collection.index.idf(["wooden", "boats"]).sum(), 2, 2, math.log(3), math.log(4), math.log(5)]
    )  # fmt: skip
    words = bag_of_words.words("about wooden boats. wooden boats and number0 again")
    assert ours[12] == pytest.approx(math.log1p(words.index("wooden")))


def test_drmm_counts_cosines() -> None:
    random = np.random.default_rng(0)
    table = torch.nn.functional.normalize(
        torch.from_numpy(random.normal(size=(9, 5))).float(), dim=1
    )
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
    query, documents = random.normal(size=(2, 3)), random.normal(size=(2, 4, 3))
    query /= np.linalg.norm(query, axis=1, keepdims=True)
    documents /= np.linalg.norm(documents, axis=2, keepdims=True)
    there = np.array([[1, 1, 1, 0], [1, 1, 1, 1]])
    expected = np.zeros((2, 11))
    for d in range(2):
        for k, (mean, width) in enumerate(zip(conv_knrm.MEANS, conv_knrm.WIDTHS, strict=True)):
            for q in query:
                own = [w for w, t in zip(documents[d], there[d], strict=True) if t]
                near = sum(math.exp(-((q @ w - mean) ** 2) / (2 * width**2)) for w in own)
                expected[d, k] += math.log(max(near, 1e-10)) / 2 / 100
    given = [torch.from_numpy(part).double() for part in (query, documents, there)]
    assert conv_knrm.kernels(*given).numpy() == pytest.approx(expected, abs=1e-6)


def test_a_cross_encoder_can_begin_as_minilm(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
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
    names |= {
        f"encoder.layer.0.{name}": (size,)
        for name in ("attention.output.LayerNorm", "output.LayerNorm")
    }
    for name, shape in names.items():
        state |= {f"{name}.weight": tensor(*shape), f"{name}.bias": tensor(shape[0])}
    (folder / "model.safetensors").write_bytes(nets.state_bytes(state, {}))
    params = {**cross_encoder.PARAMS, "pretrained": True, "width": size, "heads": 12, "layers": 1}
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
        with pytest.raises(
            ParamsError, match="pretrained is of width 384 with 12 heads and 1 layers"
        ):
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

    params = {**_rankers.PARAMS, **ranked_collection.COLLECTIONS}
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
    ranker, _, file = ranked_collection.trained(
        tmp, inputs, queries, "sentence_encoder", "index", built={"length": 6}
    )
    assert (len(asked), max(map(len, asked))) == (10, 6)
    ranker(queries["test"])
    assert len(asked) == 13  # three queries more, no document
    index = Ref("weights", "trec_documents/mine-index-s0")
    other, _, none = ranked_collection.trained(
        tmp / "other", {**inputs, index: file}, queries, "sentence_encoder", "index",
        built={"index": index.name, "length": 6},
    )  # fmt: skip
    assert none.stat().st_size < 1000
    assert [*other(queries["test"])["documents"]] == [*ranker(queries["test"])["documents"]]
    with pytest.raises(
        ModelError, match="has not the vectors of trec_documents; train with `index`"
    ):
        plugins.find("models", "sentence_encoder").load(
            none,
            {**plugins.find("models", "sentence_encoder").PARAMS, **ranked_collection.COLLECTIONS},
            [],
            "cpu",
            inputs,
        )(queries["test"])


def test_wrong_weights_and_models_are_told(made: Made) -> None:
    inputs, queries, tmp = made
    _, _, file = ranked_collection.trained(tmp, inputs, queries, "bm25", "index")
    params = {**_interactions.PARAMS, **ranked_collection.COLLECTIONS, "filters": 4}
    for model, message in (
        ("linear_ranker", "is no linear ranker"),
        ("tree_ranker", "has no trees"),
        ("drmm", "does not fit Drmm"),
        ("conv_knrm", "does not fit ConvKnrm"),
    ):
        with pytest.raises(ModelError, match=message):
            plugins.find("models", model).load(file, params, [], "cpu", inputs)
    with pytest.raises(ModelError, match="'bm25' is no neural ranker"):
        load(made, "bm25", "pairwise_hinge")
    alike = {
        split: [one.with_field("judged", {"FT90.x": 0, "FT95.x": 0}) for one in some]
        for split, some in queries.items()
    }
    with pytest.raises(ModelError, match="trec/train: no query has relevant and other documents"):
        ranked_collection.trained(tmp, inputs, alike, "linear_ranker", "rank_svm")


# --- attacks ---------------------------------------------------------------------------------------


def typed(text: str, severity: float = 5.0, key: str = "k", **options: Any) -> str:
    return word_errors.apply(text, severity, RandomStream(0, "word_errors", "d", key), **options)


def test_each_content_word_has_one_error() -> None:
    text = "the quick foxes of Wales run"
    lengths = {"swap": 0, "keyboard": 0, "delete": -3, "double": 3}
    for kind, longer in lengths.items():
        words = typed(text, kind=kind).split()
        assert [before == after for before, after in zip(text.split(), words, strict=True)] == [
            True, False, False, True, False, True,
        ]  # fmt: skip
        assert len("".join(words)) == len(text.replace(" ", "")) + longer
    swapped = typed("quick", kind="swap")
    assert sorted(swapped) == sorted("quick")
    assert sum(a != b for a, b in zip("quick", swapped, strict=True)) == 2
    for key in map(str, range(20)):
        words = typed("some more words here", shortest=2, most=1, key=key).split()
        assert sum(a != b for a, b in zip("some more words here".split(), words, strict=True)) == 1
        weak, strong = (
            typed("wooden boats garden birds", severity, key).split() for severity in (2.0, 4.0)
        )
        clean = "wooden boats garden birds".split()
        assert all(
            w in (c, s) for c, w, s in zip(clean, weak, strong, strict=True)
        )  # what was touched stays so
    assert typed("aaaa of 12", kind="swap") == "aaaa of 12"
    with pytest.raises(ParamsError, match=r"kind is 'swop' \(?.*swap|kind is 'swop'; .*swap"):
        typed("word", kind="swop")


def test_near_words_are_chosen_greedily() -> None:
    words = ["ship", "boat", "vessel", "tree", "stone"]
    rows = np.array([[1, 0, 0], [0.9, 0.3, 0], [0.8, 0.1, 0.5], [0, 1, 0], [0, 0, 1]], np.float32)
    vectors = near_words.Vectors(words, rows)
    # Asked for a ship: of boat -> vessel, vessel -> boat the second one brings the text nearer.
    assert near_words.greedy("ship", "Vessel and tree", vectors, 1) == "Boat and tree"
    assert near_words.greedy("ship", "Vessel and tree", vectors, 0) == "Vessel and tree"
    assert near_words.greedy("unknown", "Vessel", vectors, 5) == "Vessel"
    near = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    total, goal = near[2] + near[3], near[0]
    cosines = {
        (own, other): float((total - near[own] + near[other]) @ goal / np.linalg.norm(total - near[own] + near[other]))
        for own in (2, 3)
        for other in range(1, 5)
        if other != own and near[own] @ near[other] >= near_words.LIKE
    }  # fmt: skip
    assert max(cosines, key=lambda pair: cosines[pair]) == (2, 1)


def test_runs_go_out_and_come_in(made: Made, tmp_path: Path) -> None:
    _, queries, _ = made
    task = plugins.find("tasks", "ranking")
    records = task.rows(queries["test"], load(made, "bm25")(queries["test"]), None, "full")
    file = tmp_path / "ours.run"
    trec.write_run(file, trec.of_records(records.to_pylist()))
    assert file.read_text().startswith("200 Q0 FT9")
    theirs = load(made, "trec_run", "given", built={"path": str(file)})
    again = task.rows(queries["test"], theirs(queries["test"]), None, "full")
    assert again["documents"].to_pylist() == records["documents"].to_pylist()
    assert again["ap_e9"].to_pylist() == records["ap_e9"].to_pylist()
    with pytest.raises(ModelError, match=r"ours.run has no list for query '000' \(3 of 3"):
        theirs(queries["train"])


# --- a collection in TREC's layout, with types of queries -------------------------------------------


def test_queries_of_a_type_or_of_all_others_and_so_many_of_them(tmp_path: Path) -> None:
    """MS MARCO's layout: a type per query in a file of its own; one type is left out, or tested."""
    _, given = miniature_originals.trec(tmp_path)
    types = tmp_path / "types.tsv"
    types.write_text("200\tLOCATION\n201\tNUMERIC\n202\tLOCATION\n")
    module = plugins.find("datasets", "trec")

    def names(**options: Any) -> list[str]:
        params = {**module.PARAMS, **given, "types": str(types), "name": "t", **options}
        found = list(module.samples("test", {}, params))
        assert all(len(one.fields["candidates"]) == 10 for one in found)
        assert all(one.fields["meta"]["group"] in ("LOCATION", "NUMERIC") for one in found)
        return [one.key.rpartition("/")[2] for one in found]

    assert names() == ["200", "201", "202"]
    assert names(kind="LOCATION") == ["200", "202"]
    assert names(without="LOCATION") == ["201"]
    few = names(limit=2)
    assert len(few) == 2
    assert set(names(limit=1)) < set(few)  # nested
    assert str(types) in module.wants("test", {**module.PARAMS, **given, "types": str(types)})
    with pytest.raises(DataError, match="no query is of the type 'PERSON'"):
        names(kind="PERSON")
    with pytest.raises(ParamsError, match="kind and without need `types`"):
        names(kind="PERSON", types="")
    types.write_text("200 LOCATION\n")
    with pytest.raises(DataError, match="expected lines `query <tab> type`"):
        names()


def test_where_semanlink_is_cut() -> None:
    module = plugins.find("datasets", "semanlink")
    for cuts in ([0.5, 0.4], [0, 0.5], [0.5, 1]):
        with pytest.raises(ParamsError, match="expected two rising shares"):
            list(module.samples("test", {}, {**module.PARAMS, "name": "s", "cuts": cuts}))
