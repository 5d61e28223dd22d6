"""The plan of detectors: the records that they score, are fitted on, and search their options on.

Three kinds of output belong together. *Overlaps*: for each benchmark, the proof that no OOD sample is an ID sample and
no validation sample a test sample. *Searches*: for each model, method and detector with validation OOD, the options
that separate it best from ID val. *Scores*: OOD scores on each condition, with these options.
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
    """One detector on one model and method, as benchmarks request it.

    Attributes:
        checkpoint, method: the model and method that it scores.
        module, name: the plugin, and its name in params.
        options: its fixed options, defaults included.
        grid: the values of searched options; empty without a search.
        val_sets: validation OOD, as (dataset, split).
        benchmarks: names of the benchmarks that request it.
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
    def is_searched(self) -> bool:
        """Whether options are chosen on validation OOD."""
        return bool(self.grid)

    @property
    def fit(self) -> dict[str, Ref]:
        """The records that it is fitted on, by split of the ID data set."""
        return {split: self._own(split) for split in getattr(self.module, "FIT", ())}

    @property
    def search(self) -> Ref:
        """The output with the options that a search chose."""
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
    """The detector behind a Ref of scores or of a search.

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
    val_sets = _validation_sets(benchmarks, checkpoint)
    module = registry.read("detectors", params.use("detectors", name))
    grid = search_grid(params, name, module)
    if not val_sets:
        _refuse_lists(params, name, module)
        grid = {}
    options = {key: value for key, value in params.options("detectors", name).items() if key not in grid}
    return DetectorRequest(checkpoint, method, module, name, options, grid, val_sets, tuple(sorted(benchmarks)))


def _validation_sets(benchmarks: dict[str, Benchmark], checkpoint: Ref) -> tuple[tuple[str, str], ...]:
    sets_by_benchmark = {name: benchmark.val_sets for name, benchmark in benchmarks.items() if benchmark.val_sets}
    if len(set(sets_by_benchmark.values())) > 1:
        differing = "; ".join(f"benchmarks.{name}.val_ood: {sets}" for name, sets in sets_by_benchmark.items())
        raise ParamsError(
            f"detectors of {checkpoint.name} are searched on different validation OOD: {differing}; give these "
            "benchmarks the same val_ood, or other models"
        )
    return next(iter(sets_by_benchmark.values()), ())


def search_grid(params: Params, name: str, module: ModuleType) -> dict[str, list[Any]]:
    """The values that a search tries: lists in params, and the detector's GRID for options that params leave out."""
    options = params.component("detectors", name).options
    defaults = {key: values for key, values in getattr(module, "GRID", {}).items() if key not in options}
    return {key: list(values) for key, values in {**defaults, **_lists(options, module)}.items()}


def _lists(options: dict[str, Any], module: ModuleType) -> dict[str, list[Any]]:
    """The options with a list of values to search, without those whose value is a list."""
    return {
        key: value
        for key, value in options.items()
        if isinstance(value, list) and not isinstance(registry.defaults(module).get(key), list | tuple)
    }


def _refuse_lists(params: Params, name: str, module: ModuleType) -> None:
    for key, value in _lists(params.component("detectors", name).options, module).items():
        raise ParamsError(
            f"detectors.{name}.{key} = {value!r}: a list of values is searched on validation OOD, and a benchmark with "
            f"{name} has none; give one value, or name sets under the benchmark's `val_ood:`"
        )


def inputs_of(records: Ref, module: ModuleType, outputs: str) -> list[Ref]:
    """The inputs of a detector for some records: the records and, if it needs them, their features."""
    needs = set(module.NEEDS)
    needs_features = "features" in needs or ("logits" in needs and outputs != "full")
    return [records, refs.features(records)] if needs_features else [records]


def sets(benchmark: Benchmark, params: Params) -> list[tuple[str, str, str]]:
    """The sets of a benchmark's detection, as (role, dataset, split): ID, groups of OOD, validation OOD, support.

    Data sets that streams read instead of an ID or OOD set have its role. Support must not be tested.
    """
    rows = [("id", benchmark.dataset, split) for split in _id_splits(benchmark, params)]
    rows += [(group or "ood", name, benchmark.split) for name, group in benchmark.ood_groups.items()]
    rows += [("val_ood", name, split) for name, split in benchmark.val_sets]
    rows += _read_by_streams(benchmark, params)
    return rows + [("support", name, split) for name, split in support(benchmark, params)]


def _read_by_streams(benchmark: Benchmark, params: Params) -> list[tuple[str, str, str]]:
    """The data sets that streams read instead of the ID set or an OOD set (`Step.reads`)."""
    roles = {name: group or "ood" for name, group in benchmark.ood_groups.items()}
    roles[benchmark.dataset] = "id"
    conditions = [condition for name in benchmark.streams for condition in Conditions(params).walk(name)]
    sets_ = {
        (roles[condition.dataset], condition.data.parts[0], condition.data.parts[1])
        for condition in conditions
        if condition.dataset in roles and condition.data.parts[0] != condition.dataset
    }
    return sorted(sets_)


def support(benchmark: Benchmark, params: Params) -> list[tuple[str, str]]:
    """The (dataset, split) of the support in the streams of a benchmark."""
    conditions = [condition for name in benchmark.streams for condition in Conditions(params).walk(name)]
    splits = [part.data.parts[:2] for condition in conditions for part in condition.support]
    return sorted({(dataset, split) for dataset, split in splits})


def _id_splits(benchmark: Benchmark, params: Params) -> list[str]:
    modules = [registry.read("detectors", params.use("detectors", name)) for name in benchmark.detectors]
    splits = {split for module in modules for split in getattr(module, "FIT", ())}
    splits |= {"val"} if benchmark.val_sets else set()
    return sorted({benchmark.split, *splits, *benchmark.features})
