"""Stage shift: sample x severity -> shifted sample, as shards.

Clean shards (`identity`) come from the source files of a dataset. Every other shift is applied to the clean shards, so
a clone that pulled these needs no source files. The stage also writes previews for the report: a few samples of each
folder of shards.
"""

import json
import sys
from collections.abc import Iterable, Iterator
from copy import deepcopy
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from shiftbench.base import files, registry
from shiftbench.base.errors import DataError
from shiftbench.base.files import scratch
from shiftbench.base.progress import track
from shiftbench.base.refs import Ref, ShardsName
from shiftbench.base.rng import unit_hash
from shiftbench.base.sample import Sample
from shiftbench.data import dataset_card, shards, splits
from shiftbench.evaluation.apply_shift import Shifter
from shiftbench.provenance.recipe import Artifact, Run

PREVIEW_SAMPLES = 4
PREVIEW_CANDIDATES = 64
"""Samples among which previews look for classes: enough to find four, and few to read."""
KEPT_BYTES = 512_000_000


def run(run: Run, todo: list[Artifact]) -> None:
    """Write the shards of one data set, split and shift, then the previews of those that changed."""
    several = sum(artifact.ref.kind == "shards" for artifact in todo) > 1
    decoded = Decoded(KEPT_BYTES if several else 0)
    for artifact in track(todo, run.job.name):
        if artifact.ref.kind == "shards":
            make_shards(run, artifact, decoded)
    for artifact in run.todo():
        if artifact.ref.kind == "previews":
            make_preview(run, artifact)


class Decoded:
    """The samples of a folder of clean shards, decoded once for all severities.

    Decoding takes more than half as long as encoding. Samples of more than `limit` bytes together are not kept; then
    each severity reads the shards again.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._kept: dict[Path, list[Sample]] = {}

    def read(self, folder: Path) -> Iterator[Sample]:
        """Yield the samples as `shards.read` does, each time as new objects."""
        if folder in self._kept:
            yield from map(_deep_copy, self._kept[folder])
            return
        samples: list[Sample] = []
        room = self.limit
        for sample in shards.read(folder):
            room -= sum(map(_memory, sample.fields.values()))
            if room >= 0:
                samples.append(_deep_copy(sample))
            else:
                samples.clear()
            yield sample
        if room >= 0:
            self._kept = {folder: samples}


def _deep_copy(sample: Sample) -> Sample:
    """A deep copy, so that a shift may write into a sample."""
    fields = {
        name: value.copy() if isinstance(value, np.ndarray) else deepcopy(value)
        for name, value in sample.fields.items()
    }
    return Sample(sample.key, fields)


def _memory(value: object) -> int:
    """Approximate memory of a value, in bytes."""
    return value.nbytes if isinstance(value, np.ndarray) else sys.getsizeof(value)


def make_shards(run: Run, artifact: Artifact, decoded: Decoded) -> None:
    """Write one folder of shards and commit it."""
    output = run.path(artifact.ref)
    with files.scratch_folder(output) as temporary:
        if "dataset" in artifact.recipe:
            samples, about = _clean(run, artifact)
        else:
            samples, about = _shifted(run, artifact, decoded)
        task = registry.find("tasks", about["task"])
        facts = ShardsName.of(artifact.ref)._asdict()
        names = shards.write(samples, temporary, task.FIELDS, about | facts, artifact.recipe["max_mb"] * 1_000_000)
        _drop_old_tars(output.parent, names)
        tars = {name: temporary / name for name in names}
        run.commit(artifact, tars | dataset_card.write(temporary))


def _drop_old_tars(folder: Path, names: list[str]) -> None:
    for old in folder.glob("*.tar"):
        if old.name not in names:
            old.unlink()


def _clean(run: Run, artifact: Artifact) -> tuple[Iterable[Sample], dict[str, Any]]:
    """The clean samples of one split in key order, and the facts of the manifest."""
    spec, split = artifact.recipe["dataset"], ShardsName.of(artifact.ref).split
    module = registry.find("datasets", spec["use"])
    inputs = run.inputs(artifact)
    sources = {ref.name: path.parent for ref, path in inputs.items() if ref.kind == "sources"}
    other_inputs = {ref: path for ref, path in inputs.items() if ref.kind != "sources"}
    options = {**spec["options"], "name": spec["name"]}
    extra = {"inputs": other_inputs} if other_inputs else {}
    classes = list(module.classes(options, sources, **extra) if hasattr(module, "classes") else module.CLASSES)
    about = {
        "task": module.TASK,
        "classes": classes,
        "licence": options.get("licence") or module.LICENCE,
        "citation": module.CITATION,
        "redistribute": not artifact.ref.local,
        "skipped": [],
    }
    task = registry.find("tasks", module.TASK)
    native = _native(module, split, sources, options, extra)
    low, high = artifact.recipe.get("slice", (0.0, 1.0))
    of_split = splits.select_split(native, split, module, apart=artifact.recipe.get("val", "apart") == "apart")
    of_slice = splits.select_slice(of_split, low, high, module)
    subset = splits.subset(of_slice, artifact.recipe["subset"])
    checked = _readable(subset, task, classes, artifact.recipe["on_error"], about["skipped"])
    if getattr(module, "IN_ORDER", False):
        return checked, about
    return sorted(checked, key=lambda sample: sample.key), about


def _native(
    module: ModuleType, split: str, sources: dict[str, Path], options: dict[str, Any], extra: dict[str, dict[Ref, Path]]
) -> Iterator[Sample | DataError]:
    """Yield samples of the native split that `split` is cut from; a bad sample as its error."""
    yield from module.samples(splits.native(split, module), sources, options, **extra)


def _readable(
    samples: Iterable[Sample | DataError], task: ModuleType, classes: list[str], policy: str, skipped: list[str]
) -> Iterator[Sample]:
    """Yield the good samples; with `policy` "fail" a bad sample is an error, else it is added to `skipped`."""
    for sample in samples:
        try:
            if isinstance(sample, DataError):
                raise sample
            _check(sample, task, classes)
        except DataError as error:
            if policy == "fail":
                raise
            skipped.append(str(error))
            continue
        yield sample


def _check(sample: Sample, task: ModuleType, classes: list[str]) -> None:
    missing = [field for field in task.REQUIRED if field not in sample.fields]
    if missing:
        raise DataError(f"{sample.key}: field {missing[0]!r} is missing; {registry.called(task)} requires it")
    task.check(sample, classes)


def _shifted(run: Run, artifact: Artifact, decoded: Decoded) -> tuple[Iterable[Sample], dict[str, Any]]:
    """The shifted samples of clean shards, and the facts of the manifest."""
    folder = next(path.parent for ref, path in run.inputs(artifact).items() if ref.kind == "shards")
    about = shards.manifest(folder)
    shifter = Shifter.of(artifact.recipe, about["dataset"], run.inputs(artifact))
    facts = {key: about[key] for key in ("task", "classes", "licence", "citation", "redistribute")}
    return map(shifter, decoded.read(folder)), {**facts, "skipped": []}


def make_preview(run: Run, artifact: Artifact) -> None:
    """Write a few samples of a folder of shards as JSON, in the form that its task shows.

    If the shift is not stored, they are made here from clean shards. Evaluations that apply the shift while reading
    compare with them as golden samples.
    """
    folder = run.path(artifact.inputs[0]).parent
    lookup = shards.Lookup(folder)
    samples: Iterable[Sample] = map(lookup.__getitem__, preview_numbers(folder))
    about = shards.manifest(folder)
    if "shift" in artifact.recipe:
        samples = map(Shifter.of(artifact.recipe, about["dataset"], run.inputs(artifact)), samples)
    task = registry.find("tasks", about["task"])
    rows = [shown(sample, task) for sample in samples]
    output = run.path(artifact.ref)
    with scratch(output) as temporary:
        skipped = [] if "shift" in artifact.recipe else about["skipped"]
        content = {"classes": about["classes"], "skipped": skipped, "samples": rows}
        temporary.write_text(json.dumps(content, sort_keys=True))
        run.commit(artifact, {output.name: temporary})


def preview_numbers(folder: Path) -> list[int]:
    """Numbers of the samples of a preview, rising: of different classes as far as there are any.

    They are drawn by their keys, so every severity of a shift shows the same samples.
    """
    entries, lookup = shards.index(folder), shards.Lookup(folder)
    drawn = sorted(range(len(entries)), key=lambda number: unit_hash("previews", entries[number].key))
    chosen: dict[Any, int] = {}
    if "label" in shards.manifest(folder)["fields"]:
        for number in drawn[:PREVIEW_CANDIDATES]:
            chosen.setdefault(repr(lookup[number].fields["label"]), number)
            if len(chosen) == PREVIEW_SAMPLES:
                break
    rest = (number for number in drawn if number not in chosen.values())
    return sorted([*chosen.values(), *islice(rest, PREVIEW_SAMPLES - len(chosen))])


def shown(sample: Sample, task: ModuleType) -> dict[str, Any]:
    """The row of a preview: key, pixel digest, and the fields that the task shows."""
    return {"key": sample.key, "pixels": shards.pixels(sample), **task.shown(sample)}
