"""Samples made again, in a separate process: `python -m shiftbench.audit.reproduce.shard_worker SPEC`.

A task names a recipe file, the samples to make, and their expected digests.
"""

import contextlib
import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from shiftbench.audit.reproduce.worker import Answer, Task, pick, serve, watch
from shiftbench.base import registry
from shiftbench.base.sample import Sample
from shiftbench.data import sample_bytes, shards
from shiftbench.evaluation.apply_shift import Shifter
from shiftbench.provenance.recipe import Artifact, Run
from shiftbench.workflow.stages import shift


def make(task: Task, out: Path) -> Answer:
    """Make the samples of a task again.

    Args:
        task: `recipe` (a job of one artifact), `expected` (key -> sha256 and pixel digest, in the order of work).
        out: a folder for the bytes of samples that differ.

    Returns:
        `differ`, for clean shards also `keys` and `about`, for previews `shown`; or `error`; and `undeclared`.
    """
    run = Run(Path(task["recipe"]))
    with watch(run) as undeclared:
        answer = _make(run, task, out)
    return {**answer, "undeclared": undeclared()}


def _make(run: Run, task: Task, out: Path) -> Answer:
    (artifact,) = run.job.artifacts
    expected = task["expected"]
    if artifact.ref.kind == "previews":
        return {"shown": _preview(run, artifact, task)}
    if "dataset" in artifact.recipe:
        samples, about = shift._clean(run, artifact)
        keys, picked = [], {}
        for sample in samples:
            keys.append(sample.key)
            if sample.key in expected:
                picked[sample.key] = sample
        made = (picked[key] for key in expected if key in picked)
        return {"keys": keys, "about": about, "differ": list(_different(made, about, task, out))}
    inputs = run.inputs(artifact)
    folder = next(path.parent for ref, path in inputs.items() if ref.kind == "shards")
    about, at = shards.manifest(folder), {entry.key: entry for entry in shards.index(folder)}
    shifter = Shifter.of(artifact.recipe, about["dataset"], inputs)
    shifted = map(shifter, pick(folder, (at[key] for key in expected)))
    return {"differ": list(_different(shifted, about, task, out))}


def _different(samples: Iterable[Sample], about: dict[str, Any], task: Task, out: Path) -> Iterator[Answer]:
    """Yield the samples that differ; their bytes are kept in files."""
    fields = registry.find("tasks", about["task"]).FIELDS
    for sample in samples:
        data = sample_bytes.pack(sample, fields)
        digests = [hashlib.sha256(data).hexdigest(), shards.pixels(sample)]
        if digests != task["expected"][sample.key]:
            file = out / hashlib.sha256(f"{task['recipe']} {sample.key}".encode()).hexdigest()
            file.write_bytes(data)
            yield {"key": sample.key, "found": digests, "file": str(file)}


def _preview(run: Run, artifact: Artifact, task: Task) -> dict[str, Any]:
    """Rows of a preview: all, or those of the expected keys."""
    folder = run.path(artifact.inputs[0]).parent
    index = shards.index(folder)
    entries = [index[number] for number in shift.preview_numbers(folder)]
    keys = task["expected"] or {entry.key: None for entry in entries}
    about = shards.manifest(folder)
    samples: Iterable[Sample] = pick(folder, (entry for entry in entries if entry.key in keys))
    if "shift" in artifact.recipe:
        samples = map(Shifter.of(artifact.recipe, about["dataset"], run.inputs(artifact)), samples)
    kind = registry.find("tasks", about["task"])
    return {sample.key: shift.shown(sample, kind) for sample in samples}


def _vary(number: int) -> None:
    """Change this process: one CPU, another umask, reversed listings of folders."""
    os.umask(0o077)
    cpus = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cpus[number % len(cpus)]})
    _list_backwards()


def _list_backwards() -> None:
    """Make Python list every folder in reverse order."""
    module: Any = os
    listdir, scandir = os.listdir, os.scandir

    class Backwards(contextlib.AbstractContextManager[Iterator[Any]]):
        """Entries of a folder, as `os.scandir` gives them: `os.walk` iterates over the context manager itself."""

        def __init__(self, path: Any = ".") -> None:
            with scandir(path) as entries:
                self._entries = iter(list(entries)[::-1])

        def __iter__(self) -> Iterator[Any]:
            return self._entries

        def __next__(self) -> Any:
            return next(self._entries)

        def close(self) -> None:
            pass

        def __exit__(self, *_: object) -> None:
            pass

    module.listdir = lambda path=".": listdir(path)[::-1]
    module.scandir = Backwards


if __name__ == "__main__":
    serve(make, _vary)
