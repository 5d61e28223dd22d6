"""Fine-tuning by reward and by answers: literal versions of the released rules, adapters, and what arms share."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from shiftbench.base import refs, registry
from shiftbench.base.errors import ModelError, ParamsError
from shiftbench.base.refs import Ref
from shiftbench.base.registry import defaults
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.contracts import training_jobs
from shiftbench.evaluation import nets
from shiftbench.plugins.contracts import TrainJob
from shiftbench.systems.spatial_vlm_cot_grpo.datasets import _questions, _scenes
from shiftbench.systems.spatial_vlm_cot_grpo.models import patch_decoder
from shiftbench.systems.spatial_vlm_cot_grpo.trainers import _asked, spatial_base, spatial_grpo
from shiftbench.systems.spatial_vlm_cot_grpo.trainers._adapters import Adapters
from shiftbench.workflow.stages.train import train_weights

SMALL: dict[str, Any] = {**defaults(patch_decoder), "width": 16, "heads": 2}
START = "spatial_scenes/patch_decoder-spatial_base"


def scenes(count: int = 12, phrasings: tuple[int, ...] = (0,), seed: int = 0) -> list[Sample]:
    """Return questions about scenes whose cut-outs are discs and squares."""
    grid = np.hypot(*(np.mgrid[:28, :28] - 13.5))
    pools = {"animal": np.uint8(255 * (grid < 13))[None], "garment": np.full((1, 28, 28), 200, np.uint8)}
    found = []
    for number in range(count):
        asked = None
        rng = RandomStream(seed, "scene", "toy", f"{number}")
        while asked is None:
            image, graph = _scenes.random_scene(rng, pools)
            family = ("depth", "distance")[number % 2]
            asked = _questions.ask(rng, graph, family, phrasings[number % len(phrasings)])
        meta = {"answer": asked.answer, "graders": ["exact"], "choices": list(asked.choices)}
        meta |= {"graph": graph, "relevant": asked.graph}
        found.append(Sample(f"toy/{seed}/{number:03d}", {"image": image, "text": asked.text, "meta": meta}))
    return found


def net(seed: int = 0, **options: Any) -> Any:
    torch.manual_seed(seed)
    return patch_decoder.build({**SMALL, **options}, 0).eval()


def job(trainer: str, inputs: dict[Ref, Path] | None = None, seed: int = 0, **params: Any) -> TrainJob:
    options = {**defaults(registry.find("trainers", trainer)), **params}
    used = options["optimizer"]
    optimizer = {"use": used, "options": dict(defaults(registry.find("optimizers", used)))}
    splits = {"train": scenes(), "val": scenes(8, seed=1)}
    dataset = "spatial_scenes" if trainer == "spatial_base" else "spatial_closer"
    return TrainJob(
        dataset, "patch_decoder", trainer, seed, options, SMALL, (), inputs or {}, splits.__getitem__,
        optimizer,
    )  # fmt: skip


@pytest.fixture
def start(tmp_path: Path) -> dict[Ref, Path]:
    ref = refs.checkpoint("spatial_scenes", "patch_decoder", "spatial_base", 0)
    state = dict(net().state_dict())
    return {ref: training_jobs.write(tmp_path / "start.safetensors", state, ())}


TUNED: dict[str, dict[str, Any]] = {"spatial_sft": {}, "sft_official": {}, "spatial_grpo": {"beta": 0.04}}
SHORT = {"steps": 3, "batch_size": 4, "every": 1}


# ------------------------------------------------------------------ the reward


def released(content: str, sol: str) -> float:
    """Return what the released reward gives, word for word: the last line, then the comparison."""
    if "\n" in content:
        content = content.split("\n")[-1].strip()
    if content.strip() == "":
        return -0.2
    content = re.sub(r"[\(\)\.\,\-]", "", content)
    return 1.0 if content.lower() == sol.lower() else 0.0


@pytest.mark.parametrize(
    ("completion", "reference", "earned"),
    [
        ("", "left", -0.2),
        (" \t", "left", -0.2),
        ("left\n", "left", -0.2),  # the last line is empty
        ("left", "left", 1.0),
        ("LEFT.", "left", 1.0),
        ("(A)", "A", 1.0),
        ("(A)", "(A)", 0.0),  # the reference keeps its brackets, the completion does not
        ("a-b, c", "ab c", 1.0),
        ("I think:\n left ", "Left", 1.0),
        ("left\nright", "left", 0.0),
        (" left", "left", 0.0),  # of one line white space stays
        ("left or right", "left", 0.0),
    ],
)
def test_rewards(completion: str, reference: str, earned: float) -> None:
    assert spatial_grpo.reward(completion, reference) == earned == released(completion, reference)


# ------------------------------------------------------------------ the loss of a step


def one_step(trainer: str, inputs: dict[Ref, Path], **params: Any) -> tuple[TrainJob, nets.State]:
    found = job(trainer, inputs, steps=1, batch_size=6, optimizer="adamw", **params)
    state, _ = train_weights(found)
    return found, state


def rows_of_step(step: int = 1) -> tuple[_asked.Asked, torch.Tensor, RandomStream]:
    """Return the questions of a step, and the words behind them."""
    some = scenes()
    asked = _asked.prepared(job("spatial_sft"), some, [one.fields["meta"]["answer"] for one in some])
    words = RandomStream(0, "spatial_tuning", "spatial_closer", f"{step}")
    return *_asked.random_batch(asked, 6, words), words


def gradients(losses: list[torch.Tensor], adapters: Adapters) -> tuple[torch.Tensor, ...]:
    return torch.autograd.grad(torch.stack(losses).sum(), [part.up for part in adapters.parts])


def literal_loss(
    logits: torch.Tensor, reference: torch.Tensor, ids: torch.Tensor, answer: str, beta: float
) -> torch.Tensor | None:
    """Return the loss of a prompt's group as the script has it; None where its rewards are alike.

    Args:
        logits: of the policy, (vocabulary,).
        reference: log-probabilities of the reference, (vocabulary,).
        ids: the group's tokens, one of each completion.
        answer: the reference answer.
        beta: how much the divergence counts.
    """
    ends = ids == patch_decoder.end({})
    texts = ["" if end else patch_decoder.decoded([int(one)], {}) for one, end in zip(ids, ends, strict=True)]
    rewards = torch.tensor([released(text, answer) for text in texts])
    if rewards.std() < 1e-5:
        return None
    advantages = (rewards - rewards.mean()) / (rewards.std() + 1e-4)
    logps = logits.log_softmax(-1)[ids]
    kl = torch.exp(reference[ids] - logps) - (reference[ids] - logps) - 1
    token = torch.exp(logps - logps.detach()) * advantages
    return -(token - beta * kl).mean()


def test_grpo_is_the_released_loss_word_for_word() -> None:
    group, beta = 8, 0.04
    policy = net()
    with torch.no_grad():  # both letters are likely, else hardly a group would hold a right answer
        policy.norm.bias.fill_(1.0)
        policy.head.weight[patch_decoder.encoded("A", {})] += 0.2
        policy.head.weight[patch_decoder.encoded("B", {})] += 0.2
    torch.manual_seed(3)
    adapters = Adapters(policy, 4, 8.0)
    for part in adapters.parts:
        part.up.data.normal_(std=0.3)  # so that the reference is another policy
    asked, rows, words = rows_of_step()
    found = spatial_grpo._Group(job("spatial_grpo", beta=beta, group_size=group))
    losses = found.losses(policy, adapters, asked, rows, words)

    _, _, again = rows_of_step()
    uniforms = torch.from_numpy((again.raw(len(rows) * group) >> np.uint64(11)).astype(np.float64) / 2**53)
    expected = []
    for row, own in zip(rows.tolist(), uniforms.split(group), strict=True):
        logits = policy.begin(asked.prompts[row : row + 1])[0][0]
        with adapters.off(), torch.no_grad():
            reference = policy.begin(asked.prompts[row : row + 1])[0][0].log_softmax(-1)
        shares = logits.detach().double().softmax(-1).cumsum(0)
        ids = torch.searchsorted(shares, own, right=True)
        expected.append(literal_loss(logits, reference, ids, asked.answers[row], beta))
    told = [one for one in expected if one is not None]
    assert len(told) > 2
    torch.testing.assert_close(torch.stack(losses), torch.stack(told), rtol=1e-4, atol=1e-6)
    for one, other in zip(gradients(losses, adapters), gradients(told, adapters), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-6)
    assert found.history["divergence"][0] > 0


def test_groups_that_are_alike_teach_nothing(start: dict[Ref, Path]) -> None:
    sure = net()
    for ref, path in start.items():
        with torch.no_grad():
            sure.head.weight[patch_decoder.encoded("A", {})[0]] += 1000 * sure.norm.weight
            sure.head.weight.mul_(1000)
        training_jobs.write(path, dict(sure.state_dict()), ())
        assert ref.kind == "checkpoints"
    for equal in spatial_grpo.EQUAL:
        state, log = train_weights(job("spatial_grpo", start, **SHORT, equal=equal))
        assert {value for _, name, value in log if name == "equal_groups"} == {1.0}
        for name, value in sure.state_dict().items():
            torch.testing.assert_close(state[name], value, rtol=0, atol=0)


def test_sft_learns_answers_and_as_released_without_the_last_option() -> None:
    policy = net()
    adapters = Adapters(policy, 4, 8.0)
    asked, rows, words = rows_of_step()
    prompts, answers = asked.prompts[rows], asked.responses[rows, 0]
    whole = F.cross_entropy(policy.begin(prompts)[0], answers)
    # As released: input_ids[-1] = target, labels elsewhere -100; position i is predicted from those before it.
    written = prompts.clone()
    written[:, -1] = answers.short()
    embedded = policy.embedded_prompts(written)
    states, _, _ = policy.through(embedded, None)
    logits = policy.head(states)[:, :-1]
    official = F.cross_entropy(logits[:, -1], answers)
    for trainer, expected in (("spatial_sft", whole), ("sft_official", official)):
        seen = []

        def fit(own: TrainJob, loss: Any, seen: list[torch.Tensor] = seen) -> dict[str, Any]:
            seen.append(loss(policy, adapters, asked, rows, words))
            return {}

        module = registry.find("trainers", trainer)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("shiftbench.systems.spatial_vlm_cot_grpo.trainers._tuning.fit", fit)
            module.train(job(trainer))
        assert seen[0].item() == pytest.approx(expected.item(), abs=1e-6)
    assert whole.item() != pytest.approx(official.item(), abs=1e-3)


# ------------------------------------------------------------------ adapters, arms and checkpoints


def test_adapters_are_switched_off_and_merged() -> None:
    policy, plain = net(), net()
    prompts = rows_of_step()[0].prompts
    adapters = Adapters(policy, 4, 8.0)
    learning = {name for name, one in policy.named_parameters() if one.requires_grad}
    assert {name.rpartition(".")[2] for name in learning} == {"up", "down"}
    assert len(adapters.parts) == 2 * 4, "two blocks of four linear layers"
    torch.testing.assert_close(policy.begin(prompts)[0], plain.begin(prompts)[0])
    for part in adapters.parts:
        part.up.data.normal_()
    moved = policy.begin(prompts)[0]
    assert (moved - plain.begin(prompts)[0]).abs().max() > 0.1
    with adapters.off():
        torch.testing.assert_close(policy.begin(prompts)[0], plain.begin(prompts)[0])
    torch.testing.assert_close(policy.begin(prompts)[0], moved)
    merged = net(1)
    nets.load_into(merged, adapters.state(), "merged")
    torch.testing.assert_close(merged.begin(prompts)[0], moved)
    with pytest.raises(ParamsError, match="rank is 0"):
        Adapters(net(), 0, 1.0)


def test_arms_see_the_same_questions_and_differ(start: dict[Ref, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[int]] = []
    plain = _asked.random_batch

    def watched(*given: Any) -> tuple[_asked.Asked, torch.Tensor]:
        own, rows = plain(*given)
        seen.append(rows.tolist())
        return own, rows

    monkeypatch.setattr(_asked, "random_batch", watched)
    states = {}
    for trainer, options in TUNED.items():
        states[trainer], _ = train_weights(job(trainer, start, **SHORT, **options))
    assert seen[:3] == seen[3:6] == seen[6:9]
    assert len({nets.state_bytes(state) for state in states.values()}) == 3
    for trainer, options in TUNED.items():
        again, _ = train_weights(job(trainer, start, **SHORT, **options))
        assert nets.state_bytes(again) == nets.state_bytes(states[trainer])
        own = net()
        nets.load_into(own, again, trainer)
        for name, value in net().state_dict().items():
            same = torch.equal(again[name], value)
            assert same != name.endswith(tuple(_of_blocks(own))), name


def _of_blocks(own: Any) -> Iterator[str]:
    for name, module in own.blocks.named_modules():
        if isinstance(module, torch.nn.Linear):
            yield f"blocks.{name}.weight"


def test_matched_checkpoints(start: dict[Ref, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    told = iter([0.6, 0.72, 0.81, 0.95])
    monkeypatch.setattr(_asked, "accuracy", lambda *_: next(told))
    options = {"steps": 9, "batch_size": 4, "every": 2, "match": 0.75}
    _, log = train_weights(job("spatial_sft", start, **options))
    found = {name: value for _, name, value in log}
    assert [value for _, name, value in log if name == "val_accuracy"] == [0.6, 0.72, 0.81]
    assert (found["step"], found["matched"]) == (4, 0.72), "0.72 is nearer to 0.75 than 0.81"


def test_without_a_match_the_last_step_counts(start: dict[Ref, Path]) -> None:
    _, log = train_weights(job("spatial_grpo", start, **{**SHORT, "steps": 4, "every": 3}))
    found = {name: value for _, name, value in log}
    assert found["step"] == 4
    assert sum(name == "val_accuracy" for _, name, _ in log) == 1
    assert {"reward", "divergence", "equal_groups"} < set(found)


@pytest.mark.parametrize(
    ("options", "message"), [({"equal": "keep"}, "equal is 'keep'"), ({"group_size": 1}, "group_size of 2 at least")]
)
def test_options_out_of_range(start: dict[Ref, Path], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        train_weights(job("spatial_grpo", start, **SHORT, **options))


# ------------------------------------------------------------------ the base

BASE: dict[str, Any] = {
    "steps": 4,
    "batch_size": 8,
    "every": 2,
    "least": 0.0,
    "until": 1.1,
    "shares": {"direct": 0.3, "graph": 0.1, "think": 0.3, "given": 0.3},
}


def test_the_base_learns_all_kinds_of_lessons() -> None:
    own = job("spatial_base", **BASE)
    lessons = spatial_base._lessons(own, own.samples("train"))
    assert list(lessons) == list(spatial_base.KINDS)
    asked = {
        kind: {
            (
                patch_decoder.decoded(prompt, {}),
                patch_decoder.decoded([one for one in label if 0 <= one < patch_decoder.end({})], {}),
            )
            for lesson in sets
            for prompt, label in zip(lesson.prompts.tolist(), lesson.labels.tolist(), strict=True)
        }
        for kind, sets in lessons.items()
    }
    for question, answer in asked["direct"]:
        assert answer in (*_questions.LETTERS, *_questions.NUMBERS)
        graph = next(said for prompt, said in asked["graph"] if prompt == f"{question} graph")
        assert graph.startswith("{")
        assert graph.endswith("}")
        assert any(prompt == f"{question} think" for prompt, _ in asked["think"])
    assert all(re.search(r"\} so \w$", said) for _, said in asked["think"])
    assert all(re.search(r" given \{.*\}$", prompt) for prompt, _ in asked["given"])
    words = {word for prompt, _ in asked["direct"] for word in prompt.split()}
    assert {"closer", "nearer", "farther", "many", "camera"} <= words
    one = lessons["direct"][-1]
    known = ~one.places.isnan().any(-1)
    names = {patch_decoder.encoded(name, {})[0] for name in _scenes.COLOURS}
    assert all(
        (int(token) in names) == bool(own) for token, own in zip(one.prompts.flatten(), known.flatten(), strict=True)
    )
    assert one.places[known].abs().max() <= 1


def test_the_base_is_reproducible_and_ends_when_it_is_good_enough() -> None:
    state, log = train_weights(job("spatial_base", **BASE))
    again, _ = train_weights(job("spatial_base", **BASE))
    other, _ = train_weights(job("spatial_base", seed=1, **BASE))
    assert nets.state_bytes(state) == nets.state_bytes(again) != nets.state_bytes(other)
    assert [step for step, name, _ in log if name == "val_accuracy"] == [2, 4]
    _, short = train_weights(job("spatial_base", **{**BASE, "until": 0.0}))
    assert [step for step, name, _ in short if name == "val_accuracy"] == [2]


def test_a_base_that_stays_at_chance_is_refused() -> None:
    with pytest.raises(ModelError, match="it stayed at chance. Train longer"):
        train_weights(job("spatial_base", **{**BASE, "least": 1.1}))
    with pytest.raises(ParamsError, match="shares names 'directly'"):
        train_weights(job("spatial_base", **{**BASE, "shares": {"directly": 1.0}}))


def test_a_question_is_read_without_what_tells_nothing_apart() -> None:
    text = "Which object is not closer to the camera?\n(A) red\n(B) blue\ngraph:"
    read = patch_decoder.decoded(patch_decoder.encoded(text, {}), {})
    assert read == "not closer camera red blue graph"
    assert patch_decoder.decoded(patch_decoder.encoded("{ red x3 } so A", {}), {}) == "{ red x3 } so A"
