"""Some classes of a dataset, and those held out: near-OOD data from one source; helper of the datasets that are cut so.

Split 0 holds out the last classes; each split above 0 holds out `held_out` classes drawn from its number. `part: in` is
what is left, `part: out` what is held out; labels count from 0 in the order of the whole.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Literal

from pydantic import Field

from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.plugins import declare

PARTS = ("in", "out")


class Options(declare.Options):
    part: Literal["in", "out"] = Field("in", description="the classes that are left, or those that are held out")
    split: int = Field(0, ge=0, description="choice of the held-out classes; 0: the last ones, above: random ones")
    held_out: int = Field(2, ge=1, description="number of held-out classes")


def kept(whole: str, total: int, params: dict[str, Any]) -> list[int]:
    """The labels of the classes of a part, ascending.

    Args:
        whole: name of the dataset that is cut.
        total: number of its classes.
        params: values of `Options`.

    Raises:
        ParamsError: no such part or split, or fewer than two classes would be left.
    """
    part, split, count = params["part"], params["split"], params["held_out"]
    if part not in PARTS:
        raise ParamsError(f"{whole}_classes: part is {part!r}; {suggest(part, PARTS)}")
    if split < 0 or not 1 <= count <= total - 2:
        raise ParamsError(
            f"{whole}_classes: split is {split} and held_out {count}; expected a split of at least 0 and 1 to "
            f"{total - 2} held-out classes"
        )
    drawn = RandomStream(split, "held_out", whole, "classes").choice(total).tolist()
    out = set((range(total)[::-1] if split == 0 else drawn)[:count])
    return [label for label in range(total) if (label in out) == (part == "out")]


def relabelled(samples: Iterable[Sample], labels: list[int]) -> Iterator[Sample]:
    """Yield the samples of some classes, with labels that count from 0."""
    places = {label: number for number, label in enumerate(labels)}
    for sample in samples:
        if sample.fields["label"] in places:
            yield sample.with_field("label", places[sample.fields["label"]])
