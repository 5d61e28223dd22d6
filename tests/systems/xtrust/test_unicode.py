"""Every code point of the ten languages' scripts survives shards, recorded answers, records, tables and pages."""

import json

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from shiftbench.base.sample import Sample
from shiftbench.data import schema, shards
from shiftbench.evaluation.llm.answer_cache import Answers, Key
from shiftbench.plugins.tasks import LabelSpace, free_text, text_classification
from shiftbench.report import html, samples
from shiftbench.systems.xtrust.datasets import _parallel

SCRIPTS = {
    "ar": ((0x600, 0x6FF), (0x750, 0x77F), (0xFB50, 0xFDFF), (0xFE70, 0xFEFC), (0x200E, 0x200F)),
    "hi": ((0x900, 0x97F), (0x200C, 0x200D)),
    "ko": ((0xAC00, 0xD7A3), (0x1100, 0x11FF), (0x3130, 0x318E)),
    "ru": ((0x400, 0x4FF), (0x300, 0x301)),
    "zh": ((0x4E00, 0x9FFF), (0x3000, 0x303F), (0xFF00, 0xFFEF), (0x20000, 0x2A6DF)),
    "latin": ((0x20, 0x7E), (0xA0, 0x17F), (0x300, 0x36F), (0x2010, 0x203A)),
    "greek": ((0x370, 0x3FF),),
}
"""Blocks of the languages' scripts, marks, joiners and signs of direction included."""
LETTERS = st.one_of(
    st.characters(min_codepoint=low, max_codepoint=high, exclude_categories=["Cs"])
    for ranges in SCRIPTS.values()
    for low, high in ranges
)
TEXTS = st.lists(LETTERS, min_size=1, max_size=24).map("".join)
DRAWN = settings(max_examples=40, deadline=None, derandomize=True, database=None)
"""Drawn without a check of NFC: what looks the same may be other bytes, and stays so."""
CLASSES = _parallel.classes_of("capitals")


@DRAWN
@given(st.lists(TEXTS, min_size=1, max_size=6))
def test_shards_keep_every_code_point(tmp_path_factory: object, texts: list[str]) -> None:
    folder = tmp_path_factory.mktemp("s")  # type: ignore[attr-defined]
    given_ = [
        Sample(f"d/test/{n}", {"text": text, "label": 0, "meta": {"translations": {text: {"text": text}}}})
        for n, text in enumerate(texts)
    ]
    shards.write(given_, folder, text_classification.FIELDS, {"classes": list(CLASSES)}, 10**6)
    found = {sample.key: sample.fields for sample in shards.read(folder)}
    for sample in given_:
        assert found[sample.key] == sample.fields
        assert found[sample.key]["text"].encode() == sample.fields["text"].encode()


@DRAWN
@given(st.lists(TEXTS, min_size=1, max_size=6))
def test_recorded_answers_keep_every_code_point(tmp_path_factory: object, texts: list[str]) -> None:
    folder = tmp_path_factory.mktemp("a")  # type: ignore[attr-defined]
    kept = Answers(folder)
    keys = [Key("toy@1", "t", {"options": text}, n, text) for n, text in enumerate(texts)]
    for key, text in zip(keys, texts, strict=True):
        kept.put(key, text)
    kept.settle()
    again = Answers(folder)
    assert [again.get(key) for key in keys] == texts
    plain = kept.file("toy").read_bytes().decode()
    assert all(json.dumps(text, ensure_ascii=False) in plain for text in texts)  # readable, unescaped


@DRAWN
@given(TEXTS)
def test_records_and_tables_keep_every_code_point(tmp_path_factory: object, text: str) -> None:
    folder = tmp_path_factory.mktemp("r")  # type: ignore[attr-defined]
    meta = {"graders": ["phrases"], "phrases": [text], "group": text, "cluster": text}
    one = np.empty(1, object)
    one[0] = (text,)
    asked = [Sample("k", {"text": text, "meta": meta})]
    table = free_text.rows(asked, {"completions": one}, LabelSpace((), ()), "full")
    schema.write(table, folder / "records.parquet", "f")
    (row,) = schema.read(folder / "records.parquet").to_pylist()
    assert row["completions"] == [text]
    assert (row["group"], row["cluster"]) == (text, text)
    logits = {"logits": np.zeros((1, 3), np.float32)}
    labelled = [Sample("k", {"text": text, "label": 0, "meta": {"cluster": text}})]
    table = text_classification.rows(labelled, logits, LabelSpace(CLASSES[:3], CLASSES[:3]), "full")
    schema.write(table, folder / "answers.parquet", "f")
    assert schema.read(folder / "answers.parquet").column("cluster").to_pylist() == [text]


@DRAWN
@given(TEXTS)
def test_pages_keep_every_code_point(text: str) -> None:
    shown = text_classification.shown(Sample("k", {"text": text, "label": 0}))
    drawn = samples.drawn(Sample("k", {"text": text, "label": 0}))
    embedded = str(html.embedded({"preview": shown, "sample": drawn, text: 1}))
    assert embedded.isascii()
    assert "</" not in embedded
    found = json.loads(embedded)
    assert found["preview"]["text"] == found["sample"]["text"] == text
    assert found[text] == 1
