"""A16: weights are safetensors of finite numbers, of the right name and recipe."""

import pickle

import numpy as np
import pytest

from makers import forgeries


def test_a_clean_benchmark_is_exact(made):
    result = made.result("checkpoints")
    assert (result.verdict, result.findings) == ("exact", ())
    assert result.notes[0].startswith("2 checkpoints with")


def not_finite(state, _):
    state["head.bias"][0] = np.nan


FAULTS = {
    "the tensors": (not_finite, "tensor head.bias is not finite"),
    "the name": (lambda _, facts: facts.update(name="tiny/other-erm-s0"), "its name is not"),
    "the recipe": (lambda _, facts: facts.update(fingerprint="0" * 64), "its fingerprint is not"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_other_weights_than_the_receipt_states_fail(made, fault):
    change, why = FAULTS[fault]
    plan, ref = made.plan(), made.one("checkpoints")
    forgeries.checkpoint(made.root, ref, change)
    assert made.findings("digests", plan=plan) == []
    (finding,) = made.findings("checkpoints", plan=plan)
    assert (finding.verdict, finding.file) == ("failed", ref.path)
    assert why in finding.why


class Bomb:
    """What a pickle may do."""

    def __reduce__(self):
        return pytest.fail, ("the pickle was run",)


def test_a_pickle_is_not_opened(made):
    plan, ref = made.plan(), made.one("checkpoints")
    (made.root / ref.path).write_bytes(pickle.dumps(Bomb()))
    forgeries.update(made.root, ref)
    (finding,) = made.findings("checkpoints", plan=plan)
    assert "no safetensors file" in finding.why


def test_the_weights_of_another_seed_are_others(made):
    plan = made.plan()
    one, other = made.one("checkpoints", "-s0"), made.one("checkpoints", "-s1")
    (made.root / one.path).write_bytes((made.root / other.path).read_bytes())
    forgeries.update(made.root, one)
    assert len(made.findings("checkpoints", plan=plan)) == 3  # name, recipe, and a copy of another seed
