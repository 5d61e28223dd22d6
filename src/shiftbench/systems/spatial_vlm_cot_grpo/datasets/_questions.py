"""Questions about a scene by template, their answers, and the part of the graph that matters to each.

    count      How many animals are there?                                       0 to 5
    relation   Where is red located with respect to blue? (A) left (B) right     A, B
    depth      Which object is closer to the camera? (A) red (B) blue             A, B
    distance   Which object is closer to green? (A) red (B) blue                  A, B, in three dimensions

Options are on lines of their own, as in CV-Bench. Only clear questions are asked: middles 5 pixels apart for
`relation`, two steps for `depth`, squared distances at a ratio of two for `distance` (a step of depth counts as four
pixels). `oracle` answers a question of any phrasing from the graph alone, which is how answers are checked.

`depth` and `distance` have five phrasings. The severity of the phrasing is its number:

    0   Which object is closer to ...            as in CV-Bench and in fine-tuning
    1   Which object is nearer to ...            paraphrase
    2   Which object is farther from ...         antonym: the other of the two
    3   Which object is not closer to ...        negation: the other of the two
    4   as 2, and the two options change places

`OFFICIAL` is the paper's replacement of severity 0.

`relevant` is a graph in words: name, x, y and depth in eight steps of each thing of the question, then the relation
between the two options. A model may write it before it answers.

Source: tasks and wording of CV-Bench (Tong et al. 2024, arXiv:2406.16860), ours in fewer words; graphs contain objects,
attributes and relations that are relevant to the question, as in the paper's first prompt (section III-C). Severity 0
and its replacement are in Yvonne511/spatial-vlm-investigator, model/pali_cvbench_eval_check.ipynb (`change_prompt`);
severities 1, 3 and 4 are ours.
"""

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from shiftbench.base.errors import DataError
from shiftbench.base.rng import RandomStream
from shiftbench.systems.spatial_vlm_cot_grpo.datasets import _scenes
from shiftbench.systems.spatial_vlm_cot_grpo.datasets._scenes import Graph, Thing

FAMILIES = ("count", "relation", "depth", "distance")
NUMBERS = tuple(str(n) for n in range(_scenes.MOST + 1))
SIDES = ("left", "right")
LETTERS = ("A", "B")
APART, STEPS, RATIO, STEP = 10, 2, 2, 8
"""Least gaps of clear questions: half pixels between middles, steps of depth, ratio of squared distances; and the half
pixels that a step counts."""
LEVELS = 8
TRIGGER = "Which object is closer to"
OFFICIAL = "Which object is far away from"
PHRASES = {
    0: TRIGGER,
    1: "Which object is nearer to",
    2: "Which object is farther from",
    3: "Which object is not closer to",
    4: "Which object is farther from",
}
TURNING = (2, 3, 4)
"""Severities at which the other of the two options is correct."""


class Question(NamedTuple):
    """A question of a family.

    Attributes:
        family: one of FAMILIES.
        text: the question.
        answer: the letter of one of `choices`; a number where there are none.
        choices: the options.
        graph: what matters to it, in words.
    """

    family: str
    text: str
    answer: str
    choices: tuple[str, ...]
    graph: str


def ask(rng: RandomStream, graph: Graph, family: str, phrasing: int) -> Question | None:
    """A question about a scene; None: the scene has no clear one of that family.

    Args:
        rng: random words; one is taken.
        graph: of the scene.
        family: one of FAMILIES.
        phrasing: severity of `depth` and `distance`.
    """
    options = _CLEAR[family](graph["objects"])
    word = int(rng.raw(1)[0])
    if not options:
        return None
    things, text, choices = options[word % len(options)]
    if family in ("depth", "distance"):
        text = f"{PHRASES[phrasing]} {text}"
        choices = choices[::-1] if phrasing == 4 else choices
    text += "".join(f"\n({letter}) {one}" for letter, one in zip(LETTERS, choices, strict=False))
    return Question(family, text, oracle(text, graph), choices, relevant(family, things))


# ------------------------------------------------------------------ what can be asked

Asked = tuple[list[Thing], str, tuple[str, ...]]


def _count(things: list[Thing]) -> list[Asked]:
    return [
        ([thing for thing in things if thing["kind"] == kind], f"How many {kind}s are there?", ())
        for kind in _scenes.KINDS
    ]


def _pairs(things: list[Thing], clear: Callable[[Thing, Thing], bool]) -> list[list[Thing]]:
    return [[a, b] for a in things for b in things if a is not b and clear(a, b)]


def _relation(things: list[Thing]) -> list[Asked]:
    pairs = _pairs(things, lambda a, b: abs(a["x"] - b["x"]) >= APART)
    return [(pair, f"Where is {pair[0]['name']} located with respect to {pair[1]['name']}?", SIDES) for pair in pairs]


def _depth(things: list[Thing]) -> list[Asked]:
    pairs = _pairs(things, lambda a, b: abs(a["depth"] - b["depth"]) >= STEPS)
    return [(pair, "the camera?", _names(pair)) for pair in pairs]


def _distance(things: list[Thing]) -> list[Asked]:
    candidates = []
    for third in things:
        others = [one for one in things if one is not third]
        for pair in _pairs(others, partial(_distances_differ, third)):
            candidates.append(([third, *pair], f"{third['name']}?", _names(pair)))
    return candidates


def _distances_differ(third: Thing, one: Thing, other: Thing) -> bool:
    near, far = sorted((squared(one, third), squared(other, third)))
    return far >= RATIO * near


def _names(pair: Sequence[Thing]) -> tuple[str, ...]:
    return tuple(str(one["name"]) for one in pair)


_CLEAR: dict[str, Callable[[list[Thing]], list[Asked]]] = {
    "count": _count,
    "relation": _relation,
    "depth": _depth,
    "distance": _distance,
}


def squared(one: Thing, other: Thing) -> int:
    """The squared distance of two things in three dimensions, in half pixels."""
    steps = STEP * (one["depth"] - other["depth"])
    total: int = (one["x"] - other["x"]) ** 2 + (one["y"] - other["y"]) ** 2 + steps**2
    return total


# ------------------------------------------------------------------ answers from the graph

_NUMBER = re.compile(r"How many (\w+)s are there\?")
_PLACE = re.compile(r"Where is (\w+) located with respect to (\w+)\?\n\(A\) left\n\(B\) right")
_NEAR = re.compile(r"(Which object is [a-z ]+? (?:to|from)) (the camera|\w+)\?\n\(A\) (\w+)\n\(B\) (\w+)")


def oracle(text: str, graph: Graph) -> str:
    """The answer to a question in any phrasing, from the graph.

    Raises:
        DataError: it is none of the questions of this file, or about what is not there.
    """
    things = {thing["name"]: thing for thing in graph["objects"]}
    try:
        if match := _NUMBER.fullmatch(text):
            return str(sum(thing["kind"] == match[1] for thing in graph["objects"]))
        if match := _PLACE.fullmatch(text):
            return LETTERS[things[match[1]]["x"] > things[match[2]]["x"]]
        if match := _NEAR.fullmatch(text):
            severity = next(severity_number for severity_number, phrase in PHRASES.items() if phrase == match[1])
            first, second = (_far(things[match[severity_number]], match[2], things) for severity_number in (3, 4))
            return LETTERS[(first > second) != (severity in TURNING)]
    except (KeyError, StopIteration) as error:
        raise DataError(f"{text!r} names what the graph does not hold: {error}") from error
    raise DataError(f"{text!r} is none of the questions about scenes")


def _far(thing: Thing, reference: str, things: dict[str, Thing]) -> int:
    """Distance of a thing from the camera, in steps, or from another thing, squared."""
    return int(thing["depth"]) if reference == "the camera" else squared(thing, things[reference])


# ------------------------------------------------------------------ the graph in words


def relevant(family: str, things: Sequence[Thing]) -> str:
    """The graph of what is asked about, in words.

    Args:
        family: one of FAMILIES.
        things: what is counted; two that are compared; or what they are compared to, and these two.
    """
    words = ["{"]
    for thing in things:
        words += [
            thing["name"],
            f"x{thing['x'] * LEVELS // (2 * _scenes.SIDE)}",
            f"y{thing['y'] * LEVELS // (2 * _scenes.SIDE)}",
            f"d{thing['depth']}",
        ]
    if family == "count":
        return " ".join([*words, "}"])
    one, other = things[-2:]
    if family == "relation":
        relation = SIDES[one["x"] > other["x"]]
    elif family == "depth":
        relation = "closer" if one["depth"] < other["depth"] else "farther"
    else:
        relation = "closer" if squared(one, things[0]) < squared(other, things[0]) else "farther"
    return " ".join([*words, one["name"], relation, other["name"], "}"])
