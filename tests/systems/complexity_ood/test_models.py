"""The looped model, its depth at test time, and what learning to write traces does."""

from typing import Any

import numpy as np
import pytest
import torch

from shiftbench.base import registry
from shiftbench.base.errors import DataError, ModelError, ParamsError
from shiftbench.base.registry import defaults
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.models import _decoding, decoder
from shiftbench.systems.complexity_ood.datasets import _chain_mod
from shiftbench.systems.complexity_ood.methods import loops
from shiftbench.systems.complexity_ood.models import looped_decoder
from shiftbench.systems.complexity_ood.trainers import _supervised
from shiftbench.workflow.stages.train import train_weights

OPTIONS: dict[str, Any] = {
    **defaults(looped_decoder),
    "vocabulary": list(_chain_mod.VOCABULARY),
    "counted": [*_chain_mod.SUMS, *_chain_mod.PRODUCTS],
    "width": 16,
    "heads": 2,
    "length": 20,
    "max_new_tokens": 8,
    "temperature": 0.0,
}
TEXTS = ("7 . +4 . . =", "3 *3 +4 . *7 =", "1 . . . . =")


def net(**options: Any) -> looped_decoder.LoopedDecoder:
    torch.manual_seed(0)
    found: Any = looped_decoder.build({**OPTIONS, **options}, 0).eval()
    for parameter in found.parameters():
        parameter.data.mul_(4.0 if parameter.dim() > 1 else 1.0)
    return found


def asked(texts: tuple[str, ...] = TEXTS) -> list[Sample]:
    return [Sample(f"toy/test/{at}", {"text": text}) for at, text in enumerate(texts)]


def tokens(texts: tuple[str, ...] = TEXTS) -> torch.Tensor:
    return torch.from_numpy(looped_decoder.prepare_batch(asked(texts), OPTIONS))


def test_each_question_takes_as_many_loops_as_it_has_steps() -> None:
    policy, prompts = net(), tokens()
    assert policy.depths(prompts).tolist() == [1, 3, 1]
    policy.loops = 2
    assert policy.depths(prompts).tolist() == [2, 2, 2]
    assert sum(one.numel() for one in net().parameters()) < sum(
        one.numel() for one in decoder.build({**OPTIONS, "depth": 2}, 0).parameters()
    )


@torch.no_grad()
def test_a_loop_is_the_block_on_its_output_and_the_input() -> None:
    policy, prompts = net(), tokens(TEXTS[1:2])
    given = policy.embed(prompts) + policy.positions[: prompts.shape[1]]
    x = torch.zeros_like(given)
    for _ in range(3):
        x, _ = policy.blocks[0](x + given, None)
    assert torch.allclose(policy.run(prompts, None)[0], x, atol=1e-6)


@torch.no_grad()
def test_depths_of_others_in_the_batch_do_not_count() -> None:
    policy = net()
    together = policy(tokens())
    for at, text in enumerate(TEXTS):
        assert torch.allclose(together[at], policy(tokens((text,)))[0], atol=1e-5)


@torch.no_grad()
def test_cached_sampling_is_the_full_forward() -> None:
    policy, prompts = net(), tokens()
    uniforms = torch.rand(len(TEXTS), 6, dtype=torch.float64)
    found = _decoding.sample(policy, prompts, uniforms, looped_decoder.end(OPTIONS), 1.0)
    logits = policy.response_logits(prompts, found.tokens)
    # Responses may hold counted words themselves; how often a sequence loops was decided by its question.
    deep = policy.depths(prompts) == policy.depths(torch.cat([prompts, found.tokens[:, :-1]], 1))
    own = logits.log_softmax(-1).gather(-1, found.tokens[..., None])[..., 0]
    inside = found.inside & deep[:, None]
    assert torch.allclose(own[inside], found.log_probabilities[inside], atol=1e-4)


def test_another_depth_is_another_answer_and_leaves_the_first_as_it_was() -> None:
    samples = asked(("7 +4 *3 +2 =", "3 *3 +4 *7 =", "8 +9 *7 +1 ="))
    found = looped_decoder.predictor(net(), looped_decoder, OPTIONS, "cpu", "float32")
    first = nlls(found, samples)
    one, three = (loops.wrap(found, {"depth": depth}, {}) for depth in (1, 3))
    assert nlls(three, samples) == pytest.approx(first, abs=1e-6)
    assert np.abs(nlls(one, samples) - first).min() > 1e-3
    assert nlls(found, samples) == pytest.approx(first, abs=1e-6)


def nlls(predict: Any, samples: list[Sample]) -> np.ndarray:
    statistics = predict(samples)["statistics"]
    return np.array([float(one[0].log_probabilities[0]) for one in statistics])


def test_what_has_no_depth_is_refused() -> None:
    with pytest.raises(ModelError, match="loops stands around looped_decoder alone"):
        loops.wrap(object(), defaults(loops), {})
    found = looped_decoder.predictor(net(), looped_decoder, OPTIONS, "cpu", "float32")
    with pytest.raises(ParamsError, match="depth is 0; expected 1 at least"):
        loops.wrap(found, {"depth": 0}, {})
    with pytest.raises(ParamsError, match=r"counted names '\+x', which is not in vocabulary"):
        looped_decoder.build({**OPTIONS, "counted": ["+x"]}, 0)
    with pytest.raises(ModelError, match="the decoder has 20 positions"):
        net()(torch.zeros(1, 21, dtype=torch.int64))


# ------------------------------------------------------------------ training


def job(trainer: str, model: str = "decoder", **params: Any) -> TrainJob:
    module, dataset = registry.find("trainers", trainer), registry.find("datasets", "chain_mod")
    options = {**defaults(dataset), "name": "chain_mod", "count": 200}
    adam = {"use": "adamw", "options": dict(defaults(registry.find("optimizers", "adamw")))}
    given = {
        **defaults(registry.find("models", model)),
        **{k: OPTIONS[k] for k in ("vocabulary", "width", "heads", "length")},
    }
    if model == "looped_decoder":
        given["counted"] = OPTIONS["counted"]
    return TrainJob(
        "chain_mod", model, trainer, 0, {**defaults(module), "steps": 3, "batch_size": 8, **params}, given, (), {},
        lambda split: list(dataset.samples(split, {}, options)), adam,
    )  # fmt: skip


@pytest.mark.parametrize("trainer", ["direct", "scratchpad", "adaptive"])
def test_the_same_job_gives_the_same_bytes(trainer: str) -> None:
    first, log = train_weights(job(trainer))
    torch.rand(3)
    second, _ = train_weights(job(trainer))
    assert nets.state_bytes(first) == nets.state_bytes(second)
    assert {name for _, name, _ in log} == {"train_loss", "val_loss", "val_accuracy"}
    other, _ = train_weights(job(trainer, steps=4))
    assert nets.state_bytes(first) != nets.state_bytes(other)


def test_arms_differ_by_what_they_write_alone() -> None:
    sets = {}
    for trainer in ("direct", "scratchpad", "adaptive"):
        made = job(trainer)
        some = [_supervised._tokens(made, own, trainer) for own in _supervised._of_one_length(made, "train")]
        sets[trainer] = list(_supervised._batches(made, some))
    for one, other, last in zip(*sets.values(), strict=True):
        assert torch.equal(one[0], other[0])
        assert torch.equal(one[0], last[0])
        assert one[2].shape[1] == 2  # the answer and its end
        assert other[2].shape[1] == one[0].shape[1]  # slots, answer, end: as many as start, slots, "="
        assert not (other[2] == _supervised.IGNORED).any()
        end = decoder.end(made.model_params)
        lengths = (last[2] != _supervised.IGNORED).sum(1)
        steps = (one[0] != decoder.encoded(".", made.model_params)[0]).sum(1) - 2
        assert lengths.tolist() == (steps + 2).tolist()
        assert (last[1][last[2] == _supervised.IGNORED] == end).all()


def test_each_complexity_is_as_frequent() -> None:
    made = job("direct", batch_size=64)
    some = [_supervised._tokens(made, own, "direct") for own in _supervised._of_one_length(made, "train")]
    noop = decoder.encoded(".", made.model_params)[0]
    for prompts, *_ in _supervised._batches(made, some):
        steps = (prompts != noop).sum(1) - 2
        assert torch.bincount(steps).tolist() == [0, 32, 32]


def test_a_trace_is_learnt() -> None:
    _, log = train_weights(job("adaptive", "looped_decoder", steps=60, batch_size=32, lr=0.01))
    losses = [value for _, name, value in log if name in ("train_loss", "val_loss")]
    assert losses[-1] < 0.8 * np.log(len(OPTIONS["vocabulary"]))


def test_samples_without_traces_and_models_that_do_not_write_are_refused() -> None:
    bare = job("direct")
    lacking = [one.with_field("meta", {"group": "1"}) for one in bare.samples("train")]
    with pytest.raises(DataError, match=r"chain_mod/train/.*: meta.traces has no 'direct'"):
        train_weights(TrainJob(**{**vars(bare), "samples": lambda _: lacking}))
    with pytest.raises(ModelError, match="direct trains models that write token by token; 'convnet'"):
        train_weights(TrainJob(**{**vars(bare), "model": "convnet"}))
