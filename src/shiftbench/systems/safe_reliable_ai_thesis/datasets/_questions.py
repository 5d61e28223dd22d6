"""Template questions about a small scene, and their answers.

Four kinds: how many items of a kind (0 to 4), whether there is one, whether one is left or right of another, what
colour the only one of its kind is. Each kind has templates that training sees, and others that it never does.

Source: templates after CLEVR (Johnson et al. 2017, arXiv:1612.06890), ours in words; the four families and twelve
answers are those of the specification of Ao's thesis (arXiv:2308.03176) at small scale.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from shiftbench.base.rng import RandomStream

KINDS = {"trouser": "trousers", "shirt": "shirts", "bag": "bags", "boot": "boots"}
"""Names of items, singular and plural."""
COLOURS = ("red", "green", "blue", "yellow", "white")
ANSWERS = ("0", "1", "2", "3", "4", "yes", "no", *COLOURS)
FAMILIES = ("count", "existence", "spatial", "colour")
SIDES = ("left", "right")
APART = 8
"""Pixels between the middles of two items from which one is left of the other."""

TEMPLATES: dict[str, dict[str, tuple[str, ...]]] = {
    "seen": {
        "count": ("how many {many} are there", "count the {many} in the picture"),
        "existence": ("is there a {one}", "do you see a {one} in the picture"),
        "spatial": ("is there a {one} {side} of a {other}", "is a {one} to the {side} of a {other}"),
        "colour": ("what colour is the {one}", "which colour does the {one} have"),
    },
    "unseen": {
        "count": ("what is the number of {many}", "tell me how many {many} you see"),
        "existence": ("can you find a {one} here", "does the picture show any {many}"),
        "spatial": ("do you see a {one} on the {side} side of a {other}", "does some {one} stand {side} of a {other}"),
        "colour": ("tell me the colour of the {one}", "the {one} is of which colour"),
    },
}


@dataclass(frozen=True, slots=True)
class Item:
    """An item of a scene: its kind, its colour, and the x of its middle in pixels."""

    kind: str
    colour: str
    x: float


@dataclass(frozen=True, slots=True)
class Question:
    """A question of a family, its words and its answer."""

    family: str
    text: str
    answer: str


def vocabulary() -> tuple[str, ...]:
    """The words of all questions that training may see, sorted."""
    words = {"left", "right", *KINDS, *KINDS.values()}
    for templates in TEMPLATES["seen"].values():
        words.update(word for text in templates for word in text.split() if word.isalpha())
    return tuple(sorted(words))


def ask(rng: RandomStream, items: list[Item], templates: str, number: int) -> Iterator[Question]:
    """Yield questions about a scene, of different families.

    Args:
        rng: random words of the scene.
        items: what is in it.
        templates: `seen` or `unseen`.
        number: how many, at most as many as there are families.
    """
    order = [FAMILIES[family_number] for family_number in rng.choice(len(FAMILIES))]
    asked = 0
    for family in order:
        words = _ASKED[family](rng, items)
        choice = int(rng.integers(0, 2))
        if words is None or asked == number:
            continue
        asked += 1
        slots, answer = words
        yield Question(family, TEMPLATES[templates][family][choice].format(**slots), answer)


Asked = tuple[dict[str, str], str] | None


def _slots(name: str) -> dict[str, str]:
    return {"one": name, "many": KINDS[name]}


def _count(rng: RandomStream, items: list[Item]) -> Asked:
    kind = _picked(rng, tuple(KINDS))
    return _slots(kind), str(sum(item.kind == kind for item in items))


def _existence(rng: RandomStream, items: list[Item]) -> Asked:
    """Ask about what is there half of the time, where something is missing."""
    present = tuple(kind for kind in KINDS if any(item.kind == kind for item in items))
    missing = tuple(kind for kind in KINDS if kind not in present)
    asks_present = float(rng.uniform()) < 0.5
    kind = _picked(rng, present if asks_present or not missing else missing)
    return _slots(kind), "yes" if kind in present else "no"


def _spatial(rng: RandomStream, items: list[Item]) -> Asked:
    """Ask about two items of different kinds that are apart, in the right order half of the time."""
    pairs = [(a, b) for a in items for b in items if a.kind != b.kind and a.x + APART < b.x]
    pair_number, side, swapped = int(rng.integers(0, max(1, len(pairs)))), rng.uniform(), rng.uniform()
    if not pairs:
        return None
    one, other = pairs[pair_number][:: -1 if float(swapped) < 0.5 else 1]
    asked_side = SIDES[int(float(side) < 0.5)]
    middles = [(a.x, b.x) for a in items for b in items if (a.kind, b.kind) == (one.kind, other.kind)]
    left = any(a + APART < b for a, b in middles)
    right = any(b + APART < a for a, b in middles)
    slots = {**_slots(one.kind), "other": other.kind, "side": asked_side}
    return slots, "yes" if (left if asked_side == "left" else right) else "no"


def _colour(rng: RandomStream, items: list[Item]) -> Asked:
    single = [item for item in items if sum(other.kind == item.kind for other in items) == 1]
    number = int(rng.integers(0, max(1, len(single))))
    return (_slots(single[number].kind), single[number].colour) if single else None


def _picked(rng: RandomStream, options: tuple[str, ...]) -> str:
    return options[int(rng.integers(0, len(options)))]


_ASKED: dict[str, Callable[[RandomStream, list[Item]], Asked]] = {
    "count": _count, "existence": _existence, "spatial": _spatial, "colour": _colour,
}  # fmt: skip
