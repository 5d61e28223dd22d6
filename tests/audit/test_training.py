"""A forged net is no net that another machine trained, whatever its run file says."""

from typing import Any

import numpy as np
import pytest

from makers import forgeries
from makers.faults import ONE, TWO
from makers.made_benchmark import Made
from shiftbench.audit.evidence import checkpoint_files, environments
from shiftbench.audit.finding import Finding, worst

GPU = {"gpu": "NVIDIA H100", "cuda": "12.8", "cudnn": 91002, "driver": "570.1"}
LIES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "none": ({}, {}, "failed"),
    "a GPU": ({"device": "cuda:0"}, {}, "incomplete"),
    "a GPU with all its facts": ({"device": "cuda:1"}, GPU, "incomplete"),
    "fewer CPU features": ({}, {"cpu_features": ["sse4_2", "avx"]}, "failed"),
    "another CPU": ({}, {"cpu": "Another CPU", "cpu_features": ["sse4_2"]}, "failed"),
    "another Python": ({}, {"python": "3.11.99"}, "failed"),
    "other kernels": ({}, {"blas_core": "Nehalem", "torch_cpu": "DEFAULT"}, "failed"),
    "a variable": ({}, {"variables": {"MKL_CBWR": "COMPATIBLE"}}, "failed"),
    "another torch": ({}, {"packages": {"torch": "1.0"}}, "incomplete"),
}


def forged(made: Made, lie: str, by: float, name: str) -> None:
    about, around, _ = LIES[lie]
    for ref in (ONE, TWO):  # of two, one is drawn

        def move(state: dict[str, Any], _: object) -> None:
            state[name].reshape(-1)[0] += by

        forgeries.checkpoint(made.root, ref, move)

        def tell(run: dict[str, Any]) -> None:
            run["environment"] |= around
            run |= about

        made.edit(f"{ref.path}.run.json", tell)


@pytest.mark.parametrize("lie", LIES)
def test_a_run_file_excuses_no_forged_net(made, lie):
    draw = np.random.default_rng(len(lie))
    by = float(draw.choice([-1, 1]) * 10 ** draw.uniform(-3, 0))
    forged(made, lie, by, str(draw.choice(["head.bias", "head.weight"])))
    found = made.findings("training", level=3)
    assert worst(one.verdict for one in found) == LIES[lie][2], [str(one) for one in found]
    assert all(ref.name in found[0].why or ref.path in {f.file for f in found} for ref in (ONE,)) or (
        TWO.path in {f.file for f in found}
    )
    if lie == "a GPU":
        assert "environment.gpu" in made.findings("environment")[0].why
    if lie == "fewer CPU features":
        told = [one for one in made.findings("environment") if "contradicts itself" in one.why]
        assert ("AVX" in str(environments_of(made)["torch_cpu"])) == bool(told)


def environments_of(made: Made) -> dict[str, Any]:
    return dict((made.case().run_file(ONE) or {})["environment"])


def test_an_accuracy_that_training_does_not_give_fails_where_model_are_near(made, monkeypatch):
    """A net within the measured room, whose records of the validation split are another net's."""
    forged(made, "another CPU", 1e-6, "head.bias")
    records = made.one("records", "convnet-erm-s0/plain/tiny/val/identity/0")
    for ref in (records, made.one("records", "convnet-erm-s1/plain/tiny/val/identity/0")):
        forgeries.table(made.root, ref, lambda frame: frame.with_columns(correct=~frame["correct"]))
    found = made.findings("training", level=3)
    assert {one.verdict for one in found} == {"failed"}
    assert "its accuracy is" in found[0].why


def test_what_other_kernels_move_is_statistical(made):
    forged(made, "another CPU", 1e-6, "head.bias")
    found = made.findings("training", level=3)
    assert {one.verdict for one in found} == {"statistical"}
    assert "is possible" in found[0].why


def test_a_net_that_takes_too_long_is_named(made, monkeypatch):
    from shiftbench.audit.checks import models

    monkeypatch.setattr(models, "_train", lambda _, net, *__: setattr(net, "is_late", True))
    (finding,) = [one for one in models.training(made.case(level=3)) if isinstance(one, Finding)]
    assert (finding.verdict, finding.file in (ONE.path, TWO.path)) == ("incomplete", True)


def test_tensors_apart(tmp_path):
    here = {"a": np.array([1.0, -3.0]), "n": np.array([7], np.uint8)}
    assert checkpoint_files.largest_difference(here, here) == 0.0
    assert checkpoint_files.largest_weight(here) == 3.0
    assert checkpoint_files.largest_difference(here, {**here, "a": np.array([1.0, -2.5])}) == 0.5
    for other in ({"a": here["a"]}, {**here, "a": np.zeros(3)}, {**here, "n": np.array([8], np.uint8)}):
        assert checkpoint_files.largest_difference(here, other) is None
    assert environments.is_software("torch 2 -> 3")
    assert environments.is_software("the wheel of torch a -> b")
    for reason in ("cpu_features: avx only on one of them", "cpu a -> b", "device cpu -> cuda", "python 3 -> 4"):
        assert environments.is_software(reason) == reason.startswith("device")
