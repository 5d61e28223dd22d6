"""LLM-TTA: aggregation, gate, threshold, rewrites; and that nothing is asked twice."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import balanced_accuracy_score

from makers import claimed_rows
from makers.repositories import HOME
from makers.short_texts import lengths, samples
from shiftbench.base import refs, registry
from shiftbench.base.errors import DataError, ModelError, ParamsError
from shiftbench.base.refs import Ref
from shiftbench.base.registry import defaults
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.data import schema
from shiftbench.evaluation import nets
from shiftbench.evaluation.llm import client
from shiftbench.plugins.tasks import LabelSpace, text_classification
from shiftbench.statistics.claims import expressions, judgement
from shiftbench.systems.llm_tta.methods import _gate, _recorded, _rewriting, _synonyms, _tta
from shiftbench.workflow.plan import cards
from shiftbench.workflow.tools import record_answers


def around(rewrite: Callable[..., Any], **options: object) -> _tta.Averaging:
    return _tta.Averaging(lengths, rewrite, {**defaults(_tta), **options})


def longer(given: Sequence[Sample]) -> list[list[str]]:
    return [[s.fields["text"] + "a" * n for n in range(1, 5)] for s in given]


def never(given: Sequence[Sample]) -> list[list[str]]:
    raise AssertionError("asked")


# --- aggregation ------------------------------------------------------------------------------------


def test_means_of_logits_and_of_probabilities_differ() -> None:
    logits = np.array([[[4.0, 0.0], [0.0, 1.0], [0.0, 1.5]]], dtype=np.float32)
    assert _tta.combine(logits, "mean_logit") == pytest.approx(np.array([[4 / 3, 2.5 / 3]]))
    shares = np.exp(logits[0]) / np.exp(logits[0]).sum(1, keepdims=True)
    found = _tta.combine(logits, "mean_prob")
    assert np.exp(found[0]) == pytest.approx(shares.mean(0), abs=1e-6)
    assert found.argmax() == 1 - _tta.combine(logits, "mean_logit").argmax()  # two of three say 1


@pytest.mark.parametrize(
    ("logits", "winner"),
    [
        ([[3, 2, 1], [3, 2, 1], [1, 2, 3]], 0),  # two votes
        # 0 and 2 have two votes each; ranks of 0: 0 0 2 2, of 2: 2 1 0 0, so 2 is ranked better
        ([[3, 2, 1], [3, 1, 2], [1, 2, 3], [1, 2, 3]], 2),
        ([[3, 2, 1], [1, 2, 3]], 0),  # the same votes and ranks: the smallest label
    ],
)
def test_votes_and_their_ties(logits: list[list[int]], winner: int) -> None:
    found = _tta.combine(np.array([logits], dtype=np.float32), "vote")
    assert found.argmax() == winner


def test_averaging_is_over_the_rewrites_and_the_text() -> None:
    given = samples("hello there", "no")
    found = around(longer)(given)["logits"]
    for row, sample in zip(found, given, strict=True):
        texts = [sample.fields["text"] + "a" * n for n in range(5)]
        assert row == pytest.approx(lengths(samples(*texts))["logits"].mean(0), abs=1e-6)


@pytest.mark.parametrize("options", [{"k": 0}, {"theta": float("inf")}])
def test_without_rewrites_the_bare_classifier_stands_bit_for_bit(options: dict[str, Any]) -> None:
    given = samples("one", "and another")
    found = around(never, **options)(given)["logits"]
    assert found.tobytes() == lengths(given)["logits"].tobytes()


@pytest.mark.parametrize("way", ["mean_logit"])
def test_copies_of_the_text_change_nothing(way: str) -> None:
    module = registry.find("methods", "tta_identity")
    given = samples("one", "and another")
    found = module.wrap(lengths, {**defaults(module), "combine": way}, {})(given)["logits"]
    assert found.tobytes() == lengths(given)["logits"].tobytes()


def test_below_theta_nobody_is_asked() -> None:
    given = samples("aeiouaeiouaeiou", "bcdfghj", "abc")
    entropies = _gate.entropy(lengths(given)["logits"])
    theta = float(np.sort(entropies)[1])
    asked = list[str]()

    def rewrite(some: Sequence[Sample]) -> list[list[str]]:
        asked.extend(sample.key for sample in some)
        return longer(some)

    gated, always = around(rewrite, theta=theta)(given), around(longer)(given)
    unsure = entropies >= theta
    assert asked == [s.key for s, one in zip(given, unsure, strict=True) if one]
    expected = np.where(unsure[:, None], always["logits"], lengths(given)["logits"])
    assert gated["logits"].tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"combine": "mean"}, "combine is 'mean'; did you mean mean_prob"),
        ({"k": -1}, "k is -1; expected a number of rewrites"),
        ({"originals": 0}, "originals is 0; expected 1 or more"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], why: str) -> None:
    with pytest.raises(ParamsError, match=why):
        around(longer, **options)


def test_a_rewriter_that_gives_too_few_is_refused() -> None:
    with pytest.raises(DataError, match="toy/test/0: 4 rewrites, expected 3"):
        around(longer, k=3)(samples("a"))


# --- the gate ---------------------------------------------------------------------------------------


def test_entropy_of_a_certain_and_of_an_undecided_prediction() -> None:
    logits = np.array([[0, 1e6], [3, 3], [0, 0.5]], dtype=np.float32)
    p = np.exp(0.5) / (1 + np.exp(0.5))
    by_hand = [0.0, np.log(2), -p * np.log(p) - (1 - p) * np.log(1 - p)]
    assert _gate.entropy(logits) == pytest.approx(by_hand, abs=1e-7)


def literal(entropies: np.ndarray, plain: np.ndarray, augmented: np.ndarray) -> float:
    best, where = -1.0, 0.0
    for step in range(12_000):
        threshold = step * 1e-4
        gate = entropies >= threshold
        a, q, b2 = np.where(gate, augmented, plain).mean(), gate.mean(), (1 / 500) ** 2
        f = (1 + b2) * a * (1 - q) / (b2 * a + 1 - q) if b2 * a + 1 - q > 0 else 0.0
        if f > best:
            best, where = f, round(threshold, 4)
    return where


def test_the_threshold_of_six_samples_with_a_known_optimum() -> None:
    entropies = np.array([0.05, 0.1, 0.2, 0.4, 0.5, 0.6])
    plain = np.array([True, True, True, False, True, False])
    augmented = np.array([False, True, True, True, True, True])
    # Above 0.2 the two mistakes (0.4, 0.6) are mended and nothing is spoilt; 0.05 must stay. All of 0.2001 to 0.4
    # give accuracy 1 at a share of 1/2, and F prefers the smaller share: the first of them.
    assert _gate.search(entropies, plain, augmented) == 0.2001 == literal(entropies, plain, augmented)


@pytest.mark.parametrize("seed", range(4))
def test_the_search_equals_a_literal_one(seed: int) -> None:
    random = np.random.default_rng(seed)
    entropies = random.uniform(0, 0.69, 40).round(4)
    plain, augmented = random.random(40) < 0.6, random.random(40) < 0.7
    assert _gate.search(entropies, plain, augmented) == literal(entropies, plain, augmented)


# --- rewrites ---------------------------------------------------------------------------------------


def test_words_are_replaced_with_their_share_and_keep_their_capital() -> None:
    known = {"film": ("movie",), "good": ("fine", "great")}

    def options(word: str) -> Sequence[str]:
        return known.get(word.lower(), ())

    all_ = _synonyms.replace_words("Film, good? Yes.", 1.0, options, RandomStream(0, "t", "d", "k"))
    assert all_ in ("Movie, fine? Yes.", "Movie, great? Yes.")
    assert _synonyms.replace_words("Film", 0.0, options, RandomStream(0, "t", "d", "k")) == "Film"
    more = _synonyms.insert_words("Film good", 1.0, options, RandomStream(0, "t", "d", "k"))
    assert len(more.split()) == 4
    assert set(more.split()) <= {"Film", "good", "movie", "fine", "great"}
    texts = [_synonyms.replace_words("film " * 50, 0.3, options, RandomStream(0, "t", "d", str(n))) for n in range(20)]
    assert 0.25 < sum(text.count("movie") for text in texts) / 1000 < 0.35


def test_rewrites_of_unknown_words_are_of_the_training_vocabulary() -> None:
    module = registry.find("methods", "tta_id_vocab")
    known = module.vocabulary(["A fine film", "it's Great"])
    assert known == {"a", "fine", "film", "it", "s", "great"}


@pytest.mark.parametrize(
    ("answer", "clean"),
    [
        ("It is fine.}}} And more", "It is fine."),
        ("{{{It is\nfine.}}}", "It is fine."),
        ("It is fine.<|im_end|>rest", "It is fine."),
        ("It is fine. ### Input", "It is fine."),
        ("\u201cIt is fine.\u201d", "It is fine."),
        ("Rewritten text: It is fine.", "It is fine."),
        ("see http://a.b: fine", "see http://a.b: fine"),
        ("Note: it is fine", "it is fine"),  # what the released rule does to honest colons
        ("", "x"),
        ("}}", "x"),
        ('""', "x"),
    ],
)
def test_what_of_an_answer_is_a_rewrite(answer: str, clean: str) -> None:
    assert _rewriting.clean(answer, "x") == clean


def test_requests_hold_the_blocks_in_order_and_differ_in_their_seed() -> None:
    texts = [f"text {n} " + "word " * 50 for n in range(20)]
    examples = _rewriting.exemplars(texts, 16, 0)
    assert len(set(examples)) == 16
    assert {len(example.split()) for example in examples} == {31}  # floor(500 / 16)
    assert examples != _rewriting.exemplars(texts, 16, 1)
    options = {"style": "icr", "k": 4, "seed": 1, "temperature": 0.3, "longest": 2}
    asked = list(_rewriting.requests("a\nb c d e", examples, options))
    (system, user, opening) = asked[0].messages
    assert system[1].endswith(f'- "{examples[-1]}"')
    assert "{{{a b c d e}}}" in user[1]
    assert opening == ("assistant", "{{{")
    assert [one.seed for one in asked] == [1000, 1001, 1002, 1003]
    assert asked[0].decoding == {"temperature": 0.3, "max_new_tokens": 10, "stop": "}}"}
    assert _rewriting.template("icr") != _rewriting.template("paraphrase")
    with pytest.raises(ParamsError, match="style is 'ice'; did you mean icr"):
        _rewriting.template("ice")


# --- records of two methods -------------------------------------------------------------------------


def pair(count: int = 6) -> _recorded.Pair:
    random = np.random.default_rng(0)
    plain, augmented = random.normal(scale=3, size=(2, count, 2)).astype(np.float32)
    right = tuple(logits.argmax(1) == 0 for logits in (plain, augmented))
    return _recorded.Pair([str(n) for n in range(count)], plain, augmented, right)


def test_the_gate_over_records_is_the_gate_before_rewriting() -> None:
    both = pair()
    _, gated = both.gated(0.6)
    unsure = _gate.entropy(both.plain) >= 0.6
    assert 0 < unsure.sum() < 6
    assert (gated == np.where(unsure[:, None], both.augmented, both.plain)).all()
    empty = _recorded.Pair([], both.plain[:0], both.augmented[:0], (both.right[0][:0],) * 2)
    with pytest.raises(DataError, match="the val split is empty"):
        _recorded.threshold(empty)


def test_a_gate_needs_records_at_the_position_and_on_val() -> None:
    module = registry.find("methods", "esa")
    context = {"checkpoint": "toy/m-t-s0", "dataset": "toy", "stream": "toy/test/far", "step": "1"}
    found = [ref.name for ref in module.needs({**defaults(module), **context})]
    assert found == [
        "toy/m-t-s0/plain/toy/test/far/1",
        "toy/m-t-s0/tta_id_vocab/toy/test/far/1",
        "toy/m-t-s0/plain/toy/val/identity/0",
        "toy/m-t-s0/tta_id_vocab/toy/val/identity/0",
    ]
    assert len(module.needs({**defaults(module), **context, "theta": 0.5})) == 2


def recorded(folder: Path, places: Sequence[str]) -> tuple[dict[Ref, Path], dict[Any, np.ndarray]]:
    """Write records of a toy's weights under two methods; return where they lie and their logits."""
    random, of = np.random.default_rng(0), Ref("checkpoints", "toy/m-t-s0")
    inputs, logits = {of: folder / "checkpoints"}, {}
    for place in places:
        for method in ("plain", "tta_id_vocab"):
            some = [Sample(f"{place}/{n:02d}", {"text": "a", "label": n % 2}) for n in range(len(place))]
            logits[place, method] = random.normal(scale=2, size=(len(some), 2)).astype(np.float32)
            space = LabelSpace(("a", "b"), ("a", "b"))
            found = {"logits": logits[place, method]}
            table = text_classification.rows(some, found, space, "full")
            ref = refs.records(of, method, *place.rsplit("/", 1))
            inputs[ref] = folder / f"{len(inputs)}.parquet"
            schema.write(table, inputs[ref], "fingerprint")
    return inputs, logits


def test_a_gate_searches_its_threshold_on_val_and_reads_the_position(tmp_path: Path) -> None:
    here, val = "toy/test/far/1", "toy/val/identity/0"
    inputs, logits = recorded(tmp_path, [here, val])
    module = registry.find("methods", "esa")
    gated = module.wrap(lengths, defaults(module), inputs)
    gated.at(inputs)
    found = gated([Sample(f"{here}/{n:02d}", {}) for n in range(len(here))])["logits"]
    right = [logits[val, m].argmax(1) == np.arange(len(val)) % 2 for m in ("plain", "tta_id_vocab")]
    threshold = literal(_gate.entropy(logits[val, "plain"]), *right)
    unsure = _gate.entropy(logits[here, "plain"]) >= threshold
    assert 0 < unsure.sum() < len(here)
    expected = np.where(unsure[:, None], logits[here, "tta_id_vocab"], logits[here, "plain"])
    assert found.tobytes() == expected.tobytes()


def test_outcomes_are_asked_of_methods_that_the_benchmark_has() -> None:
    module = registry.find("analyses", "augmentation_outcomes")
    context = {"checkpoints": ["toy/m-t-s0"], "dataset": "toy", "split": "test", "methods": ["plain"]}
    with pytest.raises(ParamsError, match="'tta_insert' is no method of the benchmark"):
        module.needs({**defaults(module), **context, "told": ["tta_insert"]})


# --- a text-to-text classifier ----------------------------------------------------------------------


def test_a_text_to_text_model_answers_with_a_label(tmp_path: Path) -> None:
    """Logits are log-probabilities of the labels' numbers, token by token, as a literal loop has them."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration

    words = ["<pad>", "</s>", "<unk>", "0", "1", "2", "good", "bad"]
    tokens = Tokenizer(models.WordLevel({w: n for n, w in enumerate(words)}, unk_token="<unk>"))
    tokens.pre_tokenizer = pre_tokenizers.Whitespace()
    tokens.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    special = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    folder = tmp_path / "t5"
    PreTrainedTokenizerFast(tokenizer_object=tokens, **special).save_pretrained(folder)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        sizes = {"d_model": 8, "d_kv": 4, "d_ff": 8, "num_layers": 1, "num_heads": 2}
        config = T5Config(vocab_size=8, decoder_start_token_id=0, **sizes)
        T5ForConditionalGeneration(config).save_pretrained(folder)
    module = registry.find("models", "text_to_label")
    options = {**defaults(module), "path": str(folder)}
    weights = tmp_path / "given.safetensors"
    weights.write_bytes(nets.state_bytes(module.pretrained(options, {})))
    found = module.load(weights, options, ["a", "b", "c"], "cpu", {})(samples("good", "bad bad 1"))
    net = T5ForConditionalGeneration.from_pretrained(folder).eval()
    for row, ids in zip(found["logits"], ([6, 1], [7, 7, 4, 1]), strict=True):
        for label, value in enumerate(row):
            begun = torch.tensor([[0, 3 + label]])
            with torch.inference_mode():
                logits = net(input_ids=torch.tensor([ids]), decoder_input_ids=begun).logits
            each = logits[0].log_softmax(-1)
            assert value == pytest.approx(float(each[0, 3 + label] + each[1, 1]), abs=1e-5)
    (folder / "config.json").write_text("{}")
    with pytest.raises(ModelError, match="is no text-to-text model of transformers"):
        module.load(weights, options, ["a", "b"], "cpu", {})


# --- the claims at full scale -----------------------------------------------------------------------


def test_every_claim_at_full_scale_finds_its_rows() -> None:
    card = cards.load("llm-tta")
    rows = claimed_rows.rows(card, "full", {"entropy": "plain", "augmentation_rate": "tta_icr_esa"})
    judged = {one.name: one for one in judgement.judge(card.claims, rows, "full")}
    full = {name for name, claim in card.claims.items() if claim.scale == "full"}
    assert {name: one.reason for name, one in judged.items() if name in full and one.reason} == {}
    assert {judged[name].verdict for name in full} <= {"supported", "refuted", "inconclusive"}
    of_tasks = [name for name in full if card.claims[name].over == "dataset"]
    assert all(len(judged[name].parts) == 3 for name in of_tasks)
    for row in card.reported:
        if row.measured and row.scale == "full":
            assert len(expressions.evaluate(rows, row.measured).identities) == 1, row.what


# --- the recorded answers ---------------------------------------------------------------------------


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(HOME / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.network
def test_a_warm_record_asks_nobody_and_a_cold_one_all(checkout: Path, tmp_path: Path) -> None:
    def nobody(model: str) -> Any:
        raise AssertionError(model)

    told = record_answers.record("systems/llm-tta/smoke", nobody)
    ((needed, asked),) = told.values()
    assert (needed, asked) == (2 * 4 * 4 * 2, 0)  # styles, sets, rewrites, texts

    class Parrot:
        model, date = client.identity("smollm2_135m"), None

        def answer(self, requests: Sequence[client.Request]) -> Any:
            return iter([one.messages[1][1] for one in requests])

    parrots = {"smollm2_135m": Parrot()}
    told = record_answers.record("systems/llm-tta/smoke", parrots.__getitem__, tmp_path / "cold")
    assert list(told.values()) == [(needed, needed)]
    again = record_answers.record("systems/llm-tta/smoke", nobody, tmp_path / "cold")
    assert list(again.values()) == [(needed, 0)]


def test_a_scale_that_asks_nobody_is_told(checkout: Path) -> None:
    (checkout / "params.yaml").write_text("benchmarks: {}\n")
    with pytest.raises(ParamsError, match=r"no plugin of params\.yaml uses a language model"):
        record_answers.record(None, {}.__getitem__)


def test_balanced_accuracy_is_that_of_scikit_learn() -> None:
    from shiftbench.statistics.contributions import weighted_sums
    from shiftbench.statistics.rows import Rows

    random = np.random.default_rng(1)
    label, predicted = random.integers(0, 3, 60), random.integers(0, 3, 60)
    label[:20] = 0
    table = pa.table({"label": label.astype(np.int32), "correct": label == predicted})
    metric = registry.find("metrics", "balanced_accuracy")
    (sums,) = weighted_sums([metric.reduce(Rows(table))], np.ones((60, 1), dtype=np.uint8))
    assert metric.finish(sums)[0] == pytest.approx(balanced_accuracy_score(label, predicted))
