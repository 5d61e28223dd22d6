"""Checks of the combinations in a benchmark: tasks, fields, roles of OOD sets, metrics with rows."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from types import ModuleType
from typing import Any

from shiftbench.base import registry
from shiftbench.base.errors import NotRunError, ParamsError, check_all, suggest
from shiftbench.workflow.plan.params import Benchmark, Params

_NEED_OOD = ("detection",)
"""Kinds of metrics that compare scores of the benchmark's data set with those of OOD sets."""
_PLACES = ("path", "root", "ids")
"""Options of datasets with the place of the user's data; `ids` are those of the package ir_datasets."""
_PUBLISHED = "alexnet"
"""A normaliser with published errors, which is not evaluated."""
_TOLD = 12
"""Most fitting parts that a message names."""


def check(where: str, params: Params) -> None:
    """Refuse combinations in a benchmark that do not fit; all of them at once.

    Args:
        where: the files.
        params: params with existing plugins and with trainers for all models.

    Raises:
        ParamsError: names file, key, value and the allowed values.
    """
    check_all(
        partial(check_part, f"{where}: benchmarks.{name}{key}", params, benchmark)
        for name, benchmark in params.benchmarks.items()
        for check_part, key in _CHECKS
    )


def _module(params: Params, plugin_type: str, name: str) -> ModuleType:
    return registry.read(plugin_type, params.use(plugin_type, name))


def datasets(benchmark: Benchmark) -> Iterator[tuple[str, str]]:
    """Yield the datasets that a benchmark names, each with its key."""
    yield "dataset", benchmark.dataset
    for name, group in benchmark.ood_groups.items():
        yield f"ood.{group}" if group else "ood", name
    for name, _ in benchmark.val_sets:
        yield "val_ood", name
    for number, spec in enumerate(benchmark.models):
        if spec.dataset:
            yield f"models.{number}.dataset", spec.dataset


def _check_data(where: str, params: Params, benchmark: Benchmark) -> None:
    """Refuse the user's own data sets without a path."""
    for key, name in datasets(benchmark):
        options = params.options("datasets", name)
        lacking = [option for option in _PLACES if options.get(option) == ""]
        if lacking and not any(options.get(option) for option in _PLACES):
            raise ParamsError(
                f"{where}.{key}: nothing says where {name!r} lies on this machine; expected "
                f"`datasets: {{{name}: {{{lacking[0]}: FOLDER}}}}`"
            )


def _check_task(where: str, params: Params, benchmark: Benchmark) -> None:
    """Refuse datasets and models of another task than the benchmark's dataset."""
    task = _module(params, "datasets", benchmark.dataset).TASK
    named = [("datasets", key, name) for key, name in datasets(benchmark)]
    named += [
        ("models", f"models.{number}.architectures", name)
        for number, spec in enumerate(benchmark.models)
        for name in spec.architectures
    ]
    for plugin_type, key, name in named:
        other = _task(_module(params, plugin_type, name), task)
        if other != task:
            raise ParamsError(
                f"{where}.{key}: {name!r} is of the task {other}, and {benchmark.dataset!r} of {task}; "
                f"expected {plugin_type} of {task}"
            )


def _check_parts(where: str, params: Params, benchmark: Benchmark) -> None:
    """Refuse trainers and methods for other tasks than the benchmark's."""
    task = _module(params, "datasets", benchmark.dataset).TASK
    for plugin_type, key, name in _parts(benchmark):
        tasks = getattr(_module(params, plugin_type, name), "TASKS", None)
        if tasks is not None and task not in tasks:
            fitting = [one for one in registry.names(plugin_type) if _fits(plugin_type, one, task)]
            more = f" and {len(fitting) - _TOLD} more" if len(fitting) > _TOLD else ""
            raise ParamsError(
                f"{where}.{key}: {name!r} is for {' and '.join(tasks)}, and {benchmark.dataset!r} is of the task "
                f"{task}; {plugin_type} for it: {', '.join(fitting[:_TOLD])}{more}"
            )


def _parts(benchmark: Benchmark) -> Iterator[tuple[str, str, str]]:
    """Yield the trainers and methods that a benchmark names: family, key, name."""
    for name in benchmark.methods:
        yield "methods", "methods", name
    for number, spec in enumerate(benchmark.models):
        for name in spec.trainers:
            yield "trainers", f"models.{number}.trainers", name
        for name in spec.methods or ():
            yield "methods", f"models.{number}.methods", name


def _fits(plugin_type: str, name: str, task: str) -> bool:
    """Whether a plugin fits a task; one that declares none fits each."""
    return task in getattr(registry.read(plugin_type, name), "TASKS", (task,))


def _check_nets(where: str, params: Params, benchmark: Benchmark) -> None:
    """Refuse methods and detectors that need a torch model, with models that are black boxes."""
    for number, spec in enumerate(benchmark.models):
        named = [("methods", name) for name in spec.methods or benchmark.methods]
        named += [("detectors", name) for name in benchmark.detectors]
        black = [name for name in spec.architectures if _is_black_box(_module(params, "models", name))]
        for plugin_type, name in named if black else ():
            if "net" in getattr(_module(params, plugin_type, name), "NEEDS", ()):
                raise ParamsError(
                    f"{where}.models.{number}.architectures: {name!r} of {plugin_type} looks into a torch net, and "
                    f"{black[0]!r} ({params.use('models', black[0])}) is a black box; leave one of them out"
                )


def _is_black_box(module: ModuleType) -> bool:
    """Whether a model has its own predictor instead of features and logits."""
    return registry.defines(module, "load") or registry.defines(module, "predictor")


def _check_scored(where: str, params: Params, benchmark: Benchmark) -> None:
    """Refuse detectors for records without logits."""
    task = _module(params, "datasets", benchmark.dataset).TASK
    if benchmark.detectors and "logits" not in _columns(task):
        raise ParamsError(
            f"{where}: {benchmark.detectors[0]!r} scores logits, which records of {task} do not have; remove the key"
        )


def _columns(task: str) -> set[str]:
    """The columns of the records of a task."""
    return {name for form in registry.read("tasks", task).FORMATS for name in form.names}


def _task(module: ModuleType, default: str) -> str:
    try:
        return str(getattr(module, "TASK", default))
    except NotRunError:
        return default


def _check_fields(where: str, params: Params, benchmark: Benchmark) -> None:
    """Refuse shifts of a field that the samples lack, and shifts that move pixels under a fixed field."""
    task = _module(params, "datasets", benchmark.dataset).TASK
    fields, still = (getattr(registry.read("tasks", task), what, ()) for what in ("FIELDS", "STILL"))
    for name in benchmark.shifts:
        module = _module(params, "shifts", name)
        if still and getattr(module, "MOVES", False):
            raise ParamsError(
                f"{where}: {name} moves pixels, and the {still[0]} of {task} stays where it is; expected a shift that "
                "moves none"
            )
        changed = getattr(module, "FIELDS", {getattr(module, "FIELD", None)}) - {None}
        for field in sorted(changed - set(fields)):
            raise ParamsError(
                f"{where}: {name} changes the {field} of a sample, which the {task} of {benchmark.dataset!r} has not; "
                f"it has {', '.join(fields)}"
            )


def _check_ood(where: str, params: Params, benchmark: Benchmark) -> None:
    """Refuse OOD sets with two roles, and groups with the name of a data set."""
    groups = {group for group in benchmark.ood_groups.values() if group}
    if isinstance(benchmark.ood, dict):
        names = [name for members in benchmark.ood.values() for name in members]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ParamsError(f"{where}.ood names {twice[0]!r} twice; a set belongs to one group")
    if benchmark.dataset in benchmark.ood_groups:
        raise ParamsError(
            f"{where}.ood names {benchmark.dataset!r}, the benchmark's own dataset, which is ID; name a dataset of "
            "other classes"
        )
    known = {*params.datasets, *registry.names("datasets")}
    for group in sorted(groups & known):
        raise ParamsError(
            f"{where}.ood: the group {group!r} is named like a dataset; its mean would be taken for that dataset's row"
        )
    _check_val_ood(where, benchmark)
    if benchmark.full_spectrum and not (benchmark.shifts and benchmark.detectors):
        raise ParamsError(
            f"{where}.full_spectrum: true, but there are no shifts or no detectors; name some or remove the key"
        )
    if benchmark.ood and not benchmark.detectors:
        raise ParamsError(
            f"{where}.ood: no detector looks at these sets; name some under `detectors:`, or remove the key"
        )


def _check_val_ood(where: str, benchmark: Benchmark) -> None:
    for number, (name, split) in enumerate(benchmark.val_sets):
        if name == benchmark.dataset:
            raise ParamsError(
                f"{where}.val_ood names {name!r}, the benchmark's own dataset, which is ID; name a dataset of other "
                "classes"
            )
        if name in benchmark.ood_groups and split == benchmark.split:
            raise ParamsError(
                f"{where}.val_ood: {name}/{split} is also tested; options may not be chosen on what is tested. "
                f"Take another set, or another split of it (`{name}/{'val' if split != 'val' else 'train'}`)"
            )
        if (name, split) in benchmark.val_sets[:number]:
            raise ParamsError(f"{where}.val_ood: {name}/{split} stands twice; each may stand once")


def _check_metrics(where: str, params: Params, benchmark: Benchmark) -> None:
    """Refuse named metrics without rows: of another task, or of OOD sets if there are none."""
    task = _module(params, "datasets", benchmark.dataset).TASK
    columns = _columns(task)
    asked = params.metrics if benchmark.metrics is None else benchmark.metrics
    options = {name: params.options("metrics", name) for name in asked}
    normalised = [partial(_check_normaliser, f"{where}: {name}", benchmark, options[name]) for name in asked]
    sources = [partial(_check_sources, f"{where}: {name}", params, name, asked) for name in asked]
    check_all([*(normalised if benchmark.shifts else ()), *sources])
    for name in benchmark.metrics or ():
        module = _module(params, "metrics", name)
        lacking = [column for column in getattr(module, "COLUMNS", ()) if column not in columns]
        if lacking:
            raise ParamsError(
                f"{where}: {name} is of another task: it reads {lacking[0]}, which records of {task} do not have"
            )
        if module.KIND in _NEED_OOD and not (benchmark.ood and benchmark.detectors):
            raise ParamsError(
                f"{where}: {name} compares scores of detectors on OOD sets; name some under `ood:` and `detectors:`"
            )


def _check_sources(where: str, params: Params, name: str, asked: Collection[str]) -> None:
    """Refuse a metric that is computed from the rows of another one which the benchmark does not have."""
    module = _module(params, "metrics", name)
    for source in module.sources(params.options("metrics", name)) if hasattr(module, "sources") else ():
        if source not in asked and source in registry.names("metrics"):
            raise ParamsError(
                f"{where} is computed from {source!r}, which is not among its metrics; add `{source}: {{}}` to metrics"
            )


def _check_normaliser(where: str, benchmark: Benchmark, options: Mapping[str, Any]) -> None:
    """Refuse a metric that is relative to a model which the benchmark does not have."""
    normaliser = options.get("normaliser")
    if normaliser is None or normaliser == _PUBLISHED:
        return
    names = {f"{one}-{trainer}" for spec in benchmark.models for one in spec.architectures for trainer in spec.trainers}
    if re.sub(r"-s\d+$", "", str(normaliser).rpartition("/")[2]) not in names:
        raise ParamsError(
            f"{where}: its normaliser {normaliser!r} is none of the benchmark's models; "
            f"{suggest(str(normaliser), names)}"
        )


_CHECKS: tuple[tuple[Callable[[str, Params, Benchmark], None], str], ...] = (
    (_check_data, ""),
    (_check_task, ""),
    (_check_parts, ""),
    (_check_nets, ""),
    (_check_scored, ".detectors"),
    (_check_fields, ".shifts"),
    (_check_ood, ""),
    (_check_metrics, ".metrics"),
)
"""The checks of a benchmark, each with the key that its messages begin with. None needs another one's success."""
