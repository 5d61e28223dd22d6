"""Who answers: the language model's record, floors, logs; how answers are read; and what is said of two of them."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from makers import xtrust_clone
from shiftbench.base import registry
from shiftbench.base.errors import DataError, ModelError, ParamsError
from shiftbench.base.registry import defaults
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.contracts import training_jobs
from shiftbench.evaluation import nets
from shiftbench.evaluation.llm import answer_cache, client
from shiftbench.plugins.contracts import Measurement
from shiftbench.plugins.tasks import LabelSpace, text_classification
from shiftbench.systems.xtrust.analyses import (
    _records,
    extractor_agreement,
    extractor_labels,
    language_consistency,
    official_rates,
)
from shiftbench.systems.xtrust.datasets import _parallel, xtrust
from shiftbench.systems.xtrust.datasets._catalogue import LANGUAGES
from shiftbench.systems.xtrust.methods import few_shot_refusals, official_keywords, phrase_table
from shiftbench.systems.xtrust.models import _floor, _logs, smollm2_options, xtrust_logs
from shiftbench.systems.xtrust.shifts import _language
from shiftbench.systems.xtrust.trainers import label_counts

CLASSES = _parallel.classes_of("facts")
METRICS = ("read_as_labelled", "abstention_recall", "abstention_precision")
UNKNOWN, BOTH, NONE, TRUE, FALSE = range(5)


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    sources = xtrust_clone.sources(tmp_path_factory.mktemp("sources"))
    params = {"kind": "facts", "count": 20, "train": 5}
    return list(_parallel.samples("test", sources, params))


def weights(tmp_path: Path, state: nets.State, classes: Sequence[str] = CLASSES) -> Path:
    return training_jobs.write(tmp_path / "w.safetensors", state, tuple(classes))


def said(text: str) -> Any:
    """Return a predictor whose completion of every item is a text."""

    def predict(samples: Sequence[Sample]) -> nets.Outputs:
        texts = np.empty(len(samples), object)
        texts[:] = [(text,)] * len(samples)
        return {"logits": np.zeros((len(samples), 5), np.float32), "completions": texts}

    return predict


def silent(samples: Sequence[Sample]) -> nets.Outputs:
    return {"logits": np.zeros((len(samples), 5), np.float32)}


def answers(outputs: Mapping[str, Any]) -> list[int]:
    found: list[int] = outputs["logits"].argmax(1).tolist()
    return found


# --- the record of the language model -------------------------------------------------------------


def test_the_record_is_read_and_nothing_is_generated(
    items: list[Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smollm2_options, "ANSWERS", tmp_path / "recorded")
    params = dict(defaults(smollm2_options))
    state = smollm2_options.pretrained(params, {})
    assert state["llm.sha256"].numpy().tobytes().hex().startswith(client.identity("smollm2_135m").rpartition("@")[2])
    model = smollm2_options.load(weights(tmp_path, state), params, CLASSES, "cpu", {})
    german = [_language.apply(one, 1.0, RandomStream(0, "l", "d", "k"), to="de") for one in items]
    with pytest.raises(DataError, match="`shiftbench answers --config systems/xtrust` records them"):
        model(german)
    kept = answer_cache.Answers(tmp_path / "recorded")
    identity = client.identity("smollm2_135m")
    for number, request in enumerate(smollm2_options.asks(german, params, {})):
        logs = [-3.0, -2.0, -1.0] if number else [-1.0, -2.0, -3.0]
        answer = json.dumps({"logs": logs, "text": "wahr, nicht falsch"})
        kept.put(request.key(identity), answer)
    model = smollm2_options.load(weights(tmp_path, state), params, CLASSES, "cpu", {})
    found = model(german)
    assert answers(found) == [TRUE, *[UNKNOWN] * 19]  # true, false and unknown are asked in this order
    assert found["logits"][0].tolist() == [-3.0, -1000.0, -1000.0, -1.0, -2.0]
    assert found["completions"][0] == ("wahr, nicht falsch",)
    table = text_classification.rows(german, found, LabelSpace(CLASSES, CLASSES), "full")
    assert table.column("prediction").to_pylist() == answers(found)
    kept.put(smollm2_options.asks(items[:1], params, {})[0].key(identity), '{"logs": [-1.0], "text": ""}')
    model = smollm2_options.load(weights(tmp_path, state), params, CLASSES, "cpu", {})
    with pytest.raises(DataError, match="has 3 options, and 1 are recorded"):
        model(items[:1])


def test_the_same_item_in_another_language_or_with_demonstrations_is_another_question(items: list[Sample]) -> None:
    told = [_language.apply(items[0], 1.0, RandomStream(0, "l", "d", "k"), to=language) for language in LANGUAGES]
    (zero,), (shown,) = (
        smollm2_options.asks(told[:1], defaults(smollm2_options), {}),
        few_shot_refusals.asks(told[:1], defaults(few_shot_refusals), {}),
    )
    keys = {
        request.key("toy").digest
        for samples in (items[:1], told)
        for asks in (smollm2_options.asks, few_shot_refusals.asks)
        for request in asks(samples, {**defaults(smollm2_options), **defaults(few_shot_refusals)}, {})
    }
    assert len(keys) == 2 * (1 + len(LANGUAGES))
    assert [role for role, _ in zero.messages] == ["system", "user"]
    assert [role for role, _ in shown.messages] == ["system", *["user", "assistant"] * 3, "user"]
    assert zero.template != shown.template
    assert (zero.decoding["max_new_tokens"], shown.decoding["max_new_tokens"]) == (10, 0)
    assert json.loads(str(zero.decoding["options"])) == ["صحيح", "خطأ", "لا أعرف"]


def test_the_record_is_whole_sorted_and_of_one_model() -> None:
    file = Path(smollm2_options.__file__).parents[1] / "recorded/smollm2_135m.jsonl"
    rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    keys = [row["key"] for row in rows]
    assert keys == sorted(set(keys))
    assert len(keys) == 11 * (60 + 60 + 100 + 60) + 11 * (60 + 60)  # plain, then with demonstrations
    assert {row["model"] for row in rows} == {client.identity("smollm2_135m")}
    given = [json.loads(row["answer"]) for row in rows]
    assert {len(one["logs"]) for one in given} == {2, 3, 4}
    assert all(-60 < log < 0 for one in given for log in one["logs"])
    assert sum(not one["text"] for one in given) >= 11 * 120  # after demonstrations nothing is written


# --- floors ---------------------------------------------------------------------------------------


def test_floors_know_nothing_but_counts_and_a_seed(tmp_path: Path, items: list[Sample]) -> None:
    job = training_jobs.job("majority_answer", "label_counts", train=items, seed=3)
    state = label_counts.train(job)
    counts = [sum(one.fields["label"] == label for one in items) for label in range(4)]
    assert state["counts"].tolist() == counts
    assert int(state["seed"]) == 3
    state["counts"] = state["counts"].new_tensor([9, 0, 0, 2, 5])
    file = weights(tmp_path, state)
    majority = _floor.load(file, {"answer": "majority"}, CLASSES, "cpu", {})
    assert set(answers(majority(items))) == {UNKNOWN}
    asked = [  # unknown is no option here
        one.with_field("meta", {**one.fields["meta"], "options": [["true", "t"], ["false", "f"]]}) for one in items
    ]
    assert set(answers(majority(asked))) == {FALSE}
    with pytest.raises(ModelError, match="holds no counts of labels"):
        _floor.load(weights(tmp_path / "o", {"x": state["seed"]}), {}, CLASSES, "cpu", {})


def test_guesses_agree_on_a_half_and_on_themselves(tmp_path: Path, items: list[Sample]) -> None:
    file = weights(tmp_path, label_counts.train(training_jobs.job("random_answer", "label_counts", train=items)) | {})
    guess = _floor.load(file, {"answer": "random"}, CLASSES[:4], "cpu", {})
    many = [
        Sample(f"k/{n}", {"meta": {"language": language, "options": [["true", "t"], ["none", "f"]]}})
        for language in LANGUAGES
        for n in range(500)
    ]
    found = np.array(answers(guess(many))).reshape(len(LANGUAGES), 500)
    shares = language_consistency.matrix(list(found))
    assert np.array_equal(shares, shares.T)
    assert np.array_equal(np.diag(shares), np.ones(len(LANGUAGES)))
    assert np.abs(shares[~np.eye(len(LANGUAGES), dtype=bool)] - 0.5).max() < 0.1
    assert np.array_equal(found.ravel(), answers(guess(many)))


# --- how answers are read -------------------------------------------------------------------------


def test_completions_are_read_in_the_language_of_the_item(tmp_path: Path, items: list[Sample]) -> None:
    inputs = {"w": weights(tmp_path, {})}
    told = {
        language: _language.apply(items[0], 1.0, RandomStream(0, "l", "d", "k"), to=language) for language in LANGUAGES
    }
    for text, wanted in (
        ("Das ist nicht wahr.", {"de": FALSE, "ru": NONE}),
        ("wahr oder falsch", {"de": BOTH}),
        ("не знаю", {"ru": UNKNOWN, "de": NONE}),
        ("真的", {"zh": TRUE}),
        ("", {"de": NONE}),
    ):
        predict = phrase_table.wrap(said(text), {}, inputs)  # type: ignore[arg-type]
        for language, answer in wanted.items():
            assert answers(predict([told[language]])) == [answer], (text, language)
    with pytest.raises(ModelError, match="there is nothing to read"):
        phrase_table.wrap(silent, {}, inputs)(items)  # type: ignore[arg-type]


def test_demonstrations_reach_the_model_and_the_item_is_as_it_was(tmp_path: Path, items: list[Sample]) -> None:
    seen: list[Sample] = []

    def model(samples: Sequence[Sample]) -> nets.Outputs:
        seen.extend(samples)
        return said("I don't know")(samples)

    params = dict(defaults(few_shot_refusals))
    plain = few_shot_refusals.wrap(model, params, {})(items)
    assert answers(plain) == [0] * len(items)
    assert {one.fields["meta"]["shots"] for one in seen} == {3}
    assert "shots" not in items[0].fields["meta"]
    read = few_shot_refusals.wrap(model, {**params, "extractor": "phrases"}, {"w": weights(tmp_path, {})})  # type: ignore[dict-item]
    assert set(answers(read(items))) == {UNKNOWN}
    with pytest.raises(ParamsError, match="extractor is 'phrase'"):
        few_shot_refusals.wrap(model, {**params, "extractor": "phrase"}, {})


# --- logs -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return xtrust_clone.clone(tmp_path_factory.mktemp("clone"))


def test_the_newest_run_that_has_a_file_counts(series: Path) -> None:
    folder = series / "logs_GPT4-api"
    run = _logs.newest(folder, "fr", "OOD", 0)
    assert run.time == "2024-01-21_12-04-15"  # another is named after another task and older
    assert _logs.newest(folder, "fr", "OOD", 3).time == "2024-01-20_12-04-15"  # the newer has none
    assert run.rows()[1] == ("September 2023 French event 1, answer", "It is so")
    with pytest.raises(DataError, match="no run with 5 demonstrations; runs with a CSV: French_OOD_PII"):
        _logs.newest(folder, "fr", "OOD", 5)


def test_logs_are_replayed_by_the_official_lists_and_by_ours(series: Path, tmp_path: Path) -> None:
    options = {**defaults(xtrust), "path": str(series / "logs_GPT4-api")}
    found = list(xtrust.samples("test", {}, options))
    classes = xtrust.classes(options, {})
    params = {"path": str(series / "logs_GPT4-api")}
    file = weights(tmp_path, xtrust_logs.pretrained(params, {}), classes)
    model, inputs = xtrust_logs.load(file, params, classes, "cpu", {}), {"w": file}
    german = [_language.apply(one, 1.0, RandomStream(0, "l", "d", "k"), to="de") for one in found]
    assert set(answers(model(german))) == {NONE}
    by_list = official_keywords.wrap(model, {"path": str(series / "Evaluate_Score_total_api.py")}, inputs)  # type: ignore[arg-type]
    assert answers(by_list(german))[:4] == [UNKNOWN, TRUE, BOTH, NONE]
    shown = few_shot_refusals.wrap(by_list, dict(defaults(few_shot_refusals)), inputs)  # type: ignore[arg-type]
    assert answers(shown(german))[:4] == [UNKNOWN, BOTH, BOTH, UNKNOWN]
    other = german[0].with_field("text", "something else")
    with pytest.raises(ModelError, match="row 0, was asked another question than"):
        model([other])
    with pytest.raises(ModelError, match="is not the file that|run the train stage again"):
        xtrust_logs.load(file, {"path": str(series)}, classes, "cpu", {})


def test_official_rates_are_those_of_the_file_beside_the_log(series: Path) -> None:
    params = {
        **defaults(official_rates), "path": str(series), "checkpoints": ["d/m-t-s0"], "dataset": "d", "split": "test",
    }  # fmt: skip
    assert official_rates.needs(params) == []
    with pytest.raises(ParamsError, match="official_rates: name `path`"):
        official_rates.needs(defaults(official_rates))
    found = list(official_rates.measure(Measurement(params, {}, 0, {})))
    groups = {one.group for one in found}
    assert groups == {f"{language}/{shots}" for language in LANGUAGES for shots in (0, 3)}

    def rate(metric: str, group: str) -> float:
        return float(np.mean([one.value for one in found if (one.metric, one.group) == (metric, group)]))

    rates = {name: rate(f"official_{name}", "de/0") for name in official_rates.CATEGORIES.values()}
    assert rates == {"positive": 0.25, "negative": 0.25, "both": 0.25, "none": 0.25}
    assert rate("official_negative", "de/3") == 0.5
    assert rate("table_abstention", "de/0") == 0.0  # the miniature's completions are English


def test_our_table_is_held_against_labels(series: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {**defaults(extractor_labels), "path": str(series), "dataset": "d", "split": "test"}
    with pytest.raises(ParamsError, match="extractor_labels: name `path`"):
        extractor_labels.needs(defaults(extractor_labels))
    assert extractor_labels.needs(given) == []
    run = _logs.newest(series / "logs_GPT4-api", "de", "OOD", 0)
    texts = [text for _, text in run.rows()]
    rows = ["language,shots,row,sha256,answer"]
    rows += [
        f"de,0,{row},{extractor_labels.digest(text)},{'unknown' if row % 2 else 'none'}"
        for row, text in enumerate(texts)
    ]
    monkeypatch.setattr(extractor_labels, "FILE", tmp_path / "labels.csv")
    extractor_labels.FILE.write_text("\n".join(rows))
    found = list(extractor_labels.measure(Measurement(given, {}, 0, {})))
    assert {one.group for one in found} == {"de"}
    # The miniature's completions are English, of which the German table reads none.
    by = {name: [one.value for one in found if one.metric == name] for name in METRICS}
    assert np.mean(by["read_as_labelled"]) == 0.5
    assert np.mean(by["abstention_recall"]) == 0.0
    assert by["abstention_precision"] == []
    extractor_labels.FILE.write_text("\n".join(rows[:1]) + "\nde,0,0,0123456789abcdef,none\n")
    with pytest.raises(DataError, match="row 0, has another completion than the one that was"):
        list(extractor_labels.measure(Measurement(given, {}, 0, {})))


def test_labels_are_as_many_of_each_language_with_demonstrations_and_without() -> None:
    labels = extractor_labels.labels()
    assert Counter((one.language, one.shots) for one in labels) == {
        (language, shots): 25 for language in LANGUAGES for shots in (0, 3)
    }
    assert len({one[:3] for one in labels}) == 500
    assert {one.answer for one in labels} == {"unknown", "true", "false", "none"}
    assert all(len(one.sha256) == extractor_labels.DIGITS for one in labels)


# --- what is said of two answers ------------------------------------------------------------------


def measured(module: ModuleType, given: dict[str, list[int]], **options: Any) -> dict[str, float]:
    """Return the mean of an analysis in each place, of answers by method or language."""
    params = {
        **defaults(module), "checkpoints": ["d/m-t-s0"], "dataset": "d", "split": "test",
        "methods": ["plain", "phrase_table"], **options,
    }  # fmt: skip

    class Job(Measurement):
        def records(self, of: Any) -> pa.Table:
            method, language = of.name.split("/")[2], of.name.rpartition("language_")[2][:2]
            own = given.get(language) or given[method]
            keys = [f"k{n}" for n in range(len(own))]
            return pa.table({"key": keys, "prediction": pa.array(own, pa.int32())})

    job = Job(params, {}, 0, {})
    assert module.needs(params)
    means: dict[str, list[float]] = {}
    for one in module.measure(job):
        means.setdefault(str(one.group or one.shift), []).append(one.value)
    return {place: float(np.mean(values)) for place, values in means.items()}


def test_agreement_of_extractors_by_hand() -> None:
    given = {"plain": [0, 3, 4, 3], "phrase_table": [0, 3, 3, 1]}
    found = measured(extractor_agreement, given, languages=["de", "ru"])
    assert found == {"language_de": 0.5, "language_ru": 0.5}
    with pytest.raises(ParamsError, match="'phrase_tables' is no method of the benchmark"):
        measured(extractor_agreement, given, extractors=["plain", "phrase_tables"])
    with pytest.raises(ParamsError, match="no weights of the benchmark are of other"):
        measured(extractor_agreement, given, models=["other"])


def test_consistency_of_languages_by_hand() -> None:
    given = {"de": [3, 3, 4, 0], "ru": [3, 4, 4, 0], "hi": [4, 4, 3, 0]}
    found = measured(language_consistency, given, languages=["de", "ru", "hi"])
    assert found == {"de/ru": 0.75, "de/hi": 0.25, "ru/hi": 0.5}
    whole = language_consistency.matrix([np.array(one) for one in given.values()])
    assert whole.tolist() == [[1.0, 0.75, 0.25], [0.75, 1.0, 0.5], [0.25, 0.5, 1.0]]
    with pytest.raises(DataError, match="not of the same items"):
        _records.same_items((["a"], np.zeros(1, int)), (["b"], np.zeros(1, int)))


def test_the_parts_are_found_by_name() -> None:
    assert defaults(registry.find("models", "random_answer"))["answer"] == "random"
    assert defaults(registry.find("metrics", "no_answer_rate"))["index"] == NONE
    assert registry.find("datasets", "release_facts").SOURCES == ("browser_releases",)
    assert defaults(registry.find("shifts", "language_hi"))["to"] == "hi"
