"""A small image-and-text decoder: sixteen patches, then the words of the prompt, then what it answers.

A picture of 32 x 32 pixels is cut into patches of 8 x 8; each becomes a token by two linear layers. Prompts are read
word by word from a fixed vocabulary, in lower case; what tells no two questions apart is passed over (punctuation, the
letters of options). Blocks, positions and the output layer are those of `models/decoder.py`. A second output,
`readout`, reads from a word that names a thing, before the last block, where it is and how far away: an auxiliary loss
of training, never used to answer.

A prompt is answered by one word: first the most likely one, then drawn ones, by words of (the option `seed`, the key),
all from one forward pass. A prompt that ends in `graph:` or `think:` is answered by the most likely words.

The model's input is int16 (n, 3072 + p): the pixels, channels first, then the tokens of p words.

Source: ours, instead of a pretrained vision-language model; patches as in ViT (Dosovitskiy et al. 2021,
arXiv:2010.11929, section 3.1), before the text as in PaliGemma (Beyer et al. 2024, arXiv:2407.07726). Differs: the
prompt is read causally, where PaliGemma's sees itself whole.
"""

import functools
import re
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import nn

from shiftbench.base.errors import DataError, ModelError
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets
from shiftbench.plugins import declare, fields
from shiftbench.plugins.models import _decoding, _images, decoder
from shiftbench.systems.spatial_vlm_cot_grpo.datasets import _questions, _scenes

TASK = "free_text"
PATCH, SIDE, CHANNELS = 8, _scenes.SIDE, 3
PIXELS, PATCHES = CHANNELS * SIDE * SIDE, (SIDE // PATCH) ** 2
SPREAD = 4.0
"""Scale of initial weights relative to `models/decoder.py`; with its own scale, training stays at chance for long."""
GRAPH, THINK, GIVEN = "graph", "think", "given"
"""Word after a question: write its graph; write it, then the answer; answer, given this graph."""
READ = ("x", "y", "depth")
"""Readouts at a thing's name, each from -1 to 1."""
SO = "so"
"""The word between a graph and the answer after it."""
PASSED_OVER = frozenset("which object is the to from where located with respect how are there".split())
_WORD, _LETTER = re.compile(r"[a-z0-9]+|[{}]"), re.compile(r"\([a-z]\)")


class Options(declare.Options):
    width: int = Field(48, ge=1, description="numbers of a token vector, a multiple of `heads`")
    depth: int = Field(2, ge=1, description="number of blocks")
    heads: int = Field(4, ge=1, description="heads of a block")
    length: int = Field(64, ge=1, description="longest prompt and answer, in tokens")
    samples: int = Field(4, ge=0, description="drawn answers after the most likely one")
    temperature: float = Field(1.0, gt=0, description="temperature of the drawn answers")
    max_new_tokens: int = Field(24, ge=1, description="words of a graph and its answer at most")
    seed: fields.Seed = 0


@functools.cache
def vocabulary() -> tuple[str, ...]:
    """The words that it reads and writes; the end of a response is one token more."""
    texts = [*_questions.PHRASES.values(), "camera many animals garments left right"]
    texts += [GRAPH, THINK, GIVEN, SO, "{ }"]
    texts += [*_scenes.COLOURS, *_questions.NUMBERS, *_questions.LETTERS]
    texts += [f"{axis}{level}" for axis in "xyd" for level in range(_questions.LEVELS)]
    return tuple(dict.fromkeys(word for text in texts for word in _words_of(text)))


def _words_of(text: str) -> list[str]:
    """The words of a text that are read; letters in brackets go with the order of the options."""
    plain = _LETTER.sub(" ", text.lower())
    return [word for word in _WORD.findall(plain) if word not in PASSED_OVER]


@functools.cache
def _places() -> dict[str, int]:
    return {word: index for index, word in enumerate(vocabulary())}


def encoded(text: str, params: Mapping[str, Any]) -> list[int]:
    """The tokens of a text.

    Raises:
        DataError: a word that is not in the vocabulary.
    """
    words, known = _words_of(text), _places()
    unknown = next((word for word in words if word not in known), None)
    if unknown is not None:
        raise DataError(f"patch_decoder knows no {unknown!r}, which is in {text[:60]!r}")
    return [known[word] for word in words]


def decoded(ids: Sequence[int], params: Mapping[str, Any]) -> str:
    """The text of tokens, none of which is the end; the letter of an option is a capital."""
    words = (vocabulary()[one] for one in ids)
    return " ".join(word.upper() if word.upper() in _questions.LETTERS else word for word in words)


def end(params: Mapping[str, Any]) -> int:
    """The token that ends a response."""
    return len(vocabulary())


def closing(params: Mapping[str, Any]) -> None:
    """The token that closes the thinking: there is none."""


# ------------------------------------------------------------------ the net


class PatchDecoder(decoder.Decoder):
    """Pictures and tokens int16 (n, 3072 + p) to logits; a policy (`models/_decoding.py`)."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        super().__init__({**params, "vocabulary": list(vocabulary())})
        width = params["width"]
        self.patches = nn.Sequential(
            nn.Linear(CHANNELS * PATCH * PATCH, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )
        self.readout = nn.Linear(width, len(READ))
        with torch.no_grad():  # comparisons are found in fewer steps: see SPREAD
            for parameter in self.parameters():
                parameter.mul_(SPREAD if parameter.dim() > 1 else 1.0)

    def embedded_prompts(self, prompts: torch.Tensor) -> torch.Tensor:
        """The embedded patches and words of prompts (n, 3072 + p), (n, 16 + p, width)."""
        n, per_side = len(prompts), SIDE // PATCH
        pixels = prompts[:, :PIXELS].float() / 127.5 - 1.0
        patches = pixels.view(n, CHANNELS, per_side, PATCH, per_side, PATCH).permute(0, 2, 4, 1, 3, 5)
        pictures = self.patches(patches.reshape(n, PATCHES, -1))
        return torch.cat([pictures, self.embed(prompts[:, PIXELS:].long())], 1)

    def through(self, x: torch.Tensor, past: decoder.Cache | None) -> tuple[torch.Tensor, torch.Tensor, decoder.Cache]:
        """Embedded tokens (n, t, width) after all blocks, normed, before the last one, and the cache.

        Raises:
            ModelError: the sequence is longer than the positions that the model has.
        """
        start = past[0][0].shape[2] if past else 0
        stop = start + x.shape[1]
        if stop > len(self.positions):
            raise ModelError(
                f"a sequence of {stop} tokens; patch_decoder has {len(self.positions)} positions (`length`)"
            )
        x, cache = x + self.positions[start:stop], decoder.Cache()
        inputs_of_last = x
        for number, block in enumerate(self.blocks):
            inputs_of_last = x
            x, block_cache = block(x, past[number] if past else None)
            cache.append(block_cache)
        return self.norm(x), inputs_of_last, cache

    def begin(self, prompts: torch.Tensor) -> tuple[torch.Tensor, decoder.Cache]:
        """The logits (n, vocabulary) of the first token behind prompts, and the cache."""
        x, _, cache = self.through(self.embedded_prompts(prompts), None)
        return self.head(x[:, -1]), cache

    def follow(self, tokens: torch.Tensor, cache: decoder.Cache) -> tuple[torch.Tensor, decoder.Cache]:
        """The logits of the token behind tokens (n,), and the cache, one longer."""
        x, _, longer = self.through(self.embed(tokens[:, None]), cache)
        return self.head(x[:, -1]), longer

    def response_logits(self, prompts: torch.Tensor, responses: torch.Tensor) -> torch.Tensor:
        """The logits of each token of the responses (n, t), (n, t, vocabulary)."""
        return self.states(prompts, responses)[0]

    def states(self, prompts: torch.Tensor, responses: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The logits of each token of responses (n, t), and what is read out at each word of the prompts.

        Args:
            prompts: int16 (n, 3072 + p).
            responses: int64 (n, t).

        Returns:
            (n, t, vocabulary), and (n, p, 3), in the order of READ.
        """
        length = PATCHES + prompts.shape[1] - PIXELS
        embedded = torch.cat([self.embedded_prompts(prompts), self.embed(responses[:, :-1])], 1)
        x, inputs_of_last, _ = self.through(embedded, None)
        return self.head(x[:, length - 1 :]), self.readout(inputs_of_last[:, PATCHES:length])


def build(params: Mapping[str, Any], classes: int) -> nn.Module:
    """The model with fresh weights from torch's generator."""
    return PatchDecoder(params)


def prepare_batch(samples: Sequence[Sample], params: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    """Pictures and prompts, int16 (n, 3072 + p).

    Raises:
        ModelError: prompts of several lengths.
    """
    tokens = [encoded(sample.fields["text"], params) for sample in samples]
    for sample, words in zip(samples, tokens, strict=True):
        if len(words) != len(tokens[0]):
            raise ModelError(
                f"{sample.key} has {len(words)} words, {samples[0].key} {len(tokens[0])}; prompts of one batch have as "
                "many"
            )
    pixels = _images.colour_batch(samples, lambda image: _images.resize(image, SIDE, SIDE))
    return np.concatenate([pixels.reshape(len(samples), -1).astype(np.int16), np.array(tokens, np.int16)], 1)


def of_one_length(samples: Sequence[Sample], params: Mapping[str, Any]) -> list[list[int]]:
    """The places of samples whose prompts have as many words, list by list, short ones first."""
    lengths = [len(encoded(sample.fields["text"], params)) for sample in samples]
    return [
        [index for index, own_length in enumerate(lengths) if own_length == length] for length in sorted(set(lengths))
    ]


# ------------------------------------------------------------------ answers


def predictor(
    network: nn.Module, model: ModuleType, params: Mapping[str, Any], device: str, precision: str
) -> nets.Predictor:
    """Predictor of `completions`, the greedy one first. Computes in float32."""
    torch_device = nets.pick_device(device)
    decoder_model: Any = network.to(torch_device).eval()

    def predict(samples: Sequence[Sample]) -> nets.Outputs:
        completions = np.empty(len(samples), object)
        for long in (False, True):
            chosen = [index for index, sample in enumerate(samples) if _is_long(sample) == long]
            for places in of_one_length([samples[index] for index in chosen], params):
                batch = [samples[chosen[index]] for index in places]
                prompts = torch.from_numpy(model.prepare_batch(batch, params)).to(torch_device)
                texts = (
                    _written(decoder_model, prompts, params) if long else _words(decoder_model, prompts, batch, params)
                )
                for index, text in zip(places, texts, strict=True):
                    completions[chosen[index]] = text
        return {"completions": completions}

    return predict


def _is_long(sample: Sample) -> bool:
    text: str = sample.fields["text"]
    return text.endswith((f"{GRAPH}:", f"{THINK}:"))


@torch.no_grad()
def _words(
    model: Any, prompts: torch.Tensor, samples: Sequence[Sample], params: Mapping[str, Any]
) -> list[tuple[str, ...]]:
    """The most likely word of each prompt, then those that are drawn; "" where the response ends at once."""
    logits, _ = model.begin(prompts)
    greedy = logits.argmax(-1)[:, None]
    streams = [RandomStream(params["seed"], "patch_decoder", "answers", token.key) for token in samples]
    uniforms = torch.from_numpy(_decoding.uniforms(streams, params["samples"])).to(prompts.device)
    drawn = draw(logits, uniforms, params["temperature"])
    last = end(params)
    return [
        tuple("" if token == last else decoded([token], params) for token in row)
        for row in torch.cat([greedy, drawn], 1).tolist()
    ]


def draw(logits: torch.Tensor, uniforms: torch.Tensor, temperature: float) -> torch.Tensor:
    """Tokens int64 (n, k), drawn from logits (n, v) by uniform numbers (n, k) in [0, 1)."""
    shares = (logits.double() / temperature).softmax(-1).cumsum(-1)
    places = torch.searchsorted(shares, uniforms * shares[:, -1:], right=True)
    return places.clamp(max=logits.shape[-1] - 1)


def _written(model: Any, prompts: torch.Tensor, params: Mapping[str, Any]) -> list[tuple[str]]:
    no_uniforms = torch.zeros(len(prompts), params["max_new_tokens"], dtype=torch.float64)
    responses = _decoding.sample(model, prompts, no_uniforms.to(prompts.device), end(params), 0.0)
    last = end(params)
    return [
        (decoded([int(token) for token in row if token != last], params),) for row in responses.tokens.cpu().numpy()
    ]
