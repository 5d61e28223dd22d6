"""Texts sampled token by token from a causal network that keeps keys and values, with statistics of their tokens.

A *policy* is a network with

    begin(prompts) -> (logits of the first token (n, v), cache)
    follow(tokens (n,), cache) -> (logits of the next token (n, v), cache)
    response_logits(prompts, responses (n, t)) -> logits of each token of the responses (n, t, v), in one pass

and its model's file has `prepare_batch` (prompts of one shape), `of_one_length(samples, params)`, `end(params)`,
`closing(params)` and `decoded(ids, params)`; one that is fine-tuned on texts has `encoded(text, params)`, too. Each
response draws from uniform numbers of its own, so that it depends on its batch by rounding alone.
"""

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from shiftbench.base.errors import ParamsError
from shiftbench.base.rng import RandomStream
from shiftbench.evaluation.llm.token_statistics import TokenStatistics


class Policy(Protocol):
    """What is sampled from; see above."""

    def begin(self, prompts: torch.Tensor) -> tuple[torch.Tensor, Any]:
        """Read prompts."""

    def follow(self, tokens: torch.Tensor, cache: Any) -> tuple[torch.Tensor, Any]:
        """Read one token more of each."""

    def response_logits(self, prompts: torch.Tensor, responses: torch.Tensor) -> torch.Tensor:
        """Read prompts and responses in one pass."""


class Responses(NamedTuple):
    """Sampled responses, n of t tokens at most.

    Attributes:
        tokens: int64 (n, t); behind its end a response is filled with the end's token.
        inside: bool (n, t), which tokens are the response's, its end included.
        log_probabilities: float32 (n, t), of each token at temperature 1.
        entropies: float32 (n, t), in nats, of the whole distribution that was sampled from; of greedy answers that at
            temperature 1.
    """

    tokens: torch.Tensor
    inside: torch.Tensor
    log_probabilities: torch.Tensor
    entropies: torch.Tensor


@torch.no_grad()
def sample(policy: Policy, prompts: torch.Tensor, uniforms: torch.Tensor, end: int, temperature: float) -> Responses:
    """One response to each prompt.

    Args:
        policy: in evaluation mode.
        prompts: (n, ...), of one shape.
        uniforms: float64 (n, t) in [0, 1): what each token is drawn with; t is the most tokens of a response.
        end: the token that ends a response.
        temperature: of the sampling; at 0 the most likely token is taken.

    Raises:
        ParamsError: a negative temperature.
    """
    if temperature < 0:
        raise ParamsError(f"temperature is {temperature:g}; expected 0 or more")
    open_ = torch.ones(len(prompts), dtype=torch.bool, device=prompts.device)
    logits, cache = policy.begin(prompts)
    steps = []
    for at in range(uniforms.shape[1]):
        logs = logits.double().log_softmax(-1)
        tokens = torch.where(open_, _drawn(logits, uniforms[:, at], temperature), end)
        own = logs.gather(-1, tokens[:, None])[:, 0]
        sampled = logs if temperature in (0, 1) else _log_shares(logits, temperature)
        steps.append((tokens, open_, own.float(), entropy(sampled).float()))
        open_ = open_ & (tokens != end)
        if not open_.any() or at + 1 == uniforms.shape[1]:
            break
        logits, cache = policy.follow(tokens, cache)
    return Responses(*(torch.stack(part, 1) for part in zip(*steps, strict=True)))


def _log_shares(logits: torch.Tensor, temperature: float) -> torch.Tensor:
    """The log-probabilities, float64, that tokens are sampled with."""
    return (logits.double() / temperature).log_softmax(-1)


def _drawn(logits: torch.Tensor, uniforms: torch.Tensor, temperature: float) -> torch.Tensor:
    """A token for each row of logits (n, v): where its uniform number falls in the cumulative distribution."""
    if temperature == 0:
        return logits.argmax(-1)
    shares = (logits.double() / temperature).softmax(-1).cumsum(-1)
    places = torch.searchsorted(shares, (uniforms * shares[:, -1])[:, None], right=True)[:, 0]
    return places.clamp(max=logits.shape[-1] - 1)


def entropy(logs: torch.Tensor) -> torch.Tensor:
    """The entropy in nats of log-probabilities (..., v), over the whole vocabulary."""
    nats: torch.Tensor = torch.special.entr(logs.exp()).sum(-1)
    return nats


def uniforms(streams: Sequence[RandomStream], count: int) -> NDArray[np.float64]:
    """Float64 (n, count) in [0, 1), a row of each stream: the upper 53 bits of its words."""
    rows = [stream.raw(count) >> np.uint64(11) for stream in streams]
    return np.stack(rows).astype(np.float64) / 2**53 if rows else np.zeros((0, count))


def completions_of(
    responses: Responses, model: ModuleType, params: Mapping[str, Any], limit: int
) -> tuple[list[str], list[TokenStatistics]]:
    """The text of each response, without its end, and what is known of its tokens.

    Args:
        responses: n of them.
        model: the policy's file.
        params: its options.
        limit: the most tokens that a response may have.
    """
    end, closing = model.end(params), model.closing(params)
    texts, statistics = [], []
    columns = (part.cpu().numpy() for part in responses)
    for tokens, inside, logs, entropies in zip(*columns, strict=True):
        ids = tokens[inside]
        texts.append(model.decoded([int(one) for one in ids if one != end], params))
        places = np.flatnonzero(ids == (-1 if closing is None else closing))
        statistics.append(
            TokenStatistics(
                entropies[inside],
                logs[inside],
                int(places[0]) if len(places) else None,
                len(ids) == limit and ids[-1] != end,
            )
        )
    return texts, statistics
