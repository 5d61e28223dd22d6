"""LAPT: negative labels are mined, and images for both kinds of labels read, as in the released code and layout."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from makers import lapt_miniature, small_files
from makers.lapt_miniature import unit
from shiftbench.base import registry
from shiftbench.base.errors import DataError, ParamsError
from shiftbench.base.registry import defaults
from shiftbench.systems.lapt.models import prompted
from shiftbench.systems.lapt.trainers import _negatives
from shiftbench.workflow.plan import cards

WORDS, WIDTH = 20, 12
RANDOM = np.random.default_rng(0)
NOUNS = [f"noun {n:02d}" for n in range(14)]
ADJECTIVES = [f"adjective {n}" for n in range(6)]


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
@pytest.mark.parametrize("names", [5, 40])
def test_negative_labels_are_those_of_the_released_rule(count: int, names: int) -> None:
    texts = unit(RANDOM.normal(size=(WORDS + names, WIDTH)))
    cosines = texts[:WORDS] @ texts[WORDS:].T
    noun, adjective = cosines[:14], cosines[14:]
    q = _negatives.distances(noun), _negatives.distances(adjective)
    found = _negatives.chosen(count, (NOUNS, q[0]), (ADJECTIVES, q[1]))
    assert [word for word, _ in found] == released_selection(count, ADJECTIVES, adjective, NOUNS, noun)
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


def test_the_negative_labels_are_kept_with_what_was_forced_first(inputs: Any) -> None:
    state, rows = lapt_miniature.mined(inputs)
    words = prompted.read(state["words"])
    assert words[:2] == ["town hall", "light"]
    assert set(words[2:]) < {"zebra", "photo", "hall", "nice hall", "green", "bad", "nice"}
    assert "a" not in words  # an ID name
    assert [name for _, name, _ in rows] == [f"negative/{word}" for word in words]
    assert len(words) == len(set(words)) == 7
    q = {name.partition("/")[2]: value for _, name, value in rows}
    assert q[words[2]] <= max(q[word] for word in words[2:])
    assert state["negatives"].norm(dim=1).numpy() == pytest.approx(10.0, rel=1e-4)  # the scale of fresh weights


def test_folders_of_labels_are_read_with_their_source(tmp_path: Path) -> None:
    for kind, label, count in (("web", "zebra", 12), ("web", "town hall", 3), ("synth", "zebra", 9)):
        for n in range(count):
            file = tmp_path / kind / label / f"uid{n}.jpg"
            file.parent.mkdir(parents=True, exist_ok=True)
            small_files.picture(n, (30, 20)).save(file)
    module = registry.find("datasets", "collected")
    options = {**defaults(module), "folder": str(tmp_path), "name": "yours"}
    assert module.classes(options, {}) == ("town hall", "zebra")
    split = {name: list(module.samples(name, {}, options)) for name in ("train", "val", "test")}
    assert not split["test"]
    assert len(split["train"]) + len(split["val"]) == 24
    assert len(split["train"]) > len(split["val"]) > 0
    told = {(s.fields["meta"]["source"], int(s.fields["label"])) for part in split.values() for s in part}
    assert told == {("web", 0), ("web", 1), ("synth", 1)}
    assert all(s.key.startswith(f"yours/{s.fields['meta']['source']}/") for s in split["train"])
    named = module.classes({**options, "classes": "imagenet"}, {})
    assert (named[0], len(named)) == ("tench", 1000)
    with pytest.raises(DataError, match="holds neither `web` nor `synth`"):
        module.classes({**options, "folder": str(tmp_path / "web")}, {})


def test_no_image_that_is_learnt_from_was_seen_in_pretraining() -> None:
    datasets = cards.load("lapt").params["embedded"]["datasets"]
    for name in ("garments_seen", "animals_seen", "places_seen"):
        assert datasets[name]["slice"] == {"train": [0.0, 0.4], "val": [0.0, 0.4]}
    for name in ("known_1", "known_2", "known_3", "animals", "places"):
        assert datasets[name]["slice"] == {"train": [0.4, 1.0], "val": [0.4, 1.0]}
