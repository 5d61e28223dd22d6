"""RegMean++ and what it is compared with: merging against literal versions of the equations."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from makers.two_tasks import CANDIDATES, CLASSES, MERGERS, job, merged, small_vit, tuned, two_tasks, written
from shiftbench.base import refs, registry
from shiftbench.base.errors import ModelError, ParamsError
from shiftbench.base.refs import Ref
from shiftbench.contracts import training_jobs
from shiftbench.evaluation.nets import State
from shiftbench.systems.regmean_plus_plus.trainers import _merging, _regmean, _tasks, fisher_merging, ties
from shiftbench.workflow.stages.train import train_weights


def test_a_merged_layer_attains_the_least_squares_optimum() -> None:
    """Done means: K = 2, random X_i, to 1e-8."""
    random = torch.Generator().manual_seed(0)
    x = [torch.randn(50, 7, generator=random, dtype=torch.float64) for _ in range(2)]
    w = [torch.randn(3, 7, generator=random, dtype=torch.float64) for _ in range(2)]
    found, _, singular = _regmean.solution([one.T @ one / 50 for one in x], w)
    stacked = torch.cat([one @ weight.T for one, weight in zip(x, w, strict=True)])
    best = torch.linalg.lstsq(torch.cat(x), stacked).solution.T
    assert not singular
    assert torch.allclose(found, best, atol=1e-8)


def test_grams_are_means_over_tokens_and_shrinking_keeps_the_diagonal() -> None:
    layer, tokens = nn.Linear(3, 2), torch.randn(4, 5, 3)
    with _regmean.recording({"layer": layer}) as found:
        layer(tokens[:1])
        layer(tokens[1:])
    flat = tokens.reshape(-1, 3).double()
    assert torch.allclose(found.mean("layer"), flat.T @ flat / 20, atol=1e-6)
    shrunk = _regmean.shrunk(found.mean("layer"), 0.5)
    assert torch.equal(shrunk.diagonal(), found.mean("layer").diagonal())
    assert torch.allclose(shrunk[0, 1], found.mean("layer")[0, 1] / 2)


def test_one_sample_gives_finite_model_and_says_so_in_the_log(inputs: dict[Ref, Path]) -> None:
    """Done means: a singular Gram matrix."""
    for trainer in ("regmean", "regmean_plus_plus"):
        made = job(trainer, inputs, samples=1, shrink=1.0)
        state, rows = train_weights(made)
        assert all(torch.isfinite(tensor).all() for tensor in state.values())
        assert [row for row in rows if row[1].startswith("singular/")]
        assert len([row for row in rows if row[1].startswith("condition/")]) == 8


def literal(
    states: list[State], start: State, batches: list[torch.Tensor], depth: int, a: float, *, plus: bool
) -> State:
    """RegMean(++) as the paper writes it: nets from scratch for every layer, inputs by hooks, plain inverses."""
    result = _merging.mean(states)
    result |= {name: tensor for name, tensor in start.items() if name.startswith("head.")}
    for number in range(depth):
        block = {name for name in start if name.startswith(f"blocks.{number}.")}
        grams: dict[str, list[torch.Tensor]] = {}
        for state, batch in zip(states, batches, strict=True):
            # blocks before are the merged ones in RegMean++, the candidate's own in RegMean
            before = result if plus else state
            net = small_vit(depth)
            net.load_state_dict({**before, **{name: state[name] for name in block}})
            seen: dict[str, torch.Tensor] = {}
            part = net.get_submodule(f"blocks.{number}")
            for name, layer in part.named_modules():
                if isinstance(layer, nn.Linear):
                    layer.register_forward_hook(lambda _, x, __, to=seen, name=name: to.update({name: x[0]}))
            with torch.no_grad():
                net(batch)
            for name, given in seen.items():
                x = given.reshape(-1, given.shape[-1]).double()
                gram = x.T @ x / len(x)
                mixed = a * gram + (1 - a) * torch.diag(torch.diag(gram))
                grams.setdefault(f"blocks.{number}.{name}.weight", []).append(mixed)
        for name, of in grams.items():
            right = sum(g @ s[name].double().T for g, s in zip(of, states, strict=True))
            result[name] = (torch.inverse(sum(of)) @ right).T.float()
    return result


@pytest.mark.parametrize("trainer", ["regmean", "regmean_plus_plus"])
def test_merging_is_the_literal_algorithm(trainer: str, inputs: dict[Ref, Path]) -> None:
    start, states = tuned()
    batches = [
        torch.from_numpy(np.stack([s.fields["image"] for s in own])[:, None])
        for own in _merging.calibration(job(trainer, inputs)).values()
    ]
    plus = trainer == "regmean_plus_plus"
    expected = literal(list(states.values()), start, batches, 2, 0.95, plus=plus)
    found = merged(trainer, inputs)
    assert all(torch.allclose(found[name], expected[name], atol=1e-4) for name in expected)


def test_with_one_block_and_one_embedding_both_are_equal(tmp_path: Path) -> None:
    """Done means; with other embeddings they differ."""
    start, states = tuned(1)
    apart = written(tmp_path / "apart", start, states)
    assert not _equal(merged("regmean", apart, 1), merged("regmean_plus_plus", apart, 1))
    for state in states.values():
        state |= {name: start[name] for name in start if name.startswith(("stem", "position"))}
    same = written(tmp_path / "same", start, states)
    assert _equal(merged("regmean", same, 1), merged("regmean_plus_plus", same, 1))


def _equal(one: State, other: State, tolerance: float = 1e-6) -> bool:
    return all(torch.allclose(one[name], other[name], atol=tolerance) for name in one)


ALIKE: dict[str, dict[str, Any]] = {
    "task_arithmetic": {"scale": 0.5},  # 1 / K
    "ties": {"scale": 1.0, "keep": 1.0, "how": "mean"},
}


@pytest.mark.parametrize("trainer", MERGERS)
def test_of_identical_candidates_every_merger_gives_that_one(trainer: str, tmp_path: Path) -> None:
    """Done means; task arithmetic with 1/K, TIES as the mean of all (their own constants scale by design)."""
    start, states = tuned()
    one = states["left"]
    found = merged(trainer, written(tmp_path, start, dict.fromkeys(CANDIDATES, one)), **ALIKE.get(trainer, {}))
    assert _equal(found, one, 2e-5)


@pytest.mark.parametrize("trainer", ["regmean", "regmean_plus_plus"])
def test_ablations_choose_blocks_layers_and_what_is_outside(trainer: str, inputs: dict[Ref, Path]) -> None:
    start, _ = tuned()
    mean, whole = merged("simple_average", inputs), merged(trainer, inputs)
    changed = {name for name in mean if not torch.equal(mean[name], whole[name])}
    assert changed == {n for n in mean if n.startswith("blocks") and n.endswith("weight") and "norm" not in n}
    late = merged(trainer, inputs, blocks=[1], layers=["mlp"])
    assert {n for n in mean if not torch.equal(mean[n], late[n])} == {
        n for n in changed if n.startswith("blocks.1.mlp")
    }
    kept = merged(trainer, inputs, outside="pretrained")
    assert torch.equal(kept["norm.bias"], start["norm.bias"])
    assert torch.equal(whole["norm.bias"], mean["norm.bias"])
    with pytest.raises(ParamsError, match="did you mean average"):
        merged(trainer, inputs, outside="averaged")


def test_sequential_merging_spreads_calibration_over_what_was_merged(inputs: dict[Ref, Path]) -> None:
    made = job("regmean", inputs, candidates={"left+right": "on_left", "right": "on_right"}, samples=8)
    found = _merging.calibration(made)
    assert [s.fields["meta"]["group"] for s in found["left+right"]] == ["left"] * 4 + ["right"] * 4
    assert [s.fields["meta"]["group"] for s in found["right"]] == ["right"] * 8
    assert {s.key for s in found["left+right"][4:]} <= {s.key for s in found["right"]}  # nested
    train_weights(made)


def test_calibration_is_training_data_of_the_task_or_of_one_class(inputs: dict[Ref, Path]) -> None:
    options = {**registry.defaults(fisher_merging), "candidates": CANDIDATES}
    needs = _merging.needs({**options, "dataset": "d", "model": "vit", "seed": 1})
    assert refs.shards("d", "train") in needs
    assert not [ref for ref in needs if "test" in ref.parts]
    found = _merging.calibration(job("regmean", inputs, one_class=True))
    assert {s.fields["label"] for s in found["right"]} == {4}


def test_simple_average_and_task_arithmetic_are_their_formulas(inputs: dict[Ref, Path]) -> None:
    start, (a, b) = tuned()[0], tuned()[1].values()
    mean, added = merged("simple_average", inputs), merged("task_arithmetic", inputs)
    for name in start:
        frozen = name.startswith("head.")
        assert torch.allclose(mean[name], start[name] if frozen else (a[name] + b[name]) / 2)
        assert torch.allclose(added[name], start[name] + 0.3 * (a[name] + b[name] - 2 * start[name]), atol=1e-6)


def test_ties_trims_elects_and_adds() -> None:
    vectors = torch.tensor([[3.0, -1.0, 0.5, 0.0], [-2.0, -4.0, 0.0, 0.1]], dtype=torch.float64)
    kept = torch.stack([ties.trimmed(row, ties.limit(row, 0.5)) for row in vectors])
    assert kept.tolist() == [[3, -1, 0, 0], [-2, -4, 0, 0]]
    # sums 1, -5, 0, 0: signs +, -, and the zeros take the majority's, here no sign at all
    none = torch.tensor(0.0)
    assert ties.elected(kept, none, mean=False).tolist() == [3, -5, 0, 0]
    assert ties.elected(kept, none, mean=True).tolist() == [3, -2.5, 0, 0]
    tied = torch.tensor([[1.0, 2.0, 1.0], [-1.0, 1.0, 1.0]], dtype=torch.float64)
    assert ties.elected(tied, torch.tensor(1.0), mean=False).tolist() == [1, 3, 2]
    # whole nets: limits and the majority are over all tensors together
    start = {"a": torch.zeros(2), "b": torch.zeros(4), "n": torch.tensor(7)}
    rows = vectors.float()
    states = [{"a": row[:2], "b": row[2:].repeat(2), "n": torch.tensor(7)} for row in rows]
    found = ties.merged(start, states, 0.5, 2 / 6, mean=False)
    assert found["a"].tolist() == [1.5, -2.5]
    assert found["b"].tolist() == [0, 0, 0, 0]
    assert found["n"] == 7


def test_fisher_is_what_its_options_say() -> None:
    """Six samples, batches of four and two, against gradients one by one; the released code divides by samples."""
    net, inputs = small_vit(1), torch.randint(0, 256, (6, 1, 28, 28), dtype=torch.uint8)
    names = [name for name, _ in net.named_parameters() if not name.startswith("head.")]

    def gradients(batch: torch.Tensor, classes: slice) -> State:
        net.zero_grad()
        logs = net(batch)[:, 4:].log_softmax(1)
        (logs.detach().exp().sqrt() * logs)[:, classes].sum().backward()
        return {name: net.get_parameter(name).grad.double() for name in names}

    whole = slice(None)
    terms = {
        "batch": [gradients(part, whole) for part in inputs.split(4)],
        "sample": [gradients(one[None], whole) for one in inputs],
        "class": [gradients(one[None], slice(c, c + 1)) for one in inputs for c in range(4)],
    }
    found = {squares: fisher_merging.fisher(net, inputs, (4, 8), squares, 4) for squares in terms}
    for squares, own in terms.items():
        for name in names:
            expected = sum(g[name] ** 2 for g in own) / 6
            assert torch.allclose(found[squares][name], expected, rtol=1e-3, atol=1e-9)
    # the definition: the expectation of squared gradients of log p_y over labels y from p
    one = inputs[:1]
    shares = net(one)[0, 4:].softmax(0).detach()
    expected = torch.zeros(net.get_parameter("norm.bias").shape, dtype=torch.float64)
    for label in range(4):
        net.zero_grad()
        net(one)[0, 4:].log_softmax(0)[label].backward()
        expected += shares[label].double() * net.get_parameter("norm.bias").grad.double() ** 2
    exact = fisher_merging.fisher(net, one, (4, 8), "class")["norm.bias"]
    assert torch.allclose(exact, expected, rtol=1e-4)
    assert not torch.allclose(fisher_merging.fisher(net, one, (4, 8), "sample")["norm.bias"], expected, rtol=0.05)
    with pytest.raises(ParamsError, match="squares is 'samples'; did you mean sample"):
        train_weights(job("fisher_merging", {}, squares="samples"))


def test_fisher_weighs_each_parameter() -> None:
    states = [{"w": torch.tensor([1.0, 1.0])}, {"w": torch.tensor([3.0, 5.0])}]
    fishers = [{"w": torch.tensor([3.0, 0.0])}, {"w": torch.tensor([1.0, 2.0])}]
    plain = fisher_merging.weighted(states, fishers, balanced=False)["w"]
    assert plain.tolist() == pytest.approx([1.5, 5.0], abs=1e-4)
    balanced = fisher_merging.weighted(states, fishers, balanced=True)["w"]
    first, second = 3 / 3.0, 1 / 5**0.5
    assert balanced[0] == pytest.approx((first * 1 + second * 3) / (first + second), abs=1e-4)


def test_a_task_is_learnt_under_its_own_head_and_others_stay(tmp_path: Path) -> None:
    start, rows = train_weights(job("multitask", epochs=30, batch_size=16, lr=0.01))
    final = {name: value for _, name, value in rows}
    assert final["val_accuracy"] == pytest.approx((final["val_accuracy_left"] + final["val_accuracy_right"]) / 2)
    assert final["val_accuracy"] > 0.6
    path = training_jobs.write(tmp_path / "start.safetensors", start, CLASSES)
    inputs = {refs.checkpoint("tiny", "vit", "start"): path}
    tuned_on, rows = train_weights(job("multitask", inputs, start="start", tasks=["left"], head=False, epochs=1))
    assert torch.equal(tuned_on["head.weight"], start["head.weight"])
    assert not torch.equal(tuned_on["norm.bias"], start["norm.bias"])
    assert {name for _, name, _ in rows} == {"train_loss", "val_accuracy", "val_accuracy_left"}
    with pytest.raises(ParamsError, match="no task 'top'; it has left, right"):
        train_weights(job("multitask", tasks=["top"]))


def test_a_task_is_learnt_from_its_own_images_where_shards_hold_those_of_all() -> None:
    """As the stage trains: with a folder of shards, which a loop prefers to read, beside the samples."""

    def folder(split: str) -> Path:
        pytest.fail(f"read all tasks of {split} from the shards")

    options: dict[str, Any] = {"tasks": ["left"], "images": 8, "epochs": 1, "batch_size": 4}
    alone = [one for one in two_tasks(16) if one.fields["meta"]["group"] == "left"]
    asked = job("multitask", **options)
    states = [
        train_weights(replace(asked, folder=folder))[0],
        train_weights(replace(asked, samples={"train": alone, "val": two_tasks(16, "val")}.__getitem__))[0],
    ]
    assert all(torch.equal(states[0][name], value) for name, value in states[1].items())


def test_logits_of_other_tasks_do_not_count() -> None:
    others = _tasks.different_tasks(two_tasks(1), 9)
    logits = torch.zeros(2, 9)
    seen = _tasks.within_task(logits, torch.tensor([1, 8]), others)
    assert torch.isfinite(seen[0]).tolist() == [True] * 4 + [False] * 5
    assert torch.isfinite(seen[1]).tolist() == [False] * 8 + [True]


def test_nets_with_batch_normalisation_are_refused(tmp_path: Path) -> None:
    start, states = tuned()
    start["stem.running_mean"] = torch.zeros(1)
    with pytest.raises(ModelError, match="batch normalisation"):
        merged("regmean", written(tmp_path, start, states))
    with pytest.raises(ParamsError, match="candidates is empty"):
        train_weights(job("regmean", {}, candidates={}))


def test_six_mergers_of_four_nets_take_less_than_a_minute(inputs: dict[Ref, Path]) -> None:
    """Done means; at the embedded size one merge takes about a second (see the run files)."""
    began = time.process_time()
    for trainer in MERGERS:
        merged(trainer, inputs)
    assert time.process_time() - began < 60
