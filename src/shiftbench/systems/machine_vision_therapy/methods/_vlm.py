"""A vision-language model as a verifier: three images and three lines in, the logits of True and False out.

Each answer is kept as soon as it is there, under what it depends on: the model and its revision, the wording, the
precision, and the content of the three images. A run that is killed goes on where it was; a second one asks nothing.

Source: Huang et al. 2024, arXiv:2312.02546, section 3.2, and `vlm_forward.py` of its repository. Differs: any chat
model of transformers that takes several images (`AutoModelForImageTextToText`), where the authors' MMICL and Otter
need forks of it; the two tokens come from its tokeniser, by their shortest beginnings that tell them apart, where the
code takes MMICL's two likeliest tokens for them, and numbers for Otter.
"""

import hashlib
import importlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.errors import ModelError
from shiftbench.base.sample import Sample
from shiftbench.evaluation.llm.answer_cache import Answers, Key
from shiftbench.systems.machine_vision_therapy.methods import _prompts, _verifiers
from shiftbench.systems.machine_vision_therapy.methods._prompts import Ask

Image = NDArray[np.uint8]
Floats = NDArray[np.float64]


class Backend(Protocol):
    """A model that answers."""

    name: str
    """Model, revision and precision: a part of the key of each answer."""

    def logs(self, images: Sequence[Image], text: str, options: Sequence[str]) -> list[float]:
        """The log-probability of each option after a text with one `{image}` for each image."""
        ...


class Vlm:
    """Asks a vision-language model, and keeps what it said.

    Args:
        name: of the backend, known before it is made.
        make: makes the backend, when an answer is missing.
        folder: of the answers.
        names: of the classes.
        support: images of the support set.
        words: see `_prompts.WORDS`.
        options: what stands for true and for false; the prompts say them, too.

    Attributes:
        asked: how many questions went to the model.
    """

    def __init__(  # noqa: PLR0913 - what an answer depends on
        self,
        name: str,
        make: Callable[[], Backend],
        folder: Path,
        names: Sequence[str],
        support: Sequence[Image],
        words: str = _prompts.WORDS["imagenet"],
        options: tuple[str, str] = (_prompts.TRUE, _prompts.FALSE),
    ) -> None:
        self.name, self.asked = name, 0
        self._make, self._answers = make, Answers(folder)
        self._names, self._support, self._words, self._options = names, support, words, options
        self._digests = [digest(image) for image in support]
        self._backend: Backend | None = None

    def __call__(self, samples: Sequence[Sample], asks: Sequence[Ask]) -> Floats:
        """P(True) of each question.

        Raises:
            ModelError: transformers is missing, the model is no such model, or a token is none of its tokeniser's.
        """
        own = [digest(sample.fields["image"]) for sample in samples]
        logs = [self._logs(samples[ask.query], own[ask.query], ask) for ask in asks]
        return _verifiers.p_true(np.array(logs).reshape(-1, 2))

    def text(self, ask: Ask) -> str:
        """The prompt of a question, with three `{image}`."""
        hat, candidate = self._names[ask.hat], self._names[ask.candidate]
        true, false = self._options
        prompt = "\n".join(_prompts.lines(hat, candidate, self._words))
        return prompt.replace(_prompts.FALSE, false).replace(_prompts.TRUE, true)

    def _logs(self, sample: Sample, own: str, ask: Ask) -> list[float]:
        text = self.text(ask)
        content = json.dumps([text, *(self._digests[number] for number in ask.shown), own])
        options = json.dumps(self._options)
        shape = _verifiers.template(self._words, options)
        key = Key(self.name, shape, {"options": options}, 0, content)
        record = self._answers.get(key)
        if record is None:
            images = [*(self._support[number] for number in ask.shown), sample.fields["image"]]
            record = json.dumps({"logs": self._model().logs(images, text, self._options)})
            self._answers.put(key, record)
            self.asked += 1
        logs: list[float] = json.loads(record)["logs"]
        return logs

    def _model(self) -> Backend:
        if self._backend is None:
            self._backend = self._make()
            if self._backend.name != self.name:
                raise ModelError(f"{self._backend.name} was asked in place of {self.name}")
        return self._backend


def digest(image: Image) -> str:
    """The key of an image's pixels, 32 hexadecimal digits."""
    head = f"{image.dtype}{image.shape}".encode()
    return hashlib.sha256(head + np.ascontiguousarray(image).tobytes()).hexdigest()[:32]


def colour(image: Image) -> Image:
    """An image (h, w, 3)."""
    return np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image


class Transformers:
    """A chat model of transformers that takes several images.

    Args:
        model: its name on the hub, or its folder.
        revision: commit on the hub; empty for a folder.
        precision: of its weights, `bfloat16` as the authors', `float32` or `float16`.
        device: `cpu`, `cuda`.

    Raises:
        ModelError: transformers is missing, or has no such model.
    """

    def __init__(self, model: str, revision: str, precision: str, device: str) -> None:
        self.name = identity(model, revision, precision)
        package = _package()
        options: dict[str, Any] = {"revision": revision} if revision else {}
        try:
            self._processor = package.AutoProcessor.from_pretrained(model, **options)
            self._network = package.AutoModelForImageTextToText.from_pretrained(model, **options)
        except (OSError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise ModelError(f"{model} is no vision-language model that transformers can load here: {reason}") from None
        import torch

        self._network.to(device, getattr(torch, precision)).eval()

    def logs(self, images: Sequence[Image], text: str, options: Sequence[str]) -> list[float]:
        """The log-probabilities of the first tokens that tell the options apart."""
        import torch

        turns = [{"role": "user", "content": content(text)}]
        prompt = self._processor.apply_chat_template(turns, add_generation_prompt=True)
        pictures = [colour(image) for image in images]
        inputs = self._processor(text=[prompt], images=[pictures], return_tensors="pt")
        with torch.inference_mode():
            out = self._network(**inputs.to(self._network.device, self._network.dtype))
        ids = first_tokens(self._processor.tokenizer, options)
        values: list[float] = out.logits[0, -1].float().log_softmax(-1)[ids].tolist()
        return values


def content(text: str) -> list[dict[str, str]]:
    """A prompt as the content of a chat turn: texts, and an image where each `{image}` stands.

    Example:
        >>> content("This image {image} shows")
        [{'type': 'text', 'text': 'This image '}, {'type': 'image'}, {'type': 'text', 'text': ' shows'}]
    """
    parts = text.split(_prompts.IMAGE)
    entries: list[dict[str, str]] = [{"type": "text", "text": parts[0]}]
    for part in parts[1:]:
        entries += [{"type": "image"}, {"type": "text", "text": part}]
    return entries


def first_tokens(tokenizer: Any, options: Sequence[str]) -> list[int]:
    """The first token of each option.

    Raises:
        ModelError: two have one first token, so that they cannot be distinguished by it.
    """
    ids = [tokenizer(one, add_special_tokens=False)["input_ids"] for one in options]
    first = [int(one[0]) for one in ids if len(one)]
    if len(set(first)) < len(options):
        raise ModelError(
            f"{' and '.join(map(repr, options))} do not begin with tokens of their own ({ids}); choose other `options`"
        )
    return first


def identity(model: str, revision: str, precision: str) -> str:
    """The model's name in keys, with everything else that decides its answers."""
    return f"{model}@{revision or 'local'}/{precision}"


def _package() -> Any:
    try:
        return importlib.import_module("transformers")
    except ModuleNotFoundError as error:
        if error.name != "transformers":
            raise
        raise ModelError(
            "this verifier needs transformers, which is not installed; run `pip install transformers`"
        ) from None
