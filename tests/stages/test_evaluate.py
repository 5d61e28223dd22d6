"""Evaluation: order, batches and devices change nothing; what cannot be a record is refused."""

import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from shiftbench.base.errors import ChecksumError, ModelError, ParamsError
from shiftbench.base.sample import Sample
from shiftbench.data import shards
from shiftbench.evaluation import batching, devices
from shiftbench.workflow.stages import evaluate

CLASSES = ["dark", "bright"]
FIELDS = {"image": "png", "label": "cls"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Shards of 23 flat grey images; the bright half has label 1."""
    samples = [
        Sample(f"flat/test/{i:02d}", {"image": np.full((4, 4), i * 11, np.uint8), "label": i // 12}) for i in range(23)
    ]
    about = {"dataset": "flat", "split": "test", "shift": "identity", "severity": 0.0}
    facts = about | {"task": "classification", "classes": CLASSES}
    shards.write(samples, tmp_path, FIELDS, facts, 10_000)
    return tmp_path


def brightness(samples: list[Sample]) -> dict[str, np.ndarray]:
    """Logits and features from the mean grey level; 126 and above is bright."""
    mean = np.array([sample.fields["image"].mean() for sample in samples], np.float32)
    return {"logits": np.stack([126 - mean, mean - 126], axis=1) / 50, "features": mean[:, None]}


@pytest.mark.parametrize("batch_size", [1, 7, 23, 100])
def test_batches_change_nothing(folder, batch_size):
    table, features, used = evaluate.evaluate_shards(brightness, folder, CLASSES, batch_size)
    whole, whole_features, _ = evaluate.evaluate_shards(brightness, folder, CLASSES, 23)
    assert table.combine_chunks().equals(whole.combine_chunks())
    assert np.array_equal(features, whole_features)
    assert used == batch_size
    assert table.column("key").to_pylist() == [f"flat/test/{i:02d}" for i in range(23)]
    # grey levels 0, 11, ..., 242: 121 is label 0 and dark, 132 is label 1 and bright
    assert table.column("correct").to_pylist() == [True] * 23


def test_memory_of_the_gpu_halves_the_batch_of_independent_samples(folder):
    def small(samples: list[Sample]) -> dict[str, np.ndarray]:
        if len(samples) > 5:
            raise torch.cuda.OutOfMemoryError("too much")
        return brightness(samples)

    table, _, used = evaluate.evaluate_shards(small, folder, CLASSES, 16)
    assert (used, len(table)) == (4, 23)
    with pytest.raises(ModelError, match=r"out of GPU memory at batch size 16; set evaluate.batch"):
        evaluate.evaluate_shards(small, folder, CLASSES, 16, sees="batch")


def test_what_is_drawn_ahead_keeps_its_order_and_its_errors():
    assert list(batching.prefetch(iter(range(50)))) == list(range(50))

    def damaged():
        yield 1
        raise ChecksumError("sample 2 is damaged")

    drawn = batching.prefetch(damaged())
    assert next(drawn) == 1
    with pytest.raises(ChecksumError, match="sample 2 is damaged"):
        next(drawn)


def test_a_reader_that_is_left_early_leaves_no_thread():
    before = threading.active_count()
    drawn = batching.prefetch(iter(range(1000)))
    next(drawn)
    drawn.close()
    for _ in range(200):
        if threading.active_count() <= before:
            break
        threading.Event().wait(0.01)
    assert threading.active_count() <= before


@pytest.mark.parametrize(
    ("logits", "message"),
    [
        (np.full((23, 2), np.nan), r"flat/test/00.*finite"),
        (np.zeros((23, 3)), r"expected shape \(23, 2\).*found \(23, 3\)"),
    ],
)
def test_what_is_no_record_is_refused(folder, logits, message):
    with pytest.raises(ModelError, match=message):
        evaluate.evaluate_shards(lambda _: {"logits": logits}, folder, CLASSES, 23)


def test_a_notebook_evaluates_a_module_in_one_call(folder):
    class Net(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            mean = x.mean((1, 2, 3))
            return torch.stack([0.5 - mean, mean - 0.5], 1)

    from shiftbench import evaluate as call

    row = call(Net(), folder).row(0, named=True)
    # Wilson's interval of 23 of 23 at 95%: n / (n + z^2) = 23 / (23 + 3.8415) = 0.8569
    assert row == {
        "dataset": "flat", "split": "test", "shift": "identity", "severity": 0.0,
        "n": 23, "accuracy": 1.0, "ci_low": pytest.approx(0.8569, abs=1e-4), "ci_high": 1.0,
    }  # fmt: skip


def test_a_notebook_is_told_which_tasks_have_no_accuracy(folder, monkeypatch):
    from shiftbench import evaluate as call

    about = shards.manifest(folder)
    monkeypatch.setattr(shards, "manifest", lambda _: {**about, "task": "detection"})
    with pytest.raises(ParamsError, match="detection has no accuracy; run a benchmark"):
        call(brightness, folder)


def test_devices_are_held_and_a_wrong_one_is_named():
    with devices.hold("cpu") as held:
        assert held == "cpu"
    with pytest.raises(ParamsError, match=r"device 'tpu' does not exist here; known: auto, cpu"):
        devices.hold("tpu").__enter__()


def test_a_gpu_that_was_asked_for_and_is_not_there_is_an_error(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ParamsError, match=r"a GPU was asked for \(cuda\), and torch .* finds none on"):
        devices.hold("cuda").__enter__()
