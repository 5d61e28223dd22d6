"""GRPO: its arithmetic against literal versions of TRL's and veRL's, and what training with it does."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from makers import small_policies
from makers.small_policies import job, start
from shiftbench.base import refs
from shiftbench.base.errors import ModelError, ParamsError
from shiftbench.base.registry import defaults
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets
from shiftbench.plugins.models import _decoding, decoder
from shiftbench.plugins.trainers import _grpo, _policy_loss, _rollouts, grpo, sft
from shiftbench.plugins.trainers._rollouts import Rollout
from shiftbench.workflow.stages.train import train_weights

# ------------------------------------------------------------------ arithmetic


def released_advantages(rewards: np.ndarray, epsilon: float) -> np.ndarray:
    """The rule of TRL (epsilon 1e-4) and of veRL (1e-6): torch.std has n - 1."""
    found = np.empty_like(rewards)
    for at, group in enumerate(rewards):
        found[at] = (group - group.mean()) / (group.std(ddof=1) + epsilon)
    return found


def released_loss(
    new: np.ndarray, old: np.ndarray, base: np.ndarray, adv: np.ndarray, mask: np.ndarray, norm: str
) -> float:
    """veRL's compute_policy_loss_vanilla, kl_penalty_forward (k3) and agg_loss, token by token; clip 0.2, beta 0.1.

    Without its dual clip at 3 and its bounds of logarithms at 20, which the drawn numbers do not reach.
    """
    rows, lengths = [], []
    for i in range(len(new)):
        total = 0.0
        for t in range(new.shape[1]):
            if mask[i, t]:
                ratio = np.exp(new[i, t] - old[i, t])
                first, second = -adv[i] * ratio, -adv[i] * min(max(ratio, 0.8), 1.2)
                kl = base[i, t] - new[i, t]
                total += max(first, second) + 0.1 * (np.exp(kl) - kl - 1)
        rows.append(total)
        lengths.append(mask[i].sum())
    if norm == "sequence":  # seq-mean-token-mean
        return float(np.mean([row / length for row, length in zip(rows, lengths, strict=True)]))
    if norm == "token":  # token-mean
        return float(sum(rows) / sum(lengths))
    return float(np.mean(rows) / new.shape[1])  # Dr. GRPO, as TRL's dr_grpo


@pytest.mark.parametrize("norm", _policy_loss.NORMS)
def test_the_loss_is_that_of_the_libraries(norm: str) -> None:
    random = np.random.default_rng(1)
    new, old, base = (-random.gamma(1.0, 1.0, (12, 9)) for _ in range(3))
    rewards = random.normal(size=(3, 4))
    lengths = random.integers(1, 10, 12)
    mask = np.arange(9) < lengths[:, None]
    adv = released_advantages(rewards, 1e-4)
    found = _policy_loss.advantages(torch.from_numpy(rewards))
    assert found.numpy() == pytest.approx(adv)
    assert found.numpy() == pytest.approx(released_advantages(rewards, 1e-6), rel=1e-3)
    tensors = [torch.from_numpy(part) for part in (new, old, base)]
    gain = _policy_loss.objective(tensors[0], tensors[1], found.flatten(), 0.2)
    values = gain - 0.1 * _policy_loss.divergence(tensors[0], tensors[2])
    loss = -_policy_loss.reduced(values, torch.from_numpy(mask), norm, 9)
    assert float(loss) == pytest.approx(released_loss(new, old, base, adv.ravel(), mask, norm))


def test_advantages_by_hand() -> None:
    # Mean 0.25, sample deviation sqrt((3 x 0.0625 + 0.5625) / 3) = 0.5: 0.75 / 0.5001, -0.25 / 0.5001.
    rewards = torch.tensor([[1.0, 0, 0, 0], [0.7, 0.7, 0.7, 0.7]], dtype=torch.float64)
    found = _policy_loss.advantages(rewards)
    assert found[0].tolist() == pytest.approx([0.75 / 0.5001, *[-0.25 / 0.5001] * 3])
    assert found[1].tolist() == pytest.approx([0.0] * 4, abs=1e-9)  # all alike: nothing to tell
    assert _policy_loss.advantages(rewards, by_std=False)[0].tolist() == [0.75, -0.25, -0.25, -0.25]
    assert _policy_loss.telling(rewards).tolist() == [True, False]


def test_gradients_stop_where_the_ratio_is_clipped() -> None:
    old = torch.zeros(4, 1)
    new = torch.tensor([[0.5], [0.5], [-0.5], [-0.5]], requires_grad=True)
    advantage = torch.tensor([1.0, -1.0, 1.0, -1.0])
    _policy_loss.objective(new, old, advantage, 0.2).sum().backward()
    assert new.grad is not None
    assert (new.grad != 0).flatten().tolist() == [False, True, True, False]


def test_the_divergence_is_unbiased_and_never_negative() -> None:
    torch.manual_seed(0)
    policy, base = (torch.randn(7).log_softmax(0) for _ in range(2))
    each = _policy_loss.divergence(policy, base)
    assert (each >= 0).all()
    assert float((policy.exp() * each).sum()) == pytest.approx(float((policy.exp() * (policy - base)).sum()), rel=1e-5)


def test_another_norm_is_refused() -> None:
    with pytest.raises(ParamsError, match="loss_norm = 'tokens'; did you mean token"):
        _policy_loss.reduced(torch.ones(1, 1), torch.ones(1, 1, dtype=torch.bool), "tokens", 1)


# ------------------------------------------------------------------ training

SHORT: dict[str, Any] = {"updates": 3, "prompts": 2, "group_size": 4, "max_new_tokens": 5, "every": 1}


@torch.no_grad()
def probability(state: nets.State, prompt: str, answer: str) -> float:
    """Return how probable an answer is as the whole response."""
    policy = small_policies.net()
    policy.load_state_dict(state)
    read = torch.tensor([decoder.encoded(prompt, small_policies.OPTIONS)])
    end = decoder.end(small_policies.OPTIONS)
    tokens = torch.tensor([[*decoder.encoded(answer, small_policies.OPTIONS), end]])
    logs = policy.response_logits(read, tokens).log_softmax(-1)
    return float(logs.gather(-1, tokens[..., None]).sum().exp())


def test_two_arms_are_told_apart_within_50_updates(tmp_path: Path) -> None:
    arms = {
        "updates": 50, "prompts": 2, "max_new_tokens": 1, "lr": 0.01, "beta": 0.0, "every": 50,
    }  # fmt: skip
    state, log = train_weights(job("grpo", start(tmp_path), **arms))
    policy = small_policies.net()
    before = policy.begin(torch.tensor([[0]]))[0].softmax(-1)[0, 2]
    policy.load_state_dict(state)
    after = policy.begin(torch.tensor([[0]]))[0].softmax(-1)[0, 2]
    assert before < 0.5
    assert after > 0.95
    assert {name: value for _, name, value in log}["tokens"] == 1


@pytest.mark.parametrize("options", [{}, {"steps_per_batch": 2, "loss_norm": "token"}, {"zero_variance": "resample"}])
def test_the_same_job_gives_the_same_bytes(tmp_path: Path, options: dict[str, Any]) -> None:
    inputs = start(tmp_path)
    made = [train_weights(job("grpo", inputs, seed, **SHORT, **options)) for seed in (0, 0, 1)]
    (one, log), (again, _), (other, _) = made
    assert nets.state_bytes(one) == nets.state_bytes(again)
    assert nets.state_bytes(one) != nets.state_bytes(other)
    names = {name for _, name, _ in log}
    assert names == {"reward", "correct", "tokens", "truncated", "equal_groups", "divergence", "clipped"}
    steps = [step for step, name, _ in log if name == "divergence"]
    assert steps == [1, 2, 3]


def test_the_first_step_of_a_batch_is_on_policy(tmp_path: Path) -> None:
    _, log = train_weights(job("grpo", start(tmp_path), **{**SHORT, "updates": 1}))
    told = {name: value for _, name, value in log}
    assert told["divergence"] == pytest.approx(0, abs=1e-6)  # of the policy that still is the reference
    assert told["clipped"] == 0


def constant(rollout: Rollout) -> dict[str, np.ndarray]:
    return {"reward": np.ones(len(rollout.texts))}


@pytest.mark.parametrize("way", ["keep", "skip", "resample"])
def test_groups_of_equal_rewards_change_nothing_but_by_the_reference(tmp_path: Path, way: str) -> None:
    inputs = start(tmp_path)
    still = job("grpo", inputs, **{**SHORT, "zero_variance": way, "beta": 1.0})
    state, log = _grpo.train(still, constant), still.rows
    before = small_policies.net().state_dict()
    for name, tensor in state.items():
        assert torch.allclose(tensor, before[name], atol=1e-6), name
    assert {value for _, name, value in log if name == "equal_groups"} == {1.0}


def test_who_resamples_learns_from_as_many_telling_groups(tmp_path: Path) -> None:
    seen: list[list[Sample]] = []

    def rare(rollout: Rollout) -> dict[str, np.ndarray]:
        seen.append(rollout.samples)
        first = np.array([sample.key == "toy/train/0" for sample in rollout.samples])
        varied = np.arange(len(first)) % 2.0
        return {"reward": first * varied}

    samples = small_policies.prompts(8)
    options = {**SHORT, "updates": 1, "zero_variance": "resample", "groups": ["0"]}
    _grpo.train(job("grpo", start(tmp_path), samples=samples, **options), rare)
    drawn = [sample.key for some in seen for sample in some]
    assert len(seen) > 1  # the other prompts told nothing
    assert drawn.count("toy/train/0") >= 2 * 4 or len(seen) == _rollouts.TRIES


def test_trainers_of_one_seed_see_the_same_prompts_and_draws(tmp_path: Path) -> None:
    inputs, seen = start(tmp_path), {}

    def watch(name: str) -> _rollouts.Reward:
        def reward(rollout: Rollout) -> dict[str, np.ndarray]:
            seen.setdefault(name, (rollout.samples, rollout.texts))
            return constant(rollout)

        return reward

    for name in ("one", "other"):
        _grpo.train(job("grpo", inputs, **SHORT), watch(name))
    assert seen["one"] == seen["other"]
    assert len(set(seen["one"][1])) > 1  # responses of a group differ
    _grpo.train(job("grpo", inputs, 1, **SHORT), watch("seed"))
    assert seen["seed"] != seen["one"]


def test_only_the_groups_that_are_named_are_learnt_from(tmp_path: Path) -> None:
    seen = set()

    def reward(rollout: Rollout) -> dict[str, np.ndarray]:
        seen.update(sample.fields["meta"]["group"] for sample in rollout.samples)
        return constant(rollout)

    _grpo.train(job("grpo", start(tmp_path), **{**SHORT, "updates": 8, "groups": ["1"]}), reward)
    assert seen == {"1"}
    _grpo.train(job("grpo", start(tmp_path), **{**SHORT, "updates": 8}), reward)
    assert seen == {"0", "1"}


def test_what_is_told_of_no_response_is_not_logged(tmp_path: Path) -> None:
    def reward(rollout: Rollout) -> dict[str, np.ndarray]:
        return {**constant(rollout), "of_right_ones": np.zeros(0)}

    own = job("grpo", start(tmp_path), **SHORT)
    _grpo.train(own, reward)
    assert "reward" in {name for _, name, _ in own.rows}
    assert "of_right_ones" not in {name for _, name, _ in own.rows}


def test_the_binary_reward() -> None:
    rollout = Rollout(small_policies.prompts(2), ["left", "right"], [])
    assert grpo.correct(rollout).tolist() == [True, False]


def test_what_it_begins_with() -> None:
    asked = {**defaults(grpo), "dataset": "toy", "model": "decoder", "seed": 3}
    assert _grpo.needs(asked)[0] == refs.checkpoint("toy", "decoder", "sft", 3)
    assert _grpo.needs({**asked, "start_seed": 0})[0] == refs.checkpoint("toy", "decoder", "sft", 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"group_size": 1}, "grpo: group_size is 1; expected 2 at least"),
        ({"updates": 0}, "updates is 0; expected 1 at least"),
        ({"zero_variance": "drop"}, "zero_variance = 'drop'"),
        ({"temperature": 0.0}, "temperature is 0.0; expected more than 0"),
        ({"loss_norm": "mean"}, "loss_norm = 'mean'"),
        ({"groups": ["7"]}, r"no training prompt is of the groups \['7'\]"),
    ],
)
def test_options_out_of_range_are_refused(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        train_weights(job("grpo", start(tmp_path), **{**SHORT, **options}))


def test_a_loss_that_is_not_finite_is_told(tmp_path: Path) -> None:
    def broken(rollout: Rollout) -> dict[str, np.ndarray]:
        return {"reward": np.full(len(rollout.texts), np.nan)}

    with pytest.raises(ModelError, match="the loss is not finite"):
        _grpo.train(job("grpo", start(tmp_path), **SHORT), broken)


# ------------------------------------------------------------------ the warm start


def test_fine_tuning_gives_completions_their_shares(tmp_path: Path) -> None:
    texts = ["left", "left", "left", "right"]
    samples = [
        sample.with_field("meta", {**sample.fields["meta"], "completions": texts})
        for sample in small_policies.prompts(4)
    ]
    short = {"steps": 90, "batch_size": 16, "lr": 0.02, "every": 30}
    state, log = train_weights(job("sft", samples=samples, **short))
    for prompt in ("pick", "pick now"):
        assert probability(state, prompt, "left") == pytest.approx(0.75, abs=0.12)
        assert probability(state, prompt, "right") == pytest.approx(0.25, abs=0.12)
    assert [step for step, name, _ in log if name == "train_loss"] == [30, 60, 90]
    # The entropy of 3/4, 1/4 over two tokens, the second of which is certain.
    assert {name: value for _, name, value in log}["val_loss"] == pytest.approx(0.281, abs=0.05)
    again, _ = train_weights(job("sft", samples=samples, **short))
    assert nets.state_bytes(again) == nets.state_bytes(state)


@torch.no_grad()
def test_padding_behind_the_end_counts_for_nothing() -> None:
    own = job("sft")
    policy, (one, other) = small_policies.net(), small_policies.prompts(2)[:1] * 2
    alone = [sft._loss(own, policy, [sample], [text]) for sample, text in ((one, "left"), (other, "hmm hmm left"))]
    both = sft._loss(own, policy, [one, other], ["left", "hmm hmm left"])
    assert float(both) == pytest.approx(float((2 * alone[0] + 4 * alone[1]) / 6), rel=1e-5)


def test_uniform_numbers_lie_below_1() -> None:
    stream = small_policies.decoder.RandomStream(0, "a", "b", "c")
    found = _decoding.uniforms([stream], 1000)
    assert found.min() >= 0
    assert found.max() < 1
    assert found.mean() == pytest.approx(0.5, abs=0.05)
