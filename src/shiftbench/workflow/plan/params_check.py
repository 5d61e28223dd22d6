"""Checks of plugins, options and severities in params, before any job starts."""

import contextlib
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

from shiftbench.base import registry
from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.registry import options, variants
from shiftbench.workflow.plan import params_pairs
from shiftbench.workflow.plan.params import SECTIONS, Benchmark, Params, Shift, Trainer


def check_plugins(where: str, params: Params) -> None:
    """Refuse unknown plugins, options and severities.

    Raises:
        ParamsError: names file, key, value and the allowed values.
    """
    for plugin_type in SECTIONS:
        for name in getattr(params, plugin_type):
            _check_component(where, params, plugin_type, name)
    for benchmark_name, benchmark in params.benchmarks.items():
        for plugin_type, key, name in asked(benchmark):
            try:
                registry.file(plugin_type, params.use(plugin_type, name))
            except ParamsError as error:
                listed = getattr(params, plugin_type)
                hint = f"; {suggest(name, {*listed, *registry.names(plugin_type)})}"
                raise ParamsError(
                    f"{where}: benchmarks.{benchmark_name}.{key} asks for {plugin_type} {name!r}, which is neither "
                    f"listed under {plugin_type}: nor a plugin{hint}"
                ) from error


def asked(benchmark: Benchmark) -> Iterator[tuple[str, str, str]]:
    """Yield the plugins that a benchmark names: plugin type, key, name."""
    for key, name in params_pairs.datasets(benchmark):
        yield "datasets", key, name
    for number, spec in enumerate(benchmark.models):
        for plugin_type, key in (("models", "architectures"), ("trainers", "trainers"), ("methods", "methods")):
            for name in getattr(spec, key) or ():
                yield plugin_type, f"models.{number}.{key}", name
    for plugin_type in ("shifts", "streams", "methods", "detectors", "metrics", "analyses"):
        for name in getattr(benchmark, plugin_type) or ():
            yield plugin_type, plugin_type, name


def _check_component(where: str, params: Params, plugin_type: str, name: str) -> None:
    key = f"{plugin_type}.{name}"
    try:
        module = registry.read(plugin_type, params.use(plugin_type, name))
    except ParamsError as error:
        raise type(error)(f"{where}: {key}: {error}") from error
    given = params.component(plugin_type, name).options
    wrong = [f"{where}: {key}.{line}" for line in _problems(plugin_type, module, given)]
    if wrong:
        raise ParamsError("\n".join(wrong))
    if variants.of(module) and registry.defines(module, "facts"):
        _check_facts(f"{where}: {key}", module, given)
    if plugin_type == "shifts":
        _check_severities(where, key, module, params.shifts[name])
        _check_materialise(where, key, module, params.shifts[name])
    if plugin_type == "trainers" and params.trainers[name].shifted:
        _check_train_on(f"{where}: {key}.train_on", params, params.trainers[name])


def _problems(plugin_type: str, module: ModuleType, given: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the options of a plugin; a list for an option of a detector holds values for a search."""
    for option, value in given.items():
        lines = options.problems(module, {option: value})
        if lines and plugin_type == "detectors" and isinstance(value, list) and value:
            members = (options.problems(module, {option: member}) for member in value)
            lines = next((wrong for wrong in members if wrong), [])
        yield from (f"{line}{_number_hint(value)}" for line in lines)


def _number_hint(value: object) -> str:
    """A hint for a number that YAML reads as a text, such as 1e-3."""
    with contextlib.suppress(TypeError, ValueError):
        if isinstance(value, str):
            return f"; YAML reads {value} as a text, write {float(value)!r}"
    return ""


def _check_facts(where: str, module: Any, given: dict[str, Any]) -> None:
    """Refuse options that change the declared constants of a variant."""
    if module.facts({**registry.defaults(module), **given}) != module.facts(registry.defaults(module)):
        raise ParamsError(
            f"{where}: {', '.join(given)} would change what {module.__name__} declares "
            f"({', '.join(module.facts(registry.defaults(module)))}); name the variant that has it, or write one in an "
            f"{variants.FILE} of your own"
        )


def _check_severities(where: str, key: str, module: Any, shift: Shift) -> None:
    low, high = getattr(module, "RANGE", (0.0, 5.0))
    for severity in shift.severities:
        if not low <= severity <= high:
            raise ParamsError(f"{where}: {key}.severities holds {severity:g}; allowed are {low:g} to {high:g}")
    if len(set(shift.severities)) != len(shift.severities):
        raise ParamsError(f"{where}: {key}.severities holds a value twice: {list(shift.severities)}")


def _check_train_on(where: str, params: Params, trainer: Trainer) -> None:
    shift, severity = trainer.shifted or ("identity", 0)
    try:
        module = registry.read("shifts", params.use("shifts", shift))
    except ParamsError as error:
        raise type(error)(f"{where}: {error}") from error
    low, high = getattr(module, "RANGE", (0.0, 5.0))
    if registry.defines(module, "DOMAIN") or not low <= severity <= high:
        raise ParamsError(
            f"{where} = {trainer.train_on!r}: expected a shift that can be applied, and a severity of "
            f"{low:g} to {high:g}"
        )


def _check_materialise(where: str, key: str, module: Any, shift: Shift) -> None:
    domain = getattr(module, "DOMAIN", None)
    if domain and shift.materialise is not None:
        raise ParamsError(
            f"{where}: {key}.materialise: a domain shift is other data, read from the clean shards of "
            f"{domain['dataset']!r}: there is nothing to apply; remove the key"
        )
