"""Chains of digit arithmetic: a start, then n operations modulo 10, with traces that think aloud before they answer.

A prompt is `7 +4 *3 =`: a digit and n operations, each +k (k in 1 to 9) or *m (m in 3, 7, 9). A trace
(`meta.completions`, for training) has, for each operation, the value so far and a geometric number of fillers, then
`</think>`, one of two words of style and the answer: `1 hmm 3 </think> thus 3`. Another filler follows with probability
FILL, so that thinking has entropy that can be removed and the style has some that need not be.

No prompt is in two splits: a hash of it says to which it belongs (a tenth each val and test). No prompt is
twice in a split; there are 10 x 12^n of n operations. `meta.group` is n.

Source: ours; the analogue of the grade-school problems that PEAR (arXiv 2510.08026) trains on, with the number of
operations as the distance to them.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from shiftbench.base.errors import ParamsError
from shiftbench.base.rng import RandomStream, unit_hash
from shiftbench.base.sample import Sample
from shiftbench.plugins import declare, fields

TASK = "free_text"
NATIVE = ("train", "val", "test")
SOURCES: tuple[str, ...] = ()
LICENCE = "CC0-1.0"
CITATION = "Huang, Lu and Zhang, PEAR: Phase Entropy Aware Reward for Efficient Reasoning, arXiv:2510.08026"
REDISTRIBUTE = True
CLASSES: tuple[str, ...] = ()
OPERATIONS = (*(f"+{k}" for k in range(1, 10)), *(f"*{m}" for m in (3, 7, 9)))
FILLERS = ("hmm", "well")
STYLES = ("so", "thus")
CLOSING = "</think>"
FILL = 0.35
MOST_FILLERS = 5
"""In a row; the next has probability FILL ** 6 = 0.002, and traces stay short."""
Operations = list[Annotated[int, Field(ge=1)]]
TRIES = 30
"""Prompts that are drawn for each that is asked for; of one operation there are few, which all turn up."""


class Options(declare.Options):
    operations: Operations = Field([1, 2, 3], description="numbers of operations of val and test prompts")
    train_operations: Operations = Field([1, 2, 3, 4, 5], description="numbers of operations of train prompts")
    count: int = Field(500, ge=1, description="prompts of each number of operations at most, in each split")
    traces: int = Field(4, ge=1, description="traces of each prompt of train and val")
    seed: fields.Seed = 0


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample]:
    """Yield prompts with their answer and, for `train` and `val`, `traces` traces.

    Raises:
        ParamsError: a number of operations or of prompts below 1.
    """
    numbers = params["train_operations" if split == "train" else "operations"]
    least = min([*numbers, params["count"], params["traces"]])
    if least < 1:
        raise ParamsError(f"chain_arithmetic: operations, count or traces is {least}; expected 1 at least")
    for number in numbers:
        for prompt in _prompts(split, number, params):
            yield _sample(split, prompt, params)


def _prompts(split: str, number: int, params: dict[str, Any]) -> list[str]:
    """The prompts of a split with a number of operations, in the order in which they are first drawn."""
    rng = RandomStream(params["seed"], "chain_arithmetic", "prompts", f"{number}")
    prompts: dict[str, None] = {}
    for _ in range(TRIES * min(params["count"], 10 * len(OPERATIONS) ** number)):
        words = rng.raw(number + 1)
        steps = [OPERATIONS[int(word % len(OPERATIONS))] for word in words[1:]]
        prompt = " ".join([str(int(words[0] % 10)), *steps, "="])
        if split_of(prompt) == split:
            prompts[prompt] = None
        if len(prompts) == params["count"]:
            break
    return list(prompts)


def split_of(prompt: str) -> str:
    """The one split that a prompt may be in."""
    tenth = unit_hash("chain_arithmetic", prompt) * 10 >> 64
    return {0: "test", 1: "val"}.get(tenth, "train")


def _sample(split: str, prompt: str, params: dict[str, Any]) -> Sample:
    start, *steps = prompt.split()[:-1]
    name = prompt.replace(" ", "").removesuffix("=").replace("+", "p").replace("*", "m")
    key = f"chain_arithmetic/{split}/{len(steps)}_{name}"
    values = running(start, steps)
    rng = RandomStream(params["seed"], "chain_arithmetic", split, key)
    meta = {"answer": values[-1], "graders": ["number"], "answer_after": CLOSING, "group": str(len(steps))}
    if split != "test":
        meta["completions"] = [trace(values, rng) for _ in range(params["traces"])]
    return Sample(key, {"text": prompt, "meta": meta})


def running(start: str, steps: list[str]) -> list[str]:
    """The value after each operation.

    Example:
        >>> running("7", ["+4", "*3"])
        ['1', '3']
    """
    values, value = [], int(start)
    for step in steps:
        operand = int(step[1:])
        value = (value + operand if step[0] == "+" else value * operand) % 10
        values.append(str(value))
    return values


def trace(values: list[str], rng: RandomStream) -> str:
    """A trace that ends in the last of the values; takes 2 x MOST_FILLERS words for each, and one more."""
    words = []
    for value in values:
        words.append(value)
        filler_draws, choice_draws = rng.uniform(MOST_FILLERS), rng.uniform(MOST_FILLERS)
        for index in range(MOST_FILLERS):
            if filler_draws[index] >= FILL:
                break
            words.append(FILLERS[int(choice_draws[index] * len(FILLERS))])
    style = STYLES[int(rng.uniform() * len(STYLES))]
    return " ".join([*words, CLOSING, style, values[-1]])


def vocabulary() -> list[str]:
    """All words of prompts and traces."""
    return [*map(str, range(10)), *OPERATIONS, "=", *FILLERS, CLOSING, *STYLES]
