"""What is wrong with params, told with file, key, value and what is allowed, before any job starts."""

from __future__ import annotations

import contextlib
from typing import Any

import pydantic
from pydantic import BaseModel

from shiftbench import entries, plugins
from shiftbench.errors import ParamsError, near
from shiftbench.plan.params import (
    SECTIONS,
    Campaign,
    Params,
    Shift,
    Trainer,
)

_AT_LEAST_ONE = ("batch_size", "epochs", "hidden", "width")
"""Options that count something without which a model or a training is nothing."""


def explain(where: str, error: pydantic.ValidationError, whole: type[BaseModel]) -> str:
    """Return what is wrong with params, one line each: key, value, and what is allowed.

    Args:
        where: the files.
        error: of the check against `whole`.
        whole: the model of all params, for the keys that are near a wrong one.
    """
    lines = [f"{where}: {error.error_count()} wrong parameter(s)"]
    for problem in error.errors():
        path = [str(part) for part in problem["loc"]]
        key = ".".join(path)
        if problem["type"] == "extra_forbidden":
            lines.append(f"  {key}: unknown key; {near(path[-1], _known_keys(path[:-1], whole))}")
        else:
            lines.append(f"  {key} = {problem['input']!r}: {problem['msg']}")
    return "\n".join(lines)


def _known_keys(path: list[str], whole: type[BaseModel]) -> list[str]:
    """Return the keys that are allowed at a path of params.yaml."""
    model: Any = whole
    for part in path:
        if isinstance(model, type) and issubclass(model, BaseModel) and part in model.model_fields:
            model = model.model_fields[part].annotation
            args = getattr(model, "__args__", ())
            model = next(
                (a for a in args if isinstance(a, type) and issubclass(a, BaseModel)), model
            )
    fields = getattr(model, "model_fields", {})
    return list(fields)


def check_plugins(where: str, params: Params) -> None:
    """Refuse plugins that do not exist, and options and severities that they do not have.

    Raises:
        ParamsError: names file, key, value and what is allowed.
    """
    for family in SECTIONS:
        for name in getattr(params, family):
            _check_component(where, params, family, name)
    for campaign_name, campaign in params.campaigns.items():
        for family, name in _asked(campaign):
            try:
                plugins.file(family, params.use(family, name))
            except ParamsError as error:
                listed = getattr(params, family)
                hint = f"; {near(name, {*listed, *plugins.names(family)})}"
                raise ParamsError(
                    f"{where}: campaigns.{campaign_name} asks for {family} {name!r}, which is neither "
                    f"listed under {family}: nor a plugin file{hint}"
                ) from error
        _check_ood(f"{where}: campaigns.{campaign_name}", params, campaign)
        _check_fields(f"{where}: campaigns.{campaign_name}.shifts", params, campaign)


def _check_fields(where: str, params: Params, campaign: Campaign) -> None:
    """Refuse shifts of a field that the samples of the dataset do not have."""
    task = plugins.find("datasets", params.use("datasets", campaign.dataset)).TASK
    fields = plugins.find("tasks", task).FIELDS
    for name in campaign.shifts:
        field = getattr(plugins.find("shifts", params.use("shifts", name)), "FIELD", None)
        if field is not None and field not in fields:
            raise ParamsError(
                f"{where}: {name} changes the {field} of a sample, which the {task} of {campaign.dataset!r} has not; "
                f"it has {', '.join(fields)}"
            )


def _check_ood(where: str, params: Params, campaign: Campaign) -> None:
    """Refuse OOD sets that play two parts, and groups whose name is a dataset's."""
    groups = {group for group in campaign.ood_groups.values() if group}
    if isinstance(campaign.ood, dict):
        names = [name for members in campaign.ood.values() for name in members]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ParamsError(f"{where}.ood names {twice[0]!r} twice; a set belongs to one group")
    if campaign.dataset in campaign.ood_groups:
        raise ParamsError(
            f"{where}.ood names {campaign.dataset!r}, the campaign's own dataset, which is ID; name a dataset of "
            "other classes"
        )
    known = {*params.datasets, *plugins.names("datasets")}
    for group in sorted(groups & known):
        raise ParamsError(
            f"{where}.ood: the group {group!r} is named like a dataset; its mean would be taken for that dataset's row"
        )
    for name, split in campaign.val_sets:
        if name == campaign.dataset or (name in campaign.ood_groups and split == campaign.split):
            raise ParamsError(
                f"{where}.val_ood: {name}/{split} is also tested; options may not be chosen on what is tested. "
                f"Take another set, or another split of it (`{name}/val`)"
            )
    if campaign.full_spectrum and not (campaign.shifts and campaign.detectors):
        raise ParamsError(
            f"{where}.full_spectrum: true, but there are no shifts or no detectors; name some or remove the key"
        )


def _asked(campaign: Campaign) -> list[tuple[str, str]]:
    asked = [("datasets", campaign.dataset)]
    asked += [("datasets", name) for name in campaign.ood_groups]
    asked += [("datasets", name) for name, _ in campaign.val_sets]
    asked += [("datasets", spec.dataset) for spec in campaign.weights if spec.dataset]
    for spec in campaign.weights:
        asked += [("models", name) for name in spec.models]
        asked += [("trainers", name) for name in spec.trainers]
        asked += [("methods", name) for name in spec.methods or ()]
    asked += [("shifts", name) for name in campaign.shifts]
    asked += [("streams", name) for name in campaign.streams]
    asked += [("methods", name) for name in campaign.methods]
    asked += [("detectors", name) for name in campaign.detectors]
    asked += [("metrics", name) for name in campaign.metrics or ()]
    asked += [("analyses", name) for name in campaign.analyses]
    return asked


def _check_component(where: str, params: Params, family: str, name: str) -> None:
    key = f"{family}.{name}"
    try:
        module = plugins.find(family, params.use(family, name))
    except ParamsError as error:
        raise ParamsError(f"{where}: {key}: {error}") from error
    allowed: dict[str, Any] = getattr(module, "PARAMS", {})
    given = params.component(family, name).options
    for option, value in given.items():
        if option not in allowed:
            raise ParamsError(
                f"{where}: {key}.{option}: unknown option of {module.__name__}; {near(option, allowed)}"
            )
        several = family == "detectors" and isinstance(value, list) and value
        if not all(entries.fits(one, allowed[option]) for one in (value if several else [value])):
            raise ParamsError(
                f"{where}: {key}.{option} = {value!r}: expected {type(allowed[option]).__name__} "
                f"(default {allowed[option]!r}), found {type(value).__name__}{_number_hint(value)}"
            )
        _check_count(f"{where}: {key}.{option}", value, allowed[option], option)
    if hasattr(module, "ENTRY") and hasattr(module, "facts"):
        _check_facts(f"{where}: {key}", module, given)
    if family == "shifts":
        _check_severities(where, key, module, params.shifts[name])
        _check_materialise(where, key, module, params.shifts[name])
    if family == "trainers" and params.trainers[name].shifted:
        _check_train_on(f"{where}: {key}.train_on", params, params.trainers[name])


def _number_hint(value: object) -> str:
    """Return how a number is spelled that YAML takes for a text, such as 1e-3."""
    with contextlib.suppress(TypeError, ValueError):
        if isinstance(value, str):
            return f"; YAML reads {value} as a text, write {float(value)!r}"
    return ""


def _check_count(where: str, value: object, default: object, option: str) -> None:
    """Refuse numbers below 0 of what is counted, and below 1 of what is nothing without."""
    counted = type(default) is int and default > 0 and type(value) is int
    least = 1 if option in _AT_LEAST_ONE else 0
    if counted and value < least:  # type: ignore[operator]
        raise ParamsError(f"{where} = {value!r}: expected {least} or more (default {default!r})")


def _check_facts(where: str, module: Any, given: dict[str, Any]) -> None:
    """Refuse options that would make another thing of an entry: its constants follow from the entry's own."""
    if module.facts({**module.PARAMS, **given}) != module.facts(module.PARAMS):
        raise ParamsError(
            f"{where}: {', '.join(given)} would change what {module.__name__} declares "
            f"({', '.join(module.facts(module.PARAMS))}); name the entry that has it, or write one in an "
            f"{entries.FILE} of your own"
        )


def _check_severities(where: str, key: str, module: Any, shift: Shift) -> None:
    low, high = getattr(module, "RANGE", (0.0, 5.0))
    for severity in shift.severities:
        if not low <= severity <= high:
            raise ParamsError(
                f"{where}: {key}.severities holds {severity:g}; allowed are {low:g} to {high:g}"
            )
    if len(set(shift.severities)) != len(shift.severities):
        raise ParamsError(
            f"{where}: {key}.severities holds a value twice: {list(shift.severities)}"
        )


def _check_train_on(where: str, params: Params, trainer: Trainer) -> None:
    shift, severity = trainer.shifted or ("identity", 0)
    try:
        module = plugins.find("shifts", params.use("shifts", shift))
    except ParamsError as error:
        raise ParamsError(f"{where}: {error}") from error
    low, high = getattr(module, "RANGE", (0.0, 5.0))
    if hasattr(module, "DOMAIN") or not low <= severity <= high:
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
