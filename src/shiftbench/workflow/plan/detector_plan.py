"""What detectors are made from: the rows that they score and are fitted on, and where their options are searched.

Three kinds of output belong together. *Overlaps*: for each benchmark, the proof that no OOD sample is an ID sample and
no validation sample a test sample. *Searches*: for each (weights, method, detector) with validation OOD, the
options that tell it best from ID val. *Scores*: of each evaluation point, with the options found.
"""

from dataclasses import dataclass
from types import ModuleType
from typing import Any

from shiftbench.base import refs, registry
from shiftbench.base.errors import ParamsError
from shiftbench.base.refs import Ref
from shiftbench.workflow.plan.conditions import Conditions
from shiftbench.workflow.plan.params import Benchmark, Params

Content = dict[str, Any]


@dataclass(frozen=True, slots=True)
class DetectorRequest:
    """One detector on one (weights, method), as params ask for it.

    Attributes:
        weights, method: what it looks at.
        module, name: the detector's file, and its name in params.
        options: its options, defaults included.
        grid: the values that are tried of some of them; empty: nothing is searched.
        val_sets: validation OOD, as (dataset, split).
        benchmarks: those that ask.
    """

    checkpoint: Ref
    method: str
    module: ModuleType
    name: str
    options: dict[str, Any]
    grid: dict[str, list[Any]]
    val_sets: tuple[tuple[str, str], ...]
    benchmarks: tuple[str, ...]

    @property
    def searched(self) -> bool:
        """Whether options are chosen on validation OOD."""
        return bool(self.grid)

    @property
    def fit(self) -> dict[str, Ref]:
        """The records that it is fitted on, by split of the ID dataset."""
        return {split: self._own(split) for split in getattr(self.module, "FIT", ())}

    @property
    def search(self) -> Ref:
        """Where the options that were found stand."""
        return Ref("searches", f"{self.checkpoint.name}/{self.method}/{self.name}")

    @property
    def id_val(self) -> Ref:
        """The ID records that options are searched on."""
        return self._own("val")

    @property
    def ood_val(self) -> list[Ref]:
        """The OOD records that options are searched on."""
        return [self._records(dataset, split) for dataset, split in self.val_sets]

    def _own(self, split: str) -> Ref:
        return self._records(self.checkpoint.parts[0], split)

    def _records(self, dataset: str, split: str) -> Ref:
        return refs.records(self.checkpoint, self.method, f"{dataset}/{split}/identity", "0")


def request(params: Params, conditions: Conditions, ref: Ref) -> DetectorRequest:
    """Return the detector behind a Ref of scores or of a search.

    Raises:
        ParamsError: benchmarks disagree on the validation OOD, or a list of values has no validation OOD.
    """
    dataset, model, method, name, *_ = ref.parts
    checkpoint = Ref("checkpoints", f"{dataset}/{model}")
    benchmarks = {
        benchmark_name: benchmark
        for benchmark_name, benchmark in params.benchmarks.items()
        if name in benchmark.detectors and conditions.evaluates(benchmark_name, checkpoint, method)
    }
    val_sets = _agreed(benchmarks, checkpoint)
    module = registry.read("detectors", params.use("detectors", name))
    grid = grid_of(params, name, module)
    if not val_sets:
        _refuse_lists(params, name, module)
        grid = {}
    options = {key: value for key, value in params.options("detectors", name).items() if key not in grid}
    return DetectorRequest(checkpoint, method, module, name, options, grid, val_sets, tuple(sorted(benchmarks)))


def _agreed(benchmarks: dict[str, Benchmark], checkpoint: Ref) -> tuple[tuple[str, str], ...]:
    found = {name: benchmark.val_sets for name, benchmark in benchmarks.items() if benchmark.val_sets}
    if len(set(found.values())) > 1:
        said = "; ".join(f"benchmarks.{name}.val_ood: {sets}" for name, sets in found.items())
        raise ParamsError(
            f"detectors of {checkpoint.name} are searched on different validation OOD: {said}; give these benchmarks "
            "the same val_ood, or other weights"
        )
    return next(iter(found.values()), ())


def grid_of(params: Params, name: str, module: ModuleType) -> dict[str, list[Any]]:
    """Return the values that a search would try: lists in params, else the detector's GRID where params say nothing."""
    given = params.component("detectors", name).options
    listed = _lists(given, module)
    own = {key: values for key, values in getattr(module, "GRID", {}).items() if key not in given}
    return {key: list(values) for key, values in {**own, **listed}.items()}


def _lists(given: dict[str, Any], module: ModuleType) -> dict[str, list[Any]]:
    return {
        key: value
        for key, value in given.items()
        if isinstance(value, list) and not isinstance(module.PARAMS.get(key), list | tuple)
    }


def _refuse_lists(params: Params, name: str, module: ModuleType) -> None:
    for key, value in _lists(params.component("detectors", name).options, module).items():
        raise ParamsError(
            f"detectors.{name}.{key} = {value!r}: a list of values is searched on validation OOD, and a benchmark that "
            f"asks for {name} has none; give one value, or name sets under the benchmark's `val_ood:`"
        )


def rows_of(records: Ref, module: ModuleType, outputs: str) -> list[Ref]:
    """Return what a detector reads of an artifact: its records and, where it needs them, what was kept beside."""
    needs = set(module.NEEDS)
    kept = "features" in needs or ("logits" in needs and outputs != "full")
    return [records, refs.features(records)] if kept else [records]


def sets(benchmark: Benchmark, params: Params) -> list[tuple[str, str, str]]:
    """Return the sets that detection compares, as (role, dataset, split): ID, groups of OOD, validation OOD.

    And what streams read in their place, and the support that methods are shown, of which nothing may be tested.
    """
    found = [("id", benchmark.dataset, split) for split in _id_splits(benchmark, params)]
    found += [(group or "ood", name, benchmark.split) for name, group in benchmark.ood_groups.items()]
    found += [("val_ood", name, split) for name, split in benchmark.val_sets]
    found += _read_in_place(benchmark, params)
    return found + [("support", name, split) for name, split in support(benchmark, params)]


def _read_in_place(benchmark: Benchmark, params: Params) -> list[tuple[str, str, str]]:
    """Return what streams read as the benchmark's ID set or as one of its OOD sets (`Step.reads`)."""
    roles = {name: group or "ood" for name, group in benchmark.ood_groups.items()}
    roles[benchmark.dataset] = "id"
    conditions = [condition for name in benchmark.streams for condition in Conditions(params).walk(name)]
    found = {
        (roles[condition.dataset], condition.data.parts[0], condition.data.parts[1])
        for condition in conditions
        if condition.dataset in roles and condition.data.parts[0] != condition.dataset
    }
    return sorted(found)


def support(benchmark: Benchmark, params: Params) -> list[tuple[str, str]]:
    """Return the (dataset, split) of what the streams of a benchmark show."""
    conditions = [condition for name in benchmark.streams for condition in Conditions(params).walk(name)]
    shown = [one.data.parts[:2] for condition in conditions for one in condition.support]
    return sorted({(dataset, split) for dataset, split in shown})


def _id_splits(benchmark: Benchmark, params: Params) -> list[str]:
    modules = [registry.read("detectors", params.use("detectors", name)) for name in benchmark.detectors]
    read = {split for module in modules for split in getattr(module, "FIT", ())}
    read |= {"val"} if benchmark.val_sets else set()
    return sorted({benchmark.split, *read, *benchmark.features})
