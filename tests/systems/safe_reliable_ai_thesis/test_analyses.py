"""What analyses say of logs and records, by hand."""

import pyarrow as pa
import pytest

from shiftbench.base.errors import ParamsError
from shiftbench.systems.safe_reliable_ai_thesis.analyses import lowered_class, memorised, overfitting

MEASURES = ("nll", "accuracy", "ece", "mcs")


def log(losses: list[float], accuracies: list[float]) -> dict[str, list[tuple[int, float]]]:
    found = {f"{split}_{one}": [(1, 0.25), (2, 0.5)] for split in ("train", "val") for one in MEASURES}
    steps = range(1, len(losses) + 1)
    found["val_nll"] = list(zip(steps, losses, strict=True))
    found["val_accuracy"] = list(zip(steps, accuracies, strict=True))
    return found


@pytest.mark.parametrize(
    ("losses", "accuracies", "epoch"),
    [
        ([0.5, 0.4, 0.45, 0.6], [0.8, 0.85, 0.85, 0.9], 3),
        ([0.5, 0.6, 0.7], [0.8, 0.7, 0.75], 3),  # in epoch 2 accuracy falls, too
        ([0.5, 0.4, 0.3], [0.8, 0.8, 0.8], 4),  # never
    ],
)
def test_the_first_epoch_in_which_calibration_overfits(
    losses: list[float], accuracies: list[float], epoch: int
) -> None:
    found = overfitting.numbers(log(losses, accuracies), "toy/net-erm-s0")
    assert found["overfit_epoch"] == epoch
    assert found["overfit"] == (epoch <= len(losses))
    assert found["nll_gap"] == pytest.approx(losses[-1] - 0.5)
    assert found["ece_gap"] == 0


def test_a_trainer_that_does_not_watch_is_told() -> None:
    with pytest.raises(ParamsError, match="toy/net-erm-s0 has no train_nll; train with watched_erm"):
        overfitting.numbers({"val_accuracy": [(1, 0.5)]}, "toy/net-erm-s0")


def test_trainers_choose_what_is_looked_at() -> None:
    params = {"checkpoints": ["toy/net-erm-s0", "toy/net-noisy-s0"], "trainers": ["noisy"]}
    assert [ref.name for ref in overfitting.needs(params)] == ["toy/net-noisy-s0"]
    assert len(overfitting.needs({**params, "trainers": []})) == 2
    names = [ref.name for ref in memorised.needs({**params, "trainer": "noisy", "severity": 0.2})]
    assert names[0] == "toy/net-noisy-s0"
    assert sum("label_noise" in name for name in names) == 1
    with pytest.raises(ParamsError, match="no weights of the benchmark are of trainer 'nosy'"):
        memorised.needs({**params, "trainer": "nosy", "severity": 0.2})


def test_levels_of_records_by_hand() -> None:
    table = pa.table(
        {
            "label": pa.array([0, 0, 2, -1], pa.int32()),
            "correct": pa.array([True, False, True, None]),
            "confidence_e9": [900_000_000, 800_000_000, 600_000_000, 999_999_999],
        }
    )
    assert lowered_class.levels(table) == pytest.approx([0.35, 0, -0.4])
    gaps, labels = lowered_class.gaps_of(table)
    assert gaps[:3] == pytest.approx([-0.1, 0.8, -0.4])
    assert labels.tolist() == [0, 0, 2, -1]


def test_a_method_is_compared_with_none() -> None:
    weights = ["few/net-erm-s0", "few/other-erm-s0"]
    params = {"checkpoints": weights, "method": "ts", "dataset": "all", "split": "test"}
    params |= {"nets": ["few/net-erm"]}
    names = [ref.name for ref in lowered_class.needs(params)]
    assert names == [
        f"few/net-erm-s0/{method}/{where}/identity/0" for method in ("plain", "ts") for where in ("few/val", "all/test")
    ]
    assert len(lowered_class.needs({**params, "nets": []})) == 8
