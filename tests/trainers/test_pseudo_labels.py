"""Fine-tuning on pseudo-labels: it learns what it is told, looks at no true label, and at nothing that is held out."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from shiftbench.base import refs, registry
from shiftbench.base.errors import DataError, ParamsError
from shiftbench.base.refs import Ref
from shiftbench.base.registry import defaults
from shiftbench.base.sample import Sample
from shiftbench.contracts import training_jobs
from shiftbench.data import formats, schema, shards
from shiftbench.evaluation import nets
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.tasks import LabelSpace
from shiftbench.plugins.trainers import pseudo_labels
from shiftbench.workflow.stages.train import train_weights

FIELDS = {"image": "png", "label": "cls"}
OPTIONS: dict[str, Any] = {"target": "there", "split": "test", "batch_size": 16}


def write(folder: Path, samples: list[Sample], classes: tuple[str, ...]) -> Path:
    folder.mkdir(parents=True)
    given = sorted(samples, key=lambda one: one.key)
    shards.write(given, folder, FIELDS, {"classes": classes}, 10**6)
    return folder / shards.MANIFEST


def records(file: Path, samples: list[Sample], told: np.ndarray, sure: float = 5.0) -> Path:
    """Write records in which each sample is told to be of a class; a later one with more confidence."""
    file.parent.mkdir(exist_ok=True)
    classification = registry.find("tasks", "classification")
    logits = np.eye(4)[told] * np.linspace(0.5, sure, len(samples))[:, None]
    space = LabelSpace(training_jobs.CLASSES, training_jobs.CLASSES)
    table = classification.rows(samples, {"logits": logits}, space, "full")
    schema.write(table, file, "fingerprint")
    return file


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights that were trained for a while."""
    state, _ = train_weights(training_jobs.job("convnet", "erm", epochs=2, batch_size=16))
    return training_jobs.write(tmp_path_factory.mktemp("begun") / "erm.safetensors", state)


def job(
    folder: Path,
    start: Path,
    told: np.ndarray,
    *,
    truth: int = 0,
    classes: tuple[str, ...] = training_jobs.CLASSES,
    **options: Any,
) -> TrainJob:
    """Return a job whose target are 48 pictures; their true labels are turned by `truth`."""
    own = [one.with_field("label", (one.fields["label"] + truth) % 4) for one in target()]
    options = OPTIONS | options
    of = refs.checkpoint("tiny", "convnet", "erm", 3)  # the job's own seed is derived from it
    inputs: dict[Ref, Path] = {
        of: start,
        refs.records(of, options.get("method", "plain"), "there/test/identity", "0"): records(
            folder / "records.parquet", own, told
        ),
        refs.shards("there", "test"): write(folder / "there", own, classes),
        refs.records(of, "plain", "judged/test/identity", "0"): records(
            folder / "judged.parquet", target(seed=8), told
        ),
        refs.records(of, "plain", "same/test/identity", "0"): records(folder / "same.parquet", target()[:3], told[:3]),
    }
    return training_jobs.job("convnet", "pseudo_labels", inputs=inputs, **options)


def target(seed: int = 7) -> list[Sample]:
    return training_jobs.pictures(48, seed=seed)


def right(state: nets.State, told: np.ndarray) -> float:
    net = registry.find("models", "convnet").build(defaults(registry.find("models", "convnet")), 4)
    net.load_state_dict(state)
    images = np.stack([one.fields["image"] for one in target(seed=9)])[:, None]
    with torch.no_grad():
        return float((net.eval()(torch.from_numpy(images)).argmax(1).numpy() == told).mean())


def test_it_learns_what_it_is_told_and_the_truth_moves_no_byte(tmp_path: Path, begun: Path) -> None:
    turned = (np.arange(48) + 1) % 4
    options = {"trained": "all", "epochs": 12, "lr": 0.003}
    one, _ = train_weights(job(tmp_path / "one", begun, turned, **options))
    two, _ = train_weights(job(tmp_path / "two", begun, turned, truth=2, **options))
    assert nets.state_bytes(one) == nets.state_bytes(two)
    assert right(one, turned) > 0.9
    assert right(nets.read_state(begun), turned) < 0.5


def test_the_loss_is_over_classes_that_the_target_has(tmp_path: Path, begun: Path) -> None:
    """Of two classes the logits of the other two get no gradient, so that rows of a free head stay."""
    told, options = 1 + 2 * (np.arange(48) % 2), {"trained": "all", "epochs": 1}
    before, rows = nets.read_state(begun)["head.weight"], {}
    for name, classes in (("four", training_jobs.CLASSES), ("two", ("d", "b"))):
        state, _ = train_weights(job(tmp_path / name, begun, told, classes=classes, **options))
        rows[name] = (state["head.weight"] != before).any(dim=1).tolist()
    assert rows == {"four": [True] * 4, "two": [False, True, False, True]}


def test_head_and_statistics_stay_where_it_is_asked(tmp_path: Path, begun: Path) -> None:
    before = nets.read_state(begun)
    kept, _ = train_weights(job(tmp_path, begun, np.arange(48) % 4, epochs=1, statistics="kept"))
    moved = {name for name in before if not torch.equal(before[name], kept[name])}
    assert not {name for name in moved if name.startswith("head.") or "running" in name}
    assert "neck.0.weight" in moved


def test_who_is_unsure_is_left_out(tmp_path: Path, begun: Path) -> None:
    one = job(tmp_path / "all", begun, np.arange(48) % 4)
    assert pseudo_labels.labelled(one)[0].tolist() == list(range(48))
    one = job(tmp_path / "sure", begun, np.arange(48) % 4, confidence=0.9)
    table = schema.read(tmp_path / "sure/records.parquet")
    sure = table.column("confidence_e9").to_numpy() >= 0.9 * formats.E9
    assert pseudo_labels.labelled(one)[0].tolist() == np.flatnonzero(sure).tolist()
    assert 0 < sure.sum() < 48
    one = dataclasses.replace(one, params={**one.params, "confidence": 0.999999})
    with pytest.raises(DataError, match="none of 48 pseudo-labels"):
        pseudo_labels.labelled(one)


def test_what_is_held_out_is_never_learnt_from(tmp_path: Path, begun: Path) -> None:
    told = np.arange(48) % 4
    train_weights(job(tmp_path / "apart", begun, told, epochs=1, held_out=["judged"]))
    with pytest.raises(DataError, match="3 of 48 target samples, first 'tiny/train/7_000', are held"):
        train_weights(job(tmp_path / "shared", begun, told, held_out=["judged", "same"]))


def test_records_of_other_samples_and_other_words_are_refused(tmp_path: Path, begun: Path) -> None:
    one = job(tmp_path, begun, np.arange(48) % 4)
    records(tmp_path / "records.parquet", target(seed=8), np.arange(48) % 4)
    with pytest.raises(DataError, match="hold other samples"):
        train_weights(one)
    with pytest.raises(ParamsError, match="trained = 'head'"):
        train_weights(dataclasses.replace(one, params={**one.params, "trained": "head"}))


def test_it_needs_what_a_method_said_of_the_target() -> None:
    context = {"dataset": "d", "model": "m", "seed": 3}
    options = {"target": "t", "split": "test", "shift": "fog", "severity": 2.5, "method": "tent"}
    found = pseudo_labels.needs({**defaults(pseudo_labels), **options, **context, "held_out": ["h"]})
    assert [f"{ref.kind}:{ref.name}" for ref in found] == [
        "checkpoints:d/m-erm-s3",
        "records:d/m-erm-s3/tent/t/test/fog/2.5",
        "shards:t/test/fog/2.5",
        "records:d/m-erm-s3/plain/h/test/identity/0",
        "shards:d/val/identity/0",
    ]


def test_the_rate_is_that_of_a_cosine_with_a_floor() -> None:
    """Of three epochs of ten steps from 5e-7 to 5e-8: the first is the highest, the middle 2.75e-7."""
    found = [5e-7 * pseudo_labels.rate(step, 30, 0.1) for step in (0, 15, 30)]
    assert found == pytest.approx([5e-7, 2.75e-7, 5e-8])
