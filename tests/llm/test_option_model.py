"""A model that scores options: a tiny net with random weights against a full forward pass of each text."""

import inspect
import json
from collections.abc import Sequence
from typing import Any

import pytest
import torch

from shiftbench.base.errors import ModelError
from shiftbench.evaluation.llm import option_model
from shiftbench.evaluation.llm.client import Request
from shiftbench.evaluation.llm.option_model import OptionModel

OPTIONS = ["ab", "ac", "d"]


class Letters:
    """A tokeniser whose tokens are letters."""

    def __call__(self, text: str, *, add_special_tokens: bool) -> dict[str, list[int]]:
        assert not add_special_tokens
        return {"input_ids": [ord(letter) % 128 for letter in text]}

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(map(chr, ids))


@pytest.fixture
def model() -> OptionModel:
    """Return a scorer around two layers of Llama, without its file."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=128, hidden_size=16, intermediate_size=32, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=256,
    )  # fmt: skip
    made = object.__new__(OptionModel)
    net = transformers.LlamaForCausalLM(config).eval().bfloat16()
    made._net, made._tokens, made._end, made._batch = net, Letters(), 0, 2
    taken = inspect.signature(net.forward).parameters
    made._past = "cache" if "cache" in taken else "past_key_values"
    made.model = "toy@12"
    return made


def request(text: str, options: Sequence[str] | None = OPTIONS, most: int = 0) -> Request:
    decoding: dict[str, Any] = {"temperature": 0.0, "max_new_tokens": most}
    if options:
        decoding["options"] = json.dumps(list(options))
    return Request((("system", "say"), ("user", text)), "t", decoding)


def expected(model: OptionModel, one: Request, ids: Sequence[int]) -> float:
    """Return a log-probability from one pass over the whole text."""
    prompt = model._prompt(one)
    with torch.inference_mode():
        logits = model._net(input_ids=torch.tensor([[*prompt, *ids]])).logits[0]
    logs = logits.log_softmax(-1)
    return sum(float(logs[len(prompt) - 1 + at, token]) for at, token in enumerate(ids))


def test_options_are_scored_as_in_one_pass_over_each_text(model: OptionModel) -> None:
    asked = [request("x"), request("longer text"), request("yy"), request("x", ["d", "e"])]
    found = [json.loads(text) for text in model.answer(asked)]
    assert [len(one["logs"]) for one in found] == [3, 3, 3, 2]
    for one, given in zip(asked, found, strict=True):
        ids = [model._tokens(o, add_special_tokens=False)["input_ids"] for o in json.loads(one.decoding["options"])]
        for told, own in zip(given["logs"], option_model.distinct_prefixes(ids), strict=True):
            assert told == pytest.approx(expected(model, one, own), abs=2e-4)
        assert given["text"] == ""


def test_what_it_goes_on_with_is_what_it_would_write_without_options(model: OptionModel) -> None:
    asked = [request(text, most=5) for text in ("x", "longer text", "yy")]
    scored = [json.loads(text)["text"] for text in model.answer(asked)]
    model._net.bfloat16().float()
    plain = [request(text, None, most=5) for text in ("x", "longer text", "yy")]
    for text, one in zip(scored, plain, strict=True):
        prompt, grown = model._prompt(one), list[int]()
        with torch.inference_mode():
            for _ in range(5):
                ids = torch.tensor([[*prompt, *grown]])
                grown.append(int(model._net(input_ids=ids).logits[0, -1].argmax()))
        assert text == model._tokens.decode(grown)


def test_other_requests_are_answered_in_the_precision_of_the_file(model: OptionModel) -> None:
    before = model._net.model.layers[0].mlp.up_proj.weight.clone()
    kinds = [torch.bfloat16, torch.float32, torch.bfloat16]
    asked = [request("x", None, most=1), request("x"), request("y", None, most=1)]
    for kind, _ in zip(kinds, model.answer(asked), strict=True):
        assert model._net.model.layers[0].mlp.up_proj.weight.dtype == kind
    assert torch.equal(model._net.model.layers[0].mlp.up_proj.weight, before)


def test_beginnings_that_tell_options_apart() -> None:
    assert option_model.distinct_prefixes([[5, 1, 7], [5, 2], [9, 9]]) == [[5, 1], [5, 2], [9]]
    for broken in ([[1], [1, 2]], [[], [1]], [[1], [1]]):
        with pytest.raises(ModelError, match="is empty, or the beginning of another"):
            option_model.distinct_prefixes(broken)
