"""Every parameter of a result is defined by the schema of params.yaml or by its plugin.

Pass rule: params.yaml and its configuration are read strictly: an unknown key fails before any check runs. Each option
in the recipe of each receipt is in the `PARAMS` of its plugin. Each severity is in the `RANGE` of its shift.

Limits: `reruns` compares the values with those of today's params.
"""

from collections.abc import Iterator
from types import ModuleType
from typing import Any

from shiftbench.audit.case import Case, Flaw
from shiftbench.audit.finding import Finding, Note
from shiftbench.base import registry
from shiftbench.base.errors import ParamsError, suggest

NUMBER, LEVEL = "A4", 0
_PLUGIN_TYPES = {
    "dataset": "datasets",
    "shift": "shifts",
    "model": "models",
    "trainer": "trainers",
    "method": "methods",
    "detector": "detectors",
}
"""Key of a recipe -> plugin type of the plugin that the key names."""


def check(case: Case) -> Iterator[Finding | Note]:
    """Look up each option of each recipe in its plugin."""
    options = 0
    wrong: list[Flaw] = []
    for ref, _, receipt in case.outputs():
        content = receipt["recipe"]
        file = {"file": f"{ref.path}.receipt.json"}
        for plugin_type, used in _used(content):
            options += len(used.get("options", {}))
            wrong += [(ref, why, {**file}) for why in _unknown(plugin_type, used)]
        wrong += [(ref, why, {**file, **details}) for why, details in _severity(content)]
    yield from case.grouped(wrong)
    yield Note(f"params.yaml is well-formed; {options} options in {len(case.complete)} recipes are known")


def _used(content: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Plugins that a recipe holds, each with its plugin type."""
    plugins = [(kind, content[key]) for key, kind in _PLUGIN_TYPES.items() if isinstance(content.get(key), dict)]
    metrics = content.get("metrics") if "benchmark" in content else None
    return plugins + [("metrics", used) for used in (metrics or {}).values()]


def _unknown(plugin_type: str, used: dict[str, Any]) -> list[str]:
    try:
        module = registry.find(plugin_type, str(used.get("use")))
    except ParamsError as error:
        return [f"its recipe names a plugin that does not exist: {error}"]
    known, name = set(registry.defaults(module)), f"{plugin_type}.{used['use']}"
    return [
        f"its recipe gives {name} the option {option!r}, which is unknown; {suggest(option, known)}"
        for option in sorted(used.get("options", {}).keys() - known)
    ]


def _severity(content: dict[str, Any]) -> Iterator[tuple[str, dict[str, str]]]:
    if "severity" not in content or not isinstance(content.get("shift"), dict):
        return
    try:
        module: ModuleType = registry.find("shifts", str(content["shift"].get("use")))
    except ParamsError:
        return  # a finding above
    low, high = getattr(module, "RANGE", (0.0, 5.0))
    if not low <= content["severity"] <= high:
        why = f"the severity lies outside the range of {content['shift']['use']}"
        yield why, {"expected": f"{low:g} to {high:g}", "found": f"{content['severity']}"}
