"""Stage train: a trainer makes the checkpoint of a model from shards or from other checkpoints."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from shiftbench.base import registry, rng
from shiftbench.base.errors import ModelError
from shiftbench.base.files import scratch
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.data import schema, shards, training_log
from shiftbench.evaluation import nets
from shiftbench.plugins.contracts import LogRow, TrainJob
from shiftbench.provenance import environment
from shiftbench.provenance.recipe import Artifact, Run


def train_weights(job: TrainJob) -> tuple[nets.State, list[LogRow]]:
    """Run a trainer. The same job gives the same bytes on a CPU with the same number of threads.

    Returns:
        The state dict (names sorted, on the CPU) and the rows of the training log.

    Raises:
        ModelError: a tensor is not finite.
    """
    trainer = registry.find("trainers", job.trainer)
    with _deterministic(job.threads):
        job.determinism.update(environment.settings())
        state = trainer.train(job)
    for name, tensor in state.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise ModelError(f"{name} is not finite after training; lower the trainer's `lr`")
    return {name: state[name].detach().cpu() for name in sorted(state)}, list(job.rows)


@contextmanager
def _deterministic(threads: int) -> Iterator[None]:
    """Fix the number of threads and the kernels, and keep torch's global generator unchanged.

    New memory is not filled first, which would take a tenth of the training time. A test checks that no kernel reads
    memory that was not written.
    """
    deterministic: Any = torch.utils.deterministic
    settings = (
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
        deterministic.fill_uninitialized_memory,
    )
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(mode=True)
    deterministic.fill_uninitialized_memory = False
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        torch.set_num_threads(settings[0])
        torch.use_deterministic_algorithms(settings[1])
        deterministic.fill_uninitialized_memory = settings[2]


def run(run: Run, todo: list[Artifact], device: str = "cpu") -> None:
    """Write the checkpoint and training log of each stale artifact."""
    for artifact in todo:
        spec = artifact.recipe
        inputs = run.inputs(artifact)
        dataset = artifact.ref.parts[0]
        folder = _folders(inputs, dataset, spec.get("train_on", "identity/0"))
        job = TrainJob(
            dataset=dataset,
            model=spec["model"]["use"],
            trainer=spec["trainer"]["use"],
            seed=rng.derive(spec["seed"][0], "train", dataset, spec["model"]["name"], str(spec["seed"][1])),
            params=spec["trainer"]["options"],
            model_params=spec["model"]["options"],
            classes=_classes(dataset, inputs, spec.get("dataset")),
            inputs=inputs,
            optimizer=spec.get("optimizer", {}),
            samples=_reader(folder),
            folder=folder,
            threads=spec["threads"],
            device=device,
        )
        state, rows = train_weights(job)
        _commit(run, artifact, job, state, rows)


def _folders(inputs: Mapping[Ref, Path], dataset: str, shift: str) -> Callable[[str], Path]:
    """A function from a split to its folder of shards under `shift` (`identity/0`, `label_noise/0.4`)."""
    folders = {ref.name: path.parent for ref, path in inputs.items() if ref.kind == "shards"}
    return lambda split: folders[f"{dataset}/{split}/{shift}"]


def _reader(folder: Callable[[str], Path]) -> Callable[[str], list[Sample]]:
    """A function that reads all samples of a split."""
    return lambda split: list(shards.read(folder(split)))


def _classes(dataset: str, inputs: Mapping[Ref, Path], named: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Class names from the training shards; without shards, from the dataset's plugin and options."""
    for ref, path in inputs.items():
        if ref.kind == "shards" and ref.parts[0] == dataset:
            return tuple(shards.manifest(path.parent)["classes"])
    named = named or {"use": dataset, "options": registry.defaults(registry.find("datasets", dataset))}
    module = registry.find("datasets", named["use"])
    return tuple(module.CLASSES if hasattr(module, "CLASSES") else module.classes(named["options"], {}))


def _commit(run: Run, artifact: Artifact, job: TrainJob, state: nets.State, rows: list[LogRow]) -> None:
    output = run.path(artifact.ref)
    log = training_log.log_path(output)
    metadata = {"name": artifact.ref.name, "fingerprint": artifact.fingerprint, "classes": json.dumps(job.classes)}
    with scratch(output) as checkpoint, scratch(log) as steps:
        checkpoint.write_bytes(nets.state_bytes(state, metadata))
        schema.write(schema.training_log(rows), steps, artifact.fingerprint)
        run.note(device=job.device, determinism=job.determinism)
        run.commit(artifact, {output.name: checkpoint, log.name: steps})
