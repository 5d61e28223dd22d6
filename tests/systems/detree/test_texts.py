"""Brown's texts, generators and edits, features, and the importer of RealBench."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from makers import brown_miniature, miniature_texts
from shiftbench.base import registry
from shiftbench.base.errors import DataError, ParamsError
from shiftbench.base.registry import defaults
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.contracts import shift_digests
from shiftbench.data import splits
from shiftbench.plugins.shifts import _wordnet
from shiftbench.systems.detree.datasets import _brown, _collaborative, realbench
from shiftbench.systems.detree.models import _stylometry


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = brown_miniature.write(tmp_path_factory.mktemp("brown"))
    return {_brown.SOURCE: folder, "wordnet": shift_digests.originals()["wordnet"]}


def read(part: str, split: str, sources: dict[str, Path]) -> list[Sample]:
    name = {"prose": "brown_collaborative", "fiction": "brown_fiction"}[part]
    module = registry.find("datasets", name)
    small = {"words": 30, "human": 4, "edited": 2}
    return list(module.samples(split, sources, {**defaults(module), **small, "name": name}))


def stream(key: str = "k") -> RandomStream:
    return RandomStream(0, "test", "d", key)


# --- Brown ------------------------------------------------------------------------------------------


def test_documents_play_one_part_each(sources: dict[str, Path]) -> None:
    parts = {file.name: _brown.part(file.name) for file in sources[_brown.SOURCE].iterdir()}
    assert set(parts.values()) == {"generator", "features", "train", "val", "test"}
    assert "features" not in {part for name, part in parts.items() if name[1] in _brown.FICTION}
    for wanted in ("generator", "train"):
        found = _brown.documents(sources[_brown.SOURCE], _brown.PROSE, wanted)
        assert set(found) == {name for name, part in parts.items() if part == wanted and name[1] in _brown.PROSE}


def test_the_real_corpus_is_parted_as_the_readme_says() -> None:
    """Its names are known: 374 documents of prose, 126 of fiction."""
    sizes = {"a": 44, "b": 27, "c": 17, "d": 17, "e": 36, "f": 48, "g": 75, "h": 30, "j": 80}
    fiction = {"k": 29, "l": 24, "m": 6, "n": 29, "p": 29, "r": 9}
    for genres, wanted in (
        (sizes, {"generator": 93, "features": 101, "train": 92, "val": 36, "test": 52}),
        (fiction, {"generator": 58, "train": 21, "val": 19, "test": 28}),
    ):
        names = [f"c{genre}{at:02d}" for genre, size in genres.items() for at in range(1, size + 1)]
        assert Counter(map(_brown.part, names)) == wanted


def test_text_is_spelt_as_one_writes_it(tmp_path: Path) -> None:
    file = tmp_path / "ca01"
    line = "``/`` Is/bez it/pps (/( half/abn )/) past/in 1/2/cd ?/. ?/. ''/'' ,/, asked/vbd Mr./np Day/np ./."
    file.write_text(f"\n\n\t{line}\n", "latin-1")
    (words,) = _brown.read(file)
    assert _brown.text(words) == '"Is it (half) past 1/2?", asked Mr. Day.'
    (tmp_path / "ca02").write_text("the/at county\n", "latin-1")
    with pytest.raises(DataError, match="ca02, line 1: expected words with tags"):
        _brown.read(tmp_path / "ca02")


def test_passages_begin_with_a_sentence_and_have_one_length() -> None:
    sentences = [tuple(f"{name}{at}" for at in range(4)) for name in "abcde"]
    found = list(_brown.passages(sentences, 6))
    assert found == [("a0", "a1", "a2", "a3", "b0", "b1"), ("c0", "c1", "c2", "c3", "d0", "d1")]


def test_no_documents_are_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no document of the Brown corpus that is for 'train'"):
        _brown.documents(tmp_path, _brown.PROSE, "train")


# --- generators and edits ---------------------------------------------------------------------------


def test_a_chain_draws_by_its_counts() -> None:
    chain = _collaborative.Chain(1, [("a", "b"), ("a", "b"), ("a", "c")])
    drawn = Counter(chain.write(("a",), 2, stream(str(at)))[1] for at in range(3000))
    assert set(drawn) == {"b", "c"}
    assert drawn["b"] / 3000 == pytest.approx(2 / 3, abs=0.03)


def test_a_chain_backs_off_to_what_it_has_seen() -> None:
    chain = _collaborative.Chain(2, [("a", "b", "c"), ("d", "b", "e")])
    assert {chain.write(("a", "b"), 3, stream(str(at)))[2] for at in range(20)} == {"c"}
    assert {chain.write(("x", "b"), 3, stream(str(at)))[2] for at in range(40)} == {"c", "e"}
    first = {chain.write((), 1, stream(str(at)))[0] for at in range(40)}
    assert first == {"a", "d"}  # a text begins as sentences do


def test_polish_replaces_the_share_of_words_in_their_case() -> None:
    wordnet = _wordnet.load(shift_digests.originals()["wordnet"])
    words = ("Check", "the", "total", ",", "check", "that", "sum", "of", "it", ".") * 5
    made = _collaborative.polish(words, 0.2, wordnet, stream())
    changed = [(old, new) for old, new in zip(words, made, strict=True) if old != new]
    assert len(changed) == 8  # a fifth of 40 words
    twins = {("Check", "Verify"), ("check", "verify"), ("total", "sum"), ("sum", "total")}
    assert set(changed) <= twins
    assert _collaborative.polish(("the", "of"), 0.2, wordnet, stream()) == ("the", "of")


# --- the datasets -----------------------------------------------------------------------------------


def test_classes_labels_and_clusters(sources: dict[str, Path]) -> None:
    found = read("prose", "train", sources)
    classes = Counter(one.fields["meta"]["group"] for one in found)
    assert set(classes) == {*("human", "human_polish", "human_extend"), *("mk1", "mk2", "mk1_polish", "mk2_polish")}
    assert classes["human"] == 2 * classes["mk1"] == 2 * classes["human_extend"]
    for one in found:
        name = one.fields["meta"]["group"]
        assert one.fields["label"] == int(name != "human")
        document = one.key.split("/")[2][:4]
        assert (one.fields["meta"]["cluster"] == document) == name.startswith("human")
    assert {one.fields["meta"]["group"] for one in read("fiction", "test", sources)} == {
        *("human", "mk3", "mk3_polish")
    }


def test_no_text_and_no_document_is_in_two_splits_or_twice(sources: dict[str, Path]) -> None:
    every = [(split, one) for split in ("train", "val", "test") for one in read("prose", split, sources)]
    keys = Counter(one.key.partition("/")[2].partition("/")[2] for _, one in every)
    assert max(keys.values()) == 1
    module = registry.find("datasets", "brown_collaborative")
    at: dict[str, set[str]] = {}
    for split, one in every:
        at.setdefault(module.group(one), set()).add(split)
    assert all(len(found) == 1 for found in at.values())
    human = [one.fields["text"] for _, one in every if one.fields["meta"]["group"] == "human"]
    assert len(set(human)) == len(human)


def test_extended_texts_go_on_from_a_human_half(sources: dict[str, Path]) -> None:
    folder = sources[_brown.SOURCE]
    for one in read("prose", "val", sources):
        if one.fields["meta"]["group"] == "human_extend":
            document = one.fields["meta"]["cluster"]
            passages = _brown.passages(_brown.read(folder / document), 30)
            begun = [_brown.text(words[:15]) for words in passages]
            assert any(one.fields["text"].startswith(half) for half in begun)


def test_texts_are_the_same_each_time(sources: dict[str, Path]) -> None:
    first, again = (read("fiction", "test", sources) for _ in range(2))
    assert [one.fields for one in first] == [one.fields for one in again]


# --- features ---------------------------------------------------------------------------------------


def test_log_probabilities_worked_out_by_hand() -> None:
    """Counted on "a b a c": a 2, b 1, c 1; 4 words, 3 kinds, so that one word is (n + 1) of 4 + 3 + 1 = 8."""
    known = _stylometry.Stylometry(["a b a c"])
    logs, fresh = known.log_probabilities(["a", "b", "x"])
    one = np.array([3 / 8, 2 / 8, 1 / 8])
    # Pairs: (begin, a) 1 of 1, (a, b) 1 of 2, (b, x) none; triples: (begin, begin, a) 1 of ..., (begin, a, b) 1 of 1.
    two = (0.05 * one + 0.25 * np.array([1.0, 0.5, 0.0])) / 0.3
    np.testing.assert_allclose(logs[0], np.log(one))
    np.testing.assert_allclose(logs[1], np.log(two))
    assert fresh.tolist() == [[0, 0, 1], [0, 0, 1]]
    assert logs[2][1] == pytest.approx(np.log(0.05 * one[1] + 0.25 * 0.5 + 0.7 * 1.0))


def test_features_are_of_one_width_finite_and_of_their_text_alone() -> None:
    known = _stylometry.Stylometry(["The sum of the parts is the whole. It was so, and it is.", "So it goes."])
    texts = ["The sum was so. It is!", "", "\u200b  12", "Ωmega … x"]
    found = known(texts)
    assert np.isfinite(found).all()
    for at, text in enumerate(texts):
        np.testing.assert_array_equal(found[at], known([text])[0])


def test_features_see_what_attacks_do() -> None:
    known = _stylometry.Stylometry(["The sum of the parts is the whole. It was so, and it is."])
    text = "The sum of the parts was so. It is the whole."
    plain, *others = known([text, text.replace(" ", "  "), text.replace("a", "\u0430"), text.replace(" ", "\u200b ")])
    assert all((plain != other).any() for other in others)


# --- RealBench --------------------------------------------------------------------------------------


def test_realbench_in_its_official_layout(tmp_path: Path) -> None:
    params = {**defaults(realbench), **miniature_texts.realbench(tmp_path)[1]}
    train = list(realbench.samples("train", {}, params))
    assert [one.key for one in train if isinstance(one, Sample)] == [
        "realbench/train/Deepfake/no_attack/train/00000001",
        "realbench/train/Deepfake/no_attack/train/00000002",
        "realbench/train/Deepfake/polish/train/00000001",
    ]
    assert [one.fields["meta"]["group"] for one in train if isinstance(one, Sample)] == [
        *("human", "gpt2-xl", "human_polish_glm4_9b")
    ]
    test = [one for one in realbench.samples("test", {}, params) if isinstance(one, Sample)]
    assert [(one.fields["text"], one.fields["label"]) for one in test] == [("Third.", 1), ("Fourth \u00e9.", 0)]
    assert [one.fields["meta"] for one in test] == [
        {"group": "chatgpt", "cluster": "5"},
        {"group": "human", "cluster": "6"},
    ]
    wanted = [f"{tmp_path}/Deepfake/{one}/train.jsonl" for one in ("no_attack", "polish")]
    assert realbench.wants("train", params) == dict.fromkeys(wanted, "JSON lines of texts")
    gone = realbench.wants("test", {**params, "files": {"test": ["gone/*.jsonl"]}})
    assert list(gone) == [f"{tmp_path}/gone/*.jsonl"]
    assert splits.native("val", realbench) == "val"


def test_realbench_says_what_is_wrong(tmp_path: Path) -> None:
    params = {**defaults(realbench), **miniature_texts.realbench(tmp_path)[1]}
    file = tmp_path / "OUTFOX/no_attack/test.jsonl"
    file.write_text('{"text": "a", "label": "0"}\n{"text": "a", "label": "2", "src": "x", "id": 1}\nno\n')
    found = [str(one) for one in realbench.samples("test", {}, params)]
    assert [("no JSON with text" in one, "label '2'" in one) for one in found] == [
        (True, False),
        (False, True),
        (True, False),
    ]
    with pytest.raises(DataError, match="have 3 lines, expected 9"):
        list(realbench.samples("test", {}, {**params, "counts": {"test": 9}}))
    with pytest.raises(ParamsError, match="name `root`"):
        list(realbench.samples("test", {}, dict(defaults(realbench))))
    with pytest.raises(DataError, match="no file .*gone"):
        list(realbench.samples("test", {}, {**params, "files": {"test": ["gone/*.jsonl"]}}))


def test_names_of_sources_are_those_of_the_released_code() -> None:
    """All of `model_alias_mapping` (detree/utils/dataset.py at c98cea3) that is not its own name."""
    assert realbench.SAME == {
        "ChatGPT": "chatgpt",
        "chatGPT": "chatgpt",
        "GPT4": "gpt4",
        "davinci": "text-davinci",
        "gpt2_pytorch": "gpt2-pytorch",
        "gpt2_large": "gpt2-large",
        "gpt2_small": "gpt2-small",
        "gpt2_medium": "gpt2-medium",
        "GPT2-XL": "gpt2-xl",
        "gpt2_xl": "gpt2-xl",
        "gpt2": "gpt2-xl",
        "GROVER_base": "grover_base",
        "llama2-fine-tuned": "llama2",
        "flan_t5": "flan_t5_xxl",
        "glm130b": "GLM130B",
        "jais-30b": "jais",
    }
