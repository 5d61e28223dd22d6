"""The task `ranking`: measures against ir-measures and by hand, records, and collections in TREC's layout."""

import math
from pathlib import Path
from typing import Any

import ir_measures
import numpy as np
import pytest

from makers import miniature_texts, ranked_collection
from shiftbench.base import registry
from shiftbench.base.errors import DataError, ModelError, ParamsError
from shiftbench.base.refs import Ref
from shiftbench.base.registry import defaults
from shiftbench.base.sample import Sample
from shiftbench.plugins.models import _rankers
from shiftbench.plugins.tasks import LabelSpace, _ranked
from shiftbench.plugins.tasks import ranking as task

SPACE = LabelSpace((), ())
Made = tuple[dict[Ref, Path], dict[str, list[Sample]], Path]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    tmp = tmp_path_factory.mktemp("ranking")
    return *ranked_collection.made(tmp), tmp


# --- measures --------------------------------------------------------------------------------------


def test_measures_equal_ir_measures() -> None:
    random = np.random.default_rng(1)
    wanted = [ir_measures.parse_measure(m) for m in ("AP", "nDCG@10", "RR@10", "Bpref", "Judged@10")]
    for _ in range(40):
        pool = [f"d{number}" for number in range(30)]
        given = random.choice(pool, random.integers(1, 30), replace=False)
        judged = {"d0": 1} | {str(one): int(random.integers(-1, 4)) for one in given}
        documents = [str(one) for one in random.permutation(pool)[: random.integers(1, 31)]]
        run = {"q": {one: float(-rank) for rank, one in enumerate(documents)}}
        theirs = ir_measures.calc_aggregate(wanted, {"q": judged}, run)
        ours = _ranked.measures(documents, judged)
        assert list(ours.values()) == pytest.approx([theirs[one] for one in wanted], abs=1e-12)


def test_measures_by_hand() -> None:
    # Relevant are a (grade 2) and c, ranks 1 and 3 of b's judged "not": AP = (1/1 + 2/3) / 2.
    found = _ranked.measures(["a", "b", "c", "x"], {"a": 2, "b": 0, "c": 1})
    assert found["ap"] == pytest.approx(5 / 6)
    assert found["ndcg10"] == pytest.approx((2 + 0.5) / (2 + 1 / math.log2(3)))
    assert found["rr10"] == 1
    assert found["bpref"] == pytest.approx((1 + 0) / 2)
    assert found["judged10"] == 0.75


# --- the task --------------------------------------------------------------------------------------


def query(**fields: Any) -> Sample:
    return Sample("q/all/1", {"text": "a query", "judged": {"a": 1, "b": 0}, **fields})


def outputs(documents: list[str], scores: list[float], **more: list[Any]) -> dict[str, np.ndarray]:
    named = {"documents": documents, "scores": scores, **more}
    return {name: _rankers.ragged([value]) for name, value in named.items()}


def test_one_row_per_query() -> None:
    attacked = outputs(["b", "a"], [2.0, 1.0], targets=["b"], before=[30], after=[1])
    row = task.rows([query()], attacked, SPACE, "full").to_pylist()[0]
    assert (row["ap_e9"], row["documents"], row["relevant"]) == (500_000_000, ["b", "a"], 1)
    assert [row[name] for name in ("attacked", "raised", "gained", "entered")] == [1, 1, 29, 1]
    many = [f"d{number}" for number in range(50)]
    long = outputs([*many, "a"], [float(-n) for n in range(51)])
    cut = task.rows([query()], long, SPACE, "top20").to_pylist()[0]
    assert (len(cut["documents"]), cut["attacked"]) == (20, None)
    assert cut["ap_e9"] == round(1e9 / 51)  # of the whole list


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"logits": np.zeros((1, 2))}, r"gives no documents \(it gives logits\)"),
        (outputs([], []), "query 'q/all/1': the model returns nothing"),
        (outputs(["a", "a"], [1, 1]), "ranks document 'a' twice"),
        (outputs(["a", "b"], [1]), "expected 2 finite scores"),
        (outputs(["a", "b"], [1, math.nan]), "expected 2 finite scores"),
        (outputs(["a", "b"], [1, 2]), "scores rise down the list"),
    ],
)
def test_what_is_no_ranked_list_is_named(answer: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        task.rows([query()], answer, SPACE, "full")


def test_samples_are_checked_and_shown() -> None:
    task.check(query(), [])
    document = Sample("c/all/1", {"id": "a", "title": "T", "text": "so"})
    task.check(document, [])
    assert task.shown(document)["text"] == "T\nso"
    assert task.shown(query(documents={"a": ["T", "new"]}))["text"] == "a query\nT. new"
    for judged in ({}, {"a": 0}, {"a": "1"}):
        with pytest.raises(DataError, match="q/all/1: expected judgements"):
            task.check(query(judged=judged), [])
    with pytest.raises(DataError, match="neither `judged`"):
        task.check(Sample("x", {"text": "t"}), [])
    with pytest.raises(DataError, match="is no query"):
        task.rows([document], outputs(["a"], [1]), SPACE, "full")


# --- collections -----------------------------------------------------------------------------------


def read(folder: Path, name: str = "trec", **options: Any) -> list[Sample]:
    module = registry.find("datasets", name)
    return list(module.samples("test", {}, {**defaults(module), "path": str(folder), **options}))


def test_a_folder_in_trecs_layout(made: Made) -> None:
    _, queries, tmp = made
    first = queries["test"][0]
    assert first.key == "trec/test/200"
    assert first.fields["candidates"][0] == "FT90.x"  # of the run
    assert first.fields["judged"]["FT94.x"] == 1
    bm25 = queries["train"][0].fields["candidates"]  # no run there: BM25's
    assert {"FT90.x", "FT94.x", "FT98.x"} == set(bm25[:3])
    with pytest.raises(ParamsError, match=r"name a folder \(`path`\)"):
        read(tmp, path="")


@pytest.mark.parametrize(
    ("file", "line", "message"),
    [
        ("test/qrels.txt", "200 0 FT99x 1\n", "judges document 'FT99x', which trec_documents does not have"),
        ("test/qrels.txt", "777 0 FT90.x 1\n", "qrels of test judge query '777'"),
        ("test/queries.jsonl", '{"id": "9", "text": "t"}\n', "query '9' has no judgements"),
        ("test/queries.jsonl", '{"id": "200", "text": "t"}\n', "query '200' occurs twice"),
        ("test/queries.jsonl", '{"text": "t"}\n', "queries.jsonl, line 4: expected an object with `id`"),
        ("test/candidates.run", "200 Q0 nix 1 1 r\n", "ranks document 'nix'"),
        ("documents.tsv", "only one column\n", "documents.tsv, line 11: expected `id <tab> text`"),
    ],
)
def test_bad_collections_are_named(tmp_path: Path, file: str, line: str, message: str) -> None:
    miniature_texts.trec(tmp_path)
    with (tmp_path / file).open("a") as stream:
        stream.write(line)
    with pytest.raises(DataError, match=message):
        read(tmp_path)


def test_a_document_twice_is_named(tmp_path: Path) -> None:
    (tmp_path / "documents.tsv").write_text("a\tone\na\ttwo\n")
    with pytest.raises(DataError, match="document 'a' occurs twice"):
        read(tmp_path, "trec_documents")
    with pytest.raises(DataError, match="documents.tsv does not exist"):
        read(tmp_path / "gone", "trec_documents")


def test_ids_of_ir_datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ir_datasets

    monkeypatch.setenv("IR_DATASETS_HOME", str(tmp_path / "home"))
    miniature_texts.trec(tmp_path)
    rows = [line.split("\t") for line in (tmp_path / "documents.tsv").read_text().splitlines()]
    (tmp_path / "d.tsv").write_text("".join(f"{name}\t{title} {text}\n" for name, title, text in rows))
    (tmp_path / "q.tsv").write_text("200\twooden boats test\nunjudged\tx\n")
    (tmp_path / "r.txt").write_text("200 0 FT90.x 1\n200 0 FT91.x 0\n")
    mine = ir_datasets.create_dataset(
        docs_tsv=str(tmp_path / "d.tsv"), queries_tsv=str(tmp_path / "q.tsv"), qrels_trec=str(tmp_path / "r.txt")
    )
    ir_datasets.registry.register("shiftbench-miniature", mine)
    ids = {"test": "shiftbench-miniature"}
    (found,) = read(Path("x"), ids=ids)
    assert (found.fields["text"], found.fields["judged"]) == ("wooden boats test", {"FT90.x": 1, "FT91.x": 0})
    assert len(read(Path("x"), "trec_documents", ids=ids)) == 10
    with pytest.raises(ParamsError, match="ir_datasets has no 'shiftbench-gone'"):
        read(Path("x"), ids={"test": "shiftbench-gone"})
    with pytest.raises(ParamsError, match="no id of ir_datasets for split 'test'"):
        read(Path("x"), ids={"val": "shiftbench-miniature"})


@pytest.mark.network
def test_semanlink_has_its_counts() -> None:
    from contracts.test_every_dataset import at_hand  # type: ignore[import-not-found]

    sources, _ = at_hand("semanlink")
    module = registry.find("datasets", "semanlink")

    def count(split: str, **options: Any) -> list[Sample]:
        return list(module.samples(split, sources, {**defaults(module), "name": "semanlink", **options}))

    whole = count("test", whole=True)
    assert len(whole) == 734
    assert sum(one.fields["meta"]["group"] == "arxiv" for one in whole) == 84
    assert sum(len(count(split)) for split in ("train", "val", "test")) == 734
    first = [_ranked.ndcg(one.fields["candidates"], one.fields["judged"]) for one in whole]
    assert np.mean(first) == pytest.approx(0.457, abs=0.005)
    documents = registry.find("datasets", "semanlink_documents")
    assert len(list(documents.samples("test", sources, defaults(documents)))) == 6022
