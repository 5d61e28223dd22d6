"""Texts by people and by n-gram generators, alone or edited, of 90 words; `part` says whose, and what is unseen.

Every way in which a text came about is a class of its own (`group` of the records): `human`, `mk1` and `mk2` (Markov
chains of order 1 and 2), and what was done to either: `polish` (a fifth of the words replaced by synonyms) and
`extend` (the second half written on by the chain of order 2). The label is coarse, as in DETree's databases: what no
person wrote alone is `machine`.

| part | documents | classes |
| --- | --- | --- |
| prose | nine genres of prose | human, human_polish, human_extend, mk1, mk2, mk1_polish, mk2_polish |
| fiction | six genres of fiction and humour | human, and of a generator that is unseen in training: mk3, mk3_polish |

Machine texts are as many of each class as edited ones, and a generator learns from documents of its own genres, so
that what is written about tells nothing. Of one document at most 8 passages are human and 4 for each edit, of other
passages; what comes from one document is one cluster of the bootstrap, and one split.

Source: He et al. 2025 (DETree), arXiv:2510.17489, section 3 (a class for each way of collaboration). Differs: n-gram
generators in place of language models.

Generators are Markov chains over words, counted on documents:

    next ~ count(last `order` words, next) / count(last `order` words),  backed off to the longest end that was counted

Draws are integers below a total of counts, so texts are the same on every machine. A chain also begins sentences, since
the ends of sentences are words of their own. The chains (Shannon 1948, "A Mathematical Theory of Communication",
section 3) stand in for language models.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import accumulate, islice
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.plugins import declare
from shiftbench.plugins.shifts import _wordnet
from shiftbench.plugins.shifts._wordnet import WordNet
from shiftbench.systems.detree.datasets import _brown

TASK = "text_classification"
CLASSES = ("human", "machine")
NATIVE = ("train", "val", "test")
SOURCES = (_brown.SOURCE, _wordnet.SOURCE)
LICENCE = "the Brown corpus: redistribution permitted (its README); WordNet licence"
CITATION = (
    "Francis and Kucera, A Standard Corpus of Present-Day Edited American English, Brown University, 1964; Miller, "
    "WordNet: A Lexical Database for English, Communications of the ACM 38(11), 1995"
)
REDISTRIBUTE = True
NAMES = {"prose": "brown_collaborative", "fiction": "brown_fiction"}
GENRES = {"prose": _brown.PROSE, "fiction": _brown.FICTION}
ORDERS = {"prose": (1, 2), "fiction": (3,)}
EDITS = {"prose": ("polish", "extend"), "fiction": ()}
"""Edits of human texts."""
SHARE = 0.2
"""Of words that a polish replaces."""
SEED = 0
END = "</s>"
SHORT = 3
"""Letters up to which a word is left as it is: articles and prepositions have odd synonyms (a: angstrom)."""


class Options(declare.Options):
    part: Literal["", "prose", "fiction"] = Field(
        "", description="genres of the texts, with their generators and edits"
    )
    words: int = Field(90, ge=1, description="words of a text")
    human: int = Field(8, ge=0, description="human texts of a document, at most")
    edited: int = Field(4, ge=0, description="texts of a document for each edit, at most; also of each machine class")
    learnt: int | None = Field(None, ge=1, description="documents that a generator learns from, at most; null: all")


def facts(options: Mapping[str, object]) -> dict[str, object]:
    """The source of the texts."""
    return {"PART": options["part"]}


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample]:
    """Yield a split: `text` str, `label` 0 (human) or 1 (machine), `meta` with `group` (the class) and `cluster`."""
    writer, part = Writer(sources, params), params["part"]
    documents = _brown.documents(sources[_brown.SOURCE], GENRES[part], split)
    for document, sentences in documents.items():
        for name, key, words in writer.of(document, sentences):
            cluster = document if name.startswith("human") else key
            fields = {"text": _brown.text(words), "label": int(name != "human")}
            fields["meta"] = {"group": name, "cluster": cluster}
            yield Sample(f"{NAMES[part]}/{split}/{key}", fields)


def group(sample: Sample) -> str:
    """The key that may be in one split only: the document of a text, or the text that a machine wrote."""
    cluster: str = sample.fields["meta"]["cluster"]
    return cluster


class Writer:
    """Writer and editor of texts, by class.

    Args:
        sources: folders of the corpus and of WordNet.
        params: see Options.
    """

    def __init__(self, sources: Mapping[str, Path], params: Mapping[str, Any]) -> None:
        self._folder, self._params = sources[_brown.SOURCE], params
        self._wordnet = _wordnet.load(sources[_wordnet.SOURCE])
        part, copies = params["part"], params["edited"]
        self._copies = {"human": params["human"], **{f"human_{one}": copies for one in EDITS[part]}}
        self._machine_texts = [f"mk{order}{edit}" for order in ORDERS[part] for edit in ("", "_polish")]

    def of(self, document: str, sentences: Sequence[_brown.Sentence]) -> Iterator[tuple[str, str, _brown.Sentence]]:
        """Yield class, key and words of the texts of a document, and of as many machine texts as it has edited ones."""
        passages = list(_brown.passages(sentences, self._params["words"]))
        places = iter(_stream(document, "order").choice(len(passages)).tolist())
        for name, count in self._copies.items():
            for number, place in enumerate(islice(places, count)):
                key = f"{document}_{name}_{number}"
                yield name, key, self._edit(name, passages[place], _stream(key, name))
        for name in self._machine_texts:
            for number in range(self._params["edited"]):
                key = f"{document}_{name}_{number}"
                yield name, key, self._write(name, _stream(key, name))

    def _edit(self, name: str, words: _brown.Sentence, rng: RandomStream) -> _brown.Sentence:
        if name == "human_polish":
            return polish(words, SHARE, self._wordnet, rng)
        if name == "human_extend":
            return self._chain(2).write(words[: len(words) // 2], len(words), rng)
        return words

    def _write(self, name: str, rng: RandomStream) -> _brown.Sentence:
        text = self._chain(int(name[2])).write((), self._params["words"], rng)
        polishes = name.endswith("polish")
        return polish(text, SHARE, self._wordnet, rng) if polishes else text

    def _chain(self, order: int) -> Chain:
        return chain(self._folder, GENRES[self._params["part"]], order, self._params["learnt"])


@cache
def chain(folder: Path, genres: str, order: int, most: int | None) -> Chain:
    """The generator of an order that learned from its documents of some genres; once in a process."""
    documents = _brown.documents(folder, genres, "generator", most)
    return Chain(order, (one for sentences in documents.values() for one in sentences))


def _stream(key: str, purpose: str) -> RandomStream:
    return RandomStream(SEED, purpose, "brown", key)


# ------------------------------------------------------------------ generators


class Chain:
    """A Markov chain over words.

    Args:
        order: how many words the next one depends on, 1 at least.
        sentences: what is counted.
    """

    def __init__(self, order: int, sentences: Iterable[_brown.Sentence]) -> None:
        followers: dict[_brown.Sentence, Counter[str]] = defaultdict(Counter)
        for sentence in sentences:
            words = (*(END,) * order, *sentence, END)
            for at in range(order, len(words)):
                for length in range(order + 1):
                    followers[words[at - length : at]][words[at]] += 1
        self.order = order
        self._next = {
            context: (tuple(counts), tuple(accumulate(counts.values()))) for context, counts in followers.items()
        }

    def write(self, start: Sequence[str], words: int, rng: RandomStream) -> _brown.Sentence:
        """`start`, continued to `words` words and marks; () begins a sentence.

        Takes one raw word for each word and each end of a sentence that is drawn.
        """
        text, context = list(start), [END] * self.order
        context += start
        while len(text) < words:
            word = self._draw(context, rng)
            context.append(word)
            if word != END:
                text.append(word)
            else:
                context += [END] * (self.order - 1)
        return tuple(text)

    def _draw(self, context: Sequence[str], rng: RandomStream) -> str:
        contexts = (tuple(context[len(context) - n :]) for n in range(self.order, -1, -1))
        choices, totals = next(self._next[one] for one in contexts if one in self._next)
        return choices[bisect_right(totals, int(rng.raw(1)[0]) % totals[-1])]


def polish(words: Sequence[str], share: float, wordnet: WordNet, rng: RandomStream) -> _brown.Sentence:
    """Words of which a share is replaced by a synonym out of WordNet, in the case of the word.

    The share is of all words of letters; those without a synonym cannot be among them, so few texts fall short. Takes
    one raw word for each word that has a synonym, then one 16-bit word for each.
    """
    output = list(words)
    alphabetic = [at for at, word in enumerate(words) if word.isalpha()]
    synonyms = {at: wordnet.synonyms(words[at]) for at in alphabetic if len(words[at]) > SHORT}
    able = [at for at in alphabetic if synonyms.get(at)]
    order, parts = rng.choice(len(able)), rng.uniform(len(able))
    for number in order[: round(share * len(alphabetic))]:
        at = able[number]
        synonym = synonyms[at][int(parts[number] * len(synonyms[at]))]
        output[at] = synonym.capitalize() if words[at][0].isupper() else synonym
    return tuple(output)
