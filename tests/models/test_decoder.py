"""The decoder: sampling with a cache against whole passes, its tokens, and what it tells of them."""

import math
from typing import Any

import numpy as np
import pytest
import torch

from makers.small_policies import OPTIONS, WORDS, net, prompts
from shiftbench.base.errors import DataError, ModelError, ParamsError
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.plugins.models import _decoding, decoder
from shiftbench.plugins.trainers import _rollouts

END = len(WORDS)


def drawn(count: int, most: int = 6, seed: int = 0) -> torch.Tensor:
    stream = RandomStream(seed, "toy", "toy", "draws")
    return torch.from_numpy(_decoding.uniforms([stream] * count, most))


def sampled(policy: Any, count: int = 64, temperature: float = 1.0) -> tuple[torch.Tensor, Any]:
    read = torch.tensor([[0, 1]]).repeat(count, 1)
    return read, _decoding.sample(policy, read, drawn(count), END, temperature)


@pytest.mark.parametrize("seed", range(3))
def test_sampling_with_a_cache_equals_the_whole_pass(seed: int) -> None:
    policy = net(seed)
    read, found = sampled(policy)
    whole = _rollouts.log_probabilities(policy, read, found, 1.0)
    assert found.inside.sum() > 100
    assert (whole - found.log_probabilities)[found.inside].abs().max() < 1e-4
    logs = policy.response_logits(read, found.tokens).log_softmax(-1)
    assert (_decoding.entropy(logs) - found.entropies)[found.inside].abs().max() < 1e-4
    # The same logits stand in the pass over the whole sequence.
    together = policy(torch.cat([read, found.tokens], 1))[:, 1:-1]
    assert torch.allclose(together, policy.response_logits(read, found.tokens), atol=1e-5)


@pytest.mark.parametrize("temperature", [0.0, 0.5, 1.0, 2.0])
def test_entropies_are_those_of_the_distribution_that_was_sampled_from(temperature: float) -> None:
    policy = net(0)
    read, found = sampled(policy, temperature=temperature)
    logits = policy.response_logits(read, found.tokens).double() / (temperature or 1.0)
    wanted = _decoding.entropy(logits.log_softmax(-1))
    assert (wanted - found.entropies)[found.inside].abs().max() < 1e-4
    whole = _rollouts.log_probabilities(policy, read, found, 1.0)
    assert (whole - found.log_probabilities)[found.inside].abs().max() < 1e-4


def test_several_tokens_behind_a_cache_equal_the_whole_pass() -> None:
    policy, tokens = (net(), torch.randint(0, END, (3, 7), generator=torch.Generator().manual_seed(0)))
    whole, _ = policy.run(tokens, None)
    _, cache = policy.run(tokens[:, :4], None)
    rest, longer = policy.run(tokens[:, 4:], cache)
    assert torch.allclose(rest, whole[:, 4:], atol=1e-5)
    assert longer[0][0].shape[2] == 7


def test_no_token_sees_what_follows() -> None:
    policy, tokens = net(), torch.tensor([[0, 1, 2, 3]])
    other = torch.tensor([[0, 1, 2, 4]])
    assert torch.allclose(policy(tokens)[:, :3], policy(other)[:, :3], atol=1e-6)
    assert not torch.allclose(policy(tokens)[:, 3], policy(other)[:, 3])


def test_tokens_are_drawn_as_often_as_they_are_probable() -> None:
    policy = net()
    _, found = sampled(policy, 4000)
    shares = policy.begin(torch.tensor([[0, 1]]))[0].softmax(-1)[0]
    counts = torch.bincount(found.tokens[:, 0], minlength=END + 1) / 4000
    assert shares.max() < 0.9
    assert (counts - shares).abs().max() < 4 * 0.5 / math.sqrt(4000)
    greedy = sampled(policy, 2, temperature=0)[1].tokens[:, 0]
    assert greedy.tolist() == [int(shares.argmax())] * 2
    sharp = sampled(policy, 500, temperature=0.25)[1]
    assert (sharp.tokens[:, 0] == shares.argmax()).float().mean() > shares.max()


def test_nothing_follows_the_end() -> None:
    _, found = sampled(net(), 200)
    for tokens, inside in zip(found.tokens.tolist(), found.inside.tolist(), strict=True):
        length = sum(inside)
        assert inside == [True] * length + [False] * (len(inside) - length)
        assert END not in tokens[: length - 1]
        assert set(tokens[length:]) <= {END}


def test_the_entropy_of_equal_logits_is_the_logarithm_of_their_number() -> None:
    equal = torch.zeros(2, 30).log_softmax(-1)
    assert _decoding.entropy(equal) == pytest.approx(math.log(30))
    certain = torch.tensor([[0.0, -math.inf]])
    assert _decoding.entropy(certain).tolist() == [0.0]


def test_what_is_told_of_tokens() -> None:
    tokens = torch.tensor([[4, 5, 2, END], [2, 4, 4, 4], [5, 5, END, END]])
    inside = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 0]]).bool()
    numbers = torch.arange(12.0).view(3, 4)
    texts, found = _decoding.completions_of(_decoding.Responses(tokens, inside, -numbers, numbers), decoder, OPTIONS, 4)
    assert texts == ["hmm </think> left", "left hmm hmm hmm", "</think> </think>"]
    assert [one.closing for one in found] == [1, None, 0]
    assert [one.truncated for one in found] == [False, True, False]
    assert found[2].entropies.tolist() == [8, 9, 10]
    assert found[2].log_probabilities.tolist() == [-8, -9, -10]


def test_an_answer_does_not_depend_on_its_batch() -> None:
    options = {**OPTIONS, "samples": 3}
    predict = decoder.predictor(net(), decoder, options, "cpu", "float32")
    samples = prompts(6)
    together = predict(samples)["completions"]
    assert all(len(one) == 3 for one in together)
    assert len({one[at] for one in together for at in range(3)}) > 5
    for sample, found in zip(samples, together, strict=True):
        assert predict([sample])["completions"][0] == found
    assert predict(samples[::-1])["completions"][::-1].tolist() == together.tolist()


def test_texts_and_tokens() -> None:
    assert decoder.encoded("pick  now", OPTIONS) == [0, 1]
    assert decoder.decoded([2, 5], OPTIONS) == "left </think>"
    letters = {**OPTIONS, "vocabulary": [], "closing": ""}
    assert decoder.decoded(decoder.encoded("λ!", letters), letters) == "λ!"
    assert (decoder.size(letters), decoder.end(letters), decoder.closing(letters)) == (257, 256, None)
    with pytest.raises(DataError, match="the decoder's vocabulary has no 'up', which is in 'pick up'"):
        decoder.encoded("pick up", OPTIONS)
    with pytest.raises(ModelError, match=r"toy/train/1 has 2 tokens, toy/train/0 1; prompts of one batch"):
        decoder.prepare_batch(prompts(2), OPTIONS)
    assert decoder.prepare_batch([Sample("a", {"text": "now"})], OPTIONS).dtype == np.int64


def test_what_is_too_long_is_refused() -> None:
    with pytest.raises(ModelError, match="a sequence of 17 tokens; the decoder has 16 positions"):
        net()(torch.zeros(1, 17, dtype=torch.int64))
    with pytest.raises(ParamsError, match="temperature is -1; expected 0 or more"):
        sampled(net(), 2, temperature=-1)
