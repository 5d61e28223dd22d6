"""Samples made again, in a process of its own: `python -m shiftbench.audit._rebuild SPEC`.

The specification, JSON that `_elsewhere.py` writes, names recipe files, what is to be made of each, and the digests
that are expected. Answers go to a JSON file beside it; the bytes of samples that differ lie beside that.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from shiftbench import plugins
from shiftbench.data import shards
from shiftbench.data.shards import Entry
from shiftbench.errors import ChecksumError
from shiftbench.inference.apply_shift import Shifter
from shiftbench.provenance import environment
from shiftbench.provenance.recipe import Cell, Run
from shiftbench.sample import Sample
from shiftbench.stages import shift

Task = dict[str, Any]
Answer = dict[str, Any]


def pick(folder: Path, entries: Iterable[Entry]) -> Iterator[Sample]:
    """Yield some samples of a folder of shards, read from where they lie in their tars.

    Raises:
        ChecksumError: a sample's bytes are not those of the index.
    """
    wanted = {extension: name for name, extension in shards.manifest(folder)["fields"].items()}
    for tar, group in itertools.groupby(entries, key=lambda entry: entry.tar):
        with (folder / tar).open("rb") as stream:
            for entry in group:
                stream.seek(entry.offset)
                data = stream.read(entry.size)
                if hashlib.sha256(data).hexdigest() != entry.sha256:
                    raise ChecksumError(f"{folder / tar}: sample {entry.key!r} is damaged")
                yield Sample(entry.key, shards._unpack(memoryview(data), entry.key, wanted))


def make(task: Task, out: Path) -> Answer:
    """Make again what a task names.

    Args:
        task: `recipe` (a job of one cell), `expected` (key -> sha256 and pixel digest, in the order of work).
        out: a folder for the bytes of what differs.

    Returns:
        `differ`, of clean shards also `keys` and `about`, of previews `shown`; or `error`.
    """
    run = Run(Path(task["recipe"]))
    (cell,) = run.job.cells
    if cell.ref.kind == "previews":
        return {"shown": _preview(run, cell, task)}
    if "dataset" in cell.recipe:
        return _clean(run, cell, task, out)
    return _shifted(run, cell, task, out)


def _clean(run: Run, cell: Cell, task: Task, out: Path) -> Answer:
    samples, about = shift._clean(run, cell)
    keys, picked = [], {}
    for sample in samples:
        keys.append(sample.key)
        if sample.key in task["expected"]:
            picked[sample.key] = sample
    made = (picked[key] for key in task["expected"] if key in picked)
    return {"keys": keys, "about": about, "differ": list(_different(made, about, task, out))}


def _shifted(run: Run, cell: Cell, task: Task, out: Path) -> Answer:
    inputs = run.inputs(cell)
    folder = next(path.parent for ref, path in inputs.items() if ref.kind == "shards")
    about = shards.manifest(folder)
    at = {entry.key: entry for entry in shards.index(folder)}
    shifter = Shifter.of(cell.recipe, about["dataset"], inputs)
    samples = pick(folder, (at[key] for key in task["expected"]))
    return {"differ": list(_different(map(shifter, samples), about, task, out))}


def _different(
    samples: Iterable[Sample], about: dict[str, Any], task: Task, out: Path
) -> Iterator[Answer]:
    """Yield what is not as expected; its bytes are kept in a file."""
    fields = plugins.find("tasks", about["task"]).FIELDS
    for sample in samples:
        data = shards.pack(sample, fields)
        found = [hashlib.sha256(data).hexdigest(), shards.pixels(sample)]
        if found != task["expected"][sample.key]:
            file = out / hashlib.sha256(f"{task['recipe']} {sample.key}".encode()).hexdigest()
            file.write_bytes(data)
            yield {"key": sample.key, "found": found, "file": str(file)}


def _preview(run: Run, cell: Cell, task: Task) -> dict[str, Any]:
    """Return the rows of a preview: all, or those of the expected keys."""
    folder = run.path(cell.inputs[0]).parent
    entries = shards.index(folder)[: shift.PREVIEW_SAMPLES]
    keys = task["expected"] or {entry.key: None for entry in entries}
    about = shards.manifest(folder)
    samples: Iterable[Sample] = pick(folder, (entry for entry in entries if entry.key in keys))
    if "shift" in cell.recipe:
        samples = map(Shifter.of(cell.recipe, about["dataset"], run.inputs(cell)), samples)
    kind = plugins.find("tasks", about["task"])
    return {sample.key: shift.shown(sample, kind) for sample in samples}


def guarded(make: Callable[[Task, Path], Answer], task: Task, out: Path) -> Answer:
    """Return what `make` answers, or its error: one task that breaks spoils no other."""
    try:
        return make(task, out)
    except Exception as error:  # noqa: BLE001 - plugins and foreign bytes raise what they like
        return {"error": f"{type(error).__name__}: {error}"}


def in_fork(make: Callable[[Task, Path], Answer], task: Task, out: Path) -> Answer:
    """Return what `make` answers in a process that has done nothing before, and is gone afterwards."""
    file = out / "fork.json"
    file.unlink(missing_ok=True)
    child = os.fork()
    if not child:
        with contextlib.suppress(BaseException):
            file.write_text(json.dumps(guarded(make, task, out)))
        os._exit(0)
    os.waitpid(child, 0)
    if not file.is_file():
        return {"error": "the process ended early (killed, or out of memory)"}
    answer: Answer = json.loads(file.read_text())
    return answer


def _elsewhere(spec: dict[str, Any]) -> None:
    """Take what a process can only do to itself: one CPU, another umask, folders listed backwards."""
    os.umask(0o077)
    cpus = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cpus[spec["number"] % len(cpus)]})
    _list_backwards()


def _list_backwards() -> None:
    listdir, scandir = os.listdir, os.scandir

    class Backwards(contextlib.AbstractContextManager[Iterator[Any]]):
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

    os.listdir = lambda path=".": listdir(path)[::-1]  # type: ignore[assignment]
    os.scandir = Backwards  # type: ignore[assignment]


def answers(spec: dict[str, Any], out: Path) -> dict[str, Any]:
    """Do all tasks of a specification: those that must be first and only ones before the others."""
    plugins.Folders.use(tuple(Path(folder) for folder in spec["plugins"]))
    tasks: list[Task] = spec["tasks"]
    first = sorted(range(len(tasks)), key=lambda i: not tasks[i].get("alone"))
    found = {i: (in_fork if tasks[i].get("alone") else guarded)(make, tasks[i], out) for i in first}
    return {"environment": environment.describe(), "answers": [found[i] for i in range(len(tasks))]}


def main(file: Path) -> None:
    """Read a specification, write the answers beside it."""
    spec = json.loads(file.read_text())
    _elsewhere(spec)
    file.with_suffix(".answers").write_text(json.dumps(answers(spec, file.parent)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
