"""Every parameter behind a result is known: to the schema of params.yaml, or to the plugin that is given it.

Pass rule: params.yaml and its overlay are read strictly (an unknown key fails before any check is run); each option in
the recipe of each receipt is one of its plugin's `PARAMS`; each severity lies within the shift's `RANGE`. Whether the
values are those of today's params is asked by `reruns`.
"""

from collections.abc import Iterator
from types import ModuleType
from typing import Any

from shiftbench.audit.case import Case, Wrong
from shiftbench.audit.finding import Finding, Note
from shiftbench.base import registry
from shiftbench.base.errors import ParamsError, suggest

NUMBER, LEVEL = "A4", 0
_FAMILIES = {
    "dataset": "datasets",
    "shift": "shifts",
    "model": "models",
    "trainer": "trainers",
    "method": "methods",
    "detector": "detectors",
}
"""Key of a recipe -> family of the plugin that it holds."""


def check(case: Case) -> Iterator[Finding | Note]:
    """Look up each option of each recipe in its plugin."""
    options = 0
    wrong: list[Wrong] = []
    for ref, _, receipt in case.of():
        content = receipt["recipe"]
        file = {"file": f"{ref.path}.receipt.json"}
        for family, used in _used(content):
            options += len(used.get("options", {}))
            wrong += [(ref, why, {**file}) for why in _unknown(family, used)]
        wrong += [(ref, why, {**file, **told}) for why, told in _severity(content)]
    yield from case.grouped(wrong)
    yield Note(f"params.yaml is well-formed; {options} options in {len(case.complete)} recipes are known")


def _used(content: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return the plugins that a recipe holds, each with its family."""
    found = [(family, content[key]) for key, family in _FAMILIES.items() if isinstance(content.get(key), dict)]
    metrics = content.get("metrics") if "benchmark" in content else None
    return found + [("metrics", used) for used in (metrics or {}).values()]


def _unknown(family: str, used: dict[str, Any]) -> list[str]:
    try:
        module = registry.find(family, str(used.get("use")))
    except ParamsError as error:
        return [f"its recipe names a plugin that does not exist: {error}"]
    known = set(getattr(module, "PARAMS", {}))
    return [
        f"its recipe gives {family}.{used['use']} the option {option!r}, which is unknown; {suggest(option, known)}"
        for option in sorted(used.get("options", {}).keys() - known)
    ]


def _severity(content: dict[str, Any]) -> Iterator[tuple[str, dict[str, str]]]:
    if "severity" not in content or not isinstance(content.get("shift"), dict):
        return
    try:
        module: ModuleType = registry.find("shifts", str(content["shift"].get("use")))
    except ParamsError:
        return  # told above
    low, high = getattr(module, "RANGE", (0.0, 5.0))
    if not low <= content["severity"] <= high:
        why = f"the severity lies outside the range of {content['shift']['use']}"
        yield why, {"expected": f"{low:g} to {high:g}", "found": f"{content['severity']}"}
