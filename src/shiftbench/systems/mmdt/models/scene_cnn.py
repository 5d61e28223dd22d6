"""A small network that answers questions about scenes in text: four convolutional blocks, four heads.

A question is read by its words and picks the head: sixteen objects and six colours from the pooled grid; a number 0
to 4 for each of two objects, from the sum of a density over the grid; the place of each of two objects, the mean over
an attention of its own, whose differences are the scores of the four sides. All heads give two slots of sixteen
logits; what a head does not have is -10,000. Each answer is put into words and judged by rules (`verdict`); the
predictor gives `completions` and `judge`.

The network's input has the fields `image`, uint8 (3, 64, 64), and `asked`, uint8 (3,): the task and two objects.

Source: ours, in the place of a vision-language model; the design is that of the specification of MMDT at small scale.

The judge is deterministic: it does by rules what a language model does for MMDT, and writes what that model says.
A response is brought to plain words: lower case, no articles and punctuation, numbers in digits, single objects,
colours and sides under one name each. Of a count the judge writes `object: number` pairs; of all else it says Yes
where the answer's word is there and no other word of its list, else No. Its prompt would be the official one; it
reads the same four things.

It replaces Llama-3-8B-Instruct (AI-secure/MMDT at 68be1c8, mmdt/perspectives/ood/eval_image_to_text.py).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import nn

from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets
from shiftbench.plugins import declare, fields
from shiftbench.plugins.models import _images
from shiftbench.systems.mmdt.datasets import _words
from shiftbench.systems.mmdt.metrics import _answers, _ood

TASK = "free_text"
KINDS, COLOURS = tuple(_words.KINDS), tuple(_words.COLOURS)
TASKS = _ood.I2T_TASKS
SLOTS, LENGTH, NONE = 2, 16, -1
"""Slots of an answer, logits of each, and the label of a slot that is not asked."""
_NEVER = -1e4
_SAME = {
    **{word: str(number) for number, word in enumerate(_words.NUMBERS)},
    "no": "0",
    "violet": "purple",
    "turquoise": "cyan",
    "over": "above",
    "under": "below",
    "beneath": "below",
    "kitten": "cat",
    "kittens": "cat",
    "puppy": "dog",
    "puppies": "dog",
    "toad": "frog",
    "toadstool": "mushroom",
}
_ARTICLES = {"a", "an", "the"}
_LISTS = {"identification": tuple(_words.KINDS), "attribute": tuple(_words.COLOURS), "spatial": _words.SIDES}


class Options(declare.Options):
    size: fields.Size = 64
    width: int = Field(
        24, ge=1, description="channels of the first block; the others have two, three and four times as many"
    )


class SceneNet(nn.Module):
    """`image` (n, 3, 64, 64) in 0..255 and `asked` (n, 3) to logits (n, 2, 16)."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        super().__init__()
        width = params["width"]
        layers: list[nn.Module] = []
        channels, strides = (3, width, 2 * width, 3 * width, 4 * width), (2, 2, 2, 1)
        for inputs, outputs, stride in zip(channels, channels[1:], strides, strict=False):
            layers += [nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)]
            layers += [nn.BatchNorm2d(outputs), nn.ReLU()]
        self.blocks = nn.Sequential(*layers)
        self.kind = nn.Linear(8 * width, len(KINDS))
        self.colour = nn.Linear(8 * width, len(COLOURS))
        self.density = nn.Conv2d(4 * width, len(KINDS), 1)
        self.place = nn.Conv2d(4 * width, len(KINDS), 1)
        self.sharpness = nn.Parameter(torch.tensor([4.0, 8.0]))  # of numbers, of sides

    def forward(self, x: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Logits (n, 2, 16)."""
        grid = self.blocks(x["image"].float() / 127.5 - 1.0)
        pooled = torch.cat([grid.amax(dim=(2, 3)), grid.mean(dim=(2, 3))], 1)
        task, each = x["asked"][:, 0].long(), torch.arange(len(grid), device=grid.device)
        first, second = (x["asked"][:, at].long() for at in (1, 2))
        numbers = self._numbers(grid)
        heads = (
            (self.kind(pooled),),
            (self.colour(pooled),),
            (numbers[each, first], numbers[each, second]),
            (self._sides(grid, first, second),),
        )
        answers = torch.full((len(TASKS), len(grid), SLOTS, LENGTH), _NEVER, device=grid.device)
        for at, slots in enumerate(heads):
            for slot, logits in enumerate(slots):
                answers[at, :, slot, : logits.shape[1]] = logits
        return answers[task, each]

    def _numbers(self, grid: torch.Tensor) -> torch.Tensor:
        """The scores of 0 to 4 objects of each kind, (n, kinds, 5): how near each is to the sum over places."""
        number = F.softplus(self.density(grid)).sum(dim=(2, 3)) / 32  # of fresh weights, 1.4
        steps = torch.arange(_words.MOST + 1, device=grid.device)
        return -self.sharpness[0] * (number[..., None] - steps).square()

    def _sides(self, grid: torch.Tensor, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        """The scores of left, right, above and below, (n, 4)."""
        n, _, height, width = grid.shape
        shares = F.softmax(self.place(grid).flatten(2), 2).view(n, -1, height, width)
        axis = torch.linspace(-1, 1, height, device=grid.device)
        across, down = shares.sum(2) @ axis, shares.sum(3) @ axis
        each = torch.arange(n, device=grid.device)
        x, y = (one[each, second] - one[each, first] for one in (across, down))
        return self.sharpness[1] * torch.stack([x, -x, y, -y], 1)


def build(params: Mapping[str, Any], classes: int) -> nn.Module:
    """The network with fresh weights from torch's generator."""
    return SceneNet(params)


def prepare_batch(samples: Sequence[Sample], params: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    """(n,) of `image` uint8 (3, size, size) and `question` uint8 (3,)."""
    size = params["size"]
    batch = np.zeros(len(samples), [("image", np.uint8, (3, size, size)), ("asked", np.uint8, (3,))])
    batch["image"] = _images.colour_batch(samples, lambda image: _images.resize(image, size, size))
    for at, sample in enumerate(samples):
        question = _words.read(sample.fields["text"])
        names = [KINDS.index(name) if name in KINDS else 0 for name in question.names]
        batch["asked"][at, : 1 + len(names)] = [TASKS.index(question.task), *names]
    return batch


def labels(sample: Sample, field: str = "answer") -> tuple[int, int]:
    """The two slots of a sample's `answer` or `target`; NONE: that slot is not asked."""
    task, answer = sample.fields["meta"]["task"], sample.fields["meta"][field]
    if task == "count":
        first, second = _answers.true_counts(answer).values()
        return first, second
    return _options(task).index(answer), NONE


def _options(task: str) -> tuple[str, ...]:
    return {"identification": KINDS, "attribute": COLOURS, "spatial": _words.SIDES}[task]


def words(sample: Sample, slots: Sequence[int]) -> str:
    """The text of an answer, from the place of the largest logit of each slot."""
    question = _words.read(sample.fields["text"])
    answers = slots if question.task == "count" else [_options(question.task)[slots[0]]]
    return _words.answer_text(question, answers)


class Answerer:
    """Answers samples by a network, and has the answers judged.

    Attributes:
        network: placed, in evaluation mode.
        params: the model's options.
        device: where the network is.
    """

    def __init__(self, network: nn.Module, params: Mapping[str, Any], device: torch.device) -> None:
        self.network, self.params, self.device = network.to(device).eval(), params, device

    def __call__(self, samples: Sequence[Sample]) -> nets.Outputs:
        """`completions` and `judge`, one text each for every sample."""
        return self.answers(samples, self.inputs(samples))

    def inputs(self, samples: Sequence[Sample]) -> dict[str, torch.Tensor]:
        """The network's input on its device."""
        batch = prepare_batch(samples, self.params)
        return {
            name: torch.from_numpy(np.ascontiguousarray(batch[name])).to(self.device) for name in ("image", "asked")
        }

    @torch.no_grad()
    def answers(self, samples: Sequence[Sample], inputs: Mapping[str, torch.Tensor]) -> nets.Outputs:
        """The network's answers to its inputs."""
        best = self.network(inputs).argmax(2).tolist()
        completions, judge = (np.empty(len(samples), object) for _ in range(2))
        for at, (sample, slots) in enumerate(zip(samples, best, strict=True)):
            text, meta = words(sample, slots), sample.fields["meta"]
            completions[at] = (text,)
            judge[at] = (verdict(meta["task"], meta["answer"], text),)
        return {"completions": completions, "judge": judge}


def predictor(
    network: nn.Module, model: ModuleType, params: Mapping[str, Any], device: str, precision: str
) -> Answerer:
    """The predictor. It computes in float32."""
    return Answerer(network, params, nets.pick_device(device))


# ------------------------------------------------------------------ the judge


def plain(text: str) -> list[str]:
    """A text's words, each under one name.

    Example:
        >>> plain("There are Two Cats, and a puppy.")
        ['there', 'are', '2', 'cat', 'and', 'dog']
    """
    words = re.findall(r"\w+", text.lower())
    return [_SAME.get(_words.one(word), _words.one(word)) for word in words if word not in _ARTICLES]


def say(task: str, answer: str, response: str) -> str:
    """The judge's answer to a response: pairs for a count, Yes or No for all else."""
    words = plain(response)
    if task == "count":
        return _pairs(words, _answers.true_counts(answer))
    names = {one for one in _LISTS[task] if one in words}
    return "Yes" if names == set(plain(answer)) else "No"


def verdict(task: str, answer: str, response: str) -> str:
    """Yes or no by MMDT's rule on the judge's answer."""
    return "yes" if _answers.right(task, answer, say(task, answer, response)) else "no"


def _pairs(words: list[str], objects: Iterable[str]) -> str:
    """The number before each object, as the official parser reads it; an object without one is left out."""
    numbers = dict(zip(words[1:], words, strict=False))
    return ", ".join(f"{name}: {numbers[name]}" for name in objects if numbers.get(name, "").isdigit())
