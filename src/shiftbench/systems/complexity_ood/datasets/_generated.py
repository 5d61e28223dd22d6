"""Questions of known complexity, trained on below a threshold and tested above it; entries name the generator.

`train` and `val` have c of 1 to `threshold`, each as often, in each of `lengths` slots; `test` likewise, in as many
slots as the longest has, and each of its samples carries the program of `most` steps that the shift `complexity` cuts
at any c. `meta.traces` are what a model may learn to write: `direct`, the answer; `scratchpad`, the value after each
slot, then the answer; `adaptive`, the value after each step, then the answer. `meta.group` is c.

A hash of a question says to which split it belongs (half train, a tenth val, the rest test): of test programs all
prefixes up to the threshold do, so that no question is on two sides at any c. Test programs come in pairs that differ
in their beginning alone, where there are several: `meta.cluster`, the template.

Contrast sets are test sets alone. `length`: c of 1 to the shortest of `lengths`, in each of these, so that c and the
number of words do not go together; the group is c/words. `composition`: c of the threshold, of neighbouring steps that
stand together nowhere else (a hash holds out one pair in `held_out`), so that the combination is new and c is not.

Source: protocol steps 1 and 3 of arXiv 2510.06274, reconstructed; what `contrast` separates is asked for by reviewers.
"""

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Literal

from pydantic import Field

from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.rng import RandomStream, unit_hash
from shiftbench.base.sample import Sample
from shiftbench.plugins import declare, fields
from shiftbench.systems.complexity_ood.datasets import _chain_mod, _khop, _perm_whole, _perm_word
from shiftbench.systems.complexity_ood.datasets._items import Item, Program

TASK = "free_text"
SOURCES: tuple[str, ...] = ()
LICENCE = "CC0-1.0"
CITATION = (
    "Samiei Paqaleh et al., Bridging Reasoning to Learning: Unmasking Illusions using Complexity Out of Distribution "
    "Generalization, arXiv:2510.06274"
)
REDISTRIBUTE = True
CLASSES: tuple[str, ...] = ()
GENERATORS: dict[str, ModuleType] = {
    "chain_mod": _chain_mod,
    "khop": _khop,
    "perm_whole": _perm_whole,
    "perm_word": _perm_word,
}
CONTRASTS = ("", "composition", "length")
MISSES = 2000
"""Programs in a row that are none, or were there before, after which there are no more: of few steps there are few."""


class Options(declare.Options):
    generator: Literal["chain_mod", "khop", "perm_whole", "perm_word"] = Field(
        "chain_mod", description="kind of question"
    )
    contrast: Literal["", "composition", "length"] = Field(
        "", description="test set of new combinations, or of lengths apart from complexity; empty: the usual splits"
    )
    threshold: int = Field(2, ge=1, description="largest complexity in training")
    most: int = Field(6, ge=1, description="largest complexity in the test, at least twice the threshold")
    lengths: list[Annotated[int, Field(ge=1)]] = Field([4, 6], description="numbers of slots of a training question")
    count: int = Field(3000, ge=1, description="training questions; val has a tenth of them")
    test_count: int = Field(
        400, ge=1, description="programs in the test; in contrast sets, of each complexity and length"
    )
    held_out: int = Field(6, ge=1, description="one in so many pairs of neighbouring steps is not in training")
    seed: fields.Seed = 0


def facts(options: dict[str, Any]) -> dict[str, object]:
    """The native splits: a contrast set is a test set."""
    return {"NATIVE": ("test",) if options["contrast"] else ("train", "val", "test")}


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample]:
    """Yield the questions of a split.

    Raises:
        ParamsError: an option out of range.
    """
    _check(params)
    questions = _Split(split, params)
    if split != "test":
        yield from questions.training_questions()
    elif params["contrast"] == "length":
        yield from questions.lengths()
    else:
        yield from questions.test_questions()


def _check(params: dict[str, Any]) -> None:
    """Refuse options out of range."""
    for key, choices in (("generator", GENERATORS), ("contrast", CONTRASTS)):
        if params[key] not in choices:
            raise ParamsError(f"{params['name']}: {key} = {params[key]!r}; {suggest(params[key], choices)}")
    threshold, most, lengths = params["threshold"], params["most"], params["lengths"]
    if threshold < 1 or threshold > min(lengths) or not 2 * threshold <= most <= max(lengths):
        raise ParamsError(
            f"{params['name']}: threshold {threshold}, most {most}, lengths {lengths}; expected most to be twice "
            "the threshold at least, a slot for each of its steps in the longest, and for the threshold's in each"
        )


def generator(meta: dict[str, Any]) -> ModuleType:
    """The generator of a sample's program."""
    return GENERATORS[meta["generator"]]


def question_fields(program: Program, complexity: int, meta: dict[str, Any]) -> dict[str, Any]:
    """The fields of the question of a program at a complexity: text, and meta with its answer.

    Args:
        program: of that many steps at least.
        complexity: how many of them.
        meta: what else is known, `generator` among it.
    """
    source = generator(meta)
    item: Item = source.item(program, complexity)
    graders = list(source.GRADERS)
    own = {**meta, "answer": item.answer, "graders": graders, "group": str(complexity)}
    return {"text": item.text, "meta": own}


def traces(item: Item) -> dict[str, str]:
    """Traces that a model may learn to write, by name; answers of several words have the answer alone."""
    words: dict[str, tuple[str, ...]] = {"direct": ()}
    if " " not in item.answer:  # else graders could not find it behind a trace
        words |= {"scratchpad": item.slots, "adaptive": item.steps}
    return {name: " ".join([*values, item.answer]) for name, values in words.items()}


def split_of(text: str) -> str:
    """The one split that a question may be in."""
    tenth = unit_hash("complexity_ood", text) * 10 >> 64
    return "train" if tenth < 5 else "val" if tenth == 5 else "test"


def is_held_out(pair: tuple[str, ...], held_out: int) -> bool:
    """Whether two neighbouring steps occur together in the set `composition` alone."""
    return unit_hash("complexity_ood", *pair) * held_out >> 64 == 0


class _Split:
    """A split being made; questions that are there once are not made twice."""

    def __init__(self, split: str, params: dict[str, Any]) -> None:
        self.split, self.params = split, params
        self.generator: ModuleType = GENERATORS[params["generator"]]
        self.texts = set[str]()

    def training_questions(self) -> Iterator[Sample]:
        """Yield questions up to the threshold, with traces: `count` in all for train, a tenth of that for val."""
        threshold, lengths = self.params["threshold"], self.params["lengths"]
        whole = self.params["count"] // (1 if self.split == "train" else 10)
        each = max(1, whole // (threshold * len(lengths)))
        for slots in lengths:
            for complexity in range(1, threshold + 1):
                for number, program in enumerate(self._programs(complexity, slots, each, (complexity,))):
                    item = self.generator.item(program, complexity)
                    fields = question_fields(program, complexity, self._about(program))
                    fields["meta"]["traces"] = traces(item)
                    yield self._sample(f"{slots:02d}_{complexity}_{number:05d}", fields)

    def test_questions(self) -> Iterator[Sample]:
        """Yield `test_count` questions up to the threshold with their programs; combinations at the threshold."""
        threshold, slots = self.params["threshold"], max(self.params["lengths"])
        complexities = range(1, threshold + 1)
        contrast = self.params["contrast"] == "composition"
        steps = threshold if contrast else self.params["most"]
        many = self.params["test_count"]
        for number, program in enumerate(self._programs(steps, slots, many, complexities)):
            complexity = threshold if contrast else 1 + number // 2 % threshold
            fields = question_fields(program, complexity, self._about(program))
            fields["meta"]["program"] = program
            yield self._sample(f"{number:05d}", fields)

    def lengths(self) -> Iterator[Sample]:
        """Yield questions whose complexity and length are crossed, an equal number of each pair."""
        each, threshold = self.params["test_count"], self.params["threshold"]
        most, lengths = min(self.params["lengths"]), self.params["lengths"]
        for slots in lengths:
            for complexity in range(1, most + 1):
                complexities = range(1, min(complexity, threshold) + 1)
                for number, program in enumerate(self._programs(complexity, slots, each, complexities)):
                    fields = question_fields(program, complexity, self._about(program))
                    fields["meta"]["group"] = f"{complexity}/{len(fields['text'].split())}"
                    yield self._sample(f"{slots:02d}_{complexity}_{number:05d}", fields)

    def _sample(self, name: str, fields: dict[str, Any]) -> Sample:
        return Sample(f"{self.params['name']}/{self.split}/{name}", fields)

    def _about(self, program: Program) -> dict[str, Any]:
        about: dict[str, Any] = {"generator": self.params["generator"]}
        return about | ({"cluster": program["cluster"]} if "cluster" in program else {})

    def _programs(self, steps: int, slots: int, count: int, complexities: range | tuple[int, ...]) -> list[Program]:
        """Programs whose questions of the complexities `complexities` are of this split, no two of them alike.

        Of programs that begin otherwise than another, two are kept, one behind the other, as a cluster.
        """
        kind = self.params["contrast"] or "plain"
        words = (self.params["generator"], self.split, kind, f"{steps}/{slots}")
        rng = RandomStream(self.params["seed"], "complexity_ood", *words[:1], "/".join(words[1:]))
        programs: list[Program] = []
        number = misses = 0
        while len(programs) < count and misses < MISSES:
            number, misses = number + 1, misses + 1
            program = self.generator.draw(rng, steps, slots)
            matches = [one for one in self._with_starts(program, rng) if self._fits(one, steps, complexities)]
            if self.split == "test" and self.generator.STARTS and len(matches) < 2:
                continue
            for one in matches[:2]:
                misses = 0
                self.texts.add(self.generator.item(one, steps).text)
                programs.append(
                    one | ({"cluster": f"{kind}-{slots}-{steps}-{number}"} if self.generator.STARTS else {})
                )
        return programs[:count]

    def _with_starts(self, program: Program, rng: RandomStream) -> list[Program]:
        """A program with all its beginnings, in any order; of training questions with its own."""
        starts = self.generator.STARTS
        if not starts or self.split != "test":
            return [program]
        return [program | {"start": starts[int(at)]} for at in rng.choice(len(starts))]

    def _fits(self, program: Program, steps: int, complexities: range | tuple[int, ...]) -> bool:
        """Whether a program is of this split and set, and new."""
        held_out = [is_held_out(pair, self.params["held_out"]) for pair in self.generator.pairs(program, steps)]
        fits = all(held_out) and bool(held_out) if self.params["contrast"] == "composition" else not any(held_out)
        if not fits or self.generator.item(program, steps).text in self.texts:
            return False
        return all(split_of(self.generator.item(program, at).text) == self.split for at in complexities)
