"""Checks of recipes: their parameters and seeds, and whether a run would make anything again."""

from collections.abc import Iterator
from types import ModuleType
from typing import Any

from shiftbench.audit.case import Case, Flaw
from shiftbench.audit.check import check
from shiftbench.audit.evidence import random_calls
from shiftbench.audit.finding import Finding, Note, some
from shiftbench.base import registry
from shiftbench.base.errors import ParamsError, PluginError, suggest
from shiftbench.base.refs import CheckpointName, Ref, ShardsName
from shiftbench.provenance import code_digest, recipe, source_names
from shiftbench.provenance.recipe import Artifact

_PLUGIN_TYPES = {
    "dataset": "datasets",
    "shift": "shifts",
    "model": "models",
    "trainer": "trainers",
    "method": "methods",
    "detector": "detectors",
}
"""Key of a recipe -> plugin type of the plugin that the key names."""


@check("A4", level=0)
def parameters(case: Case) -> Iterator[Finding | Note]:
    """Every parameter of a result is defined by the schema of params.yaml or by its plugin.

    Pass rule: params.yaml and its configuration are read strictly: an unknown key fails before any check runs. Each
    option in the recipe of each receipt is an option of its plugin. Each severity is in the `RANGE` of its shift.

    Limits: `reruns` compares the values with those of today's params.
    """
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


DECIDES_NOTHING = frozenset(
    {
        ("shiftbench/evaluation/sandbox/server.py", "os.urandom"),  # a secret that no output holds
        ("shiftbench/evaluation/sandbox/running.py", "random.seed"),  # with 0, before a program of others runs
    }
)
"""Calls in the sandbox that no result depends on."""


@check("A5", level=0)
def seeds(case: Case) -> Iterator[Finding | Note]:
    """Every random number follows from the seed in params and from names, and from nothing else.

    Pass rule: recipes have the seed of params, those of checkpoints the training seed of their name. Those of shifted
    samples have the shift, severity and `fresh` of their path and of params. These, data set and key are all that
    `rng.RandomStream` and `rng.derive` read. No source file that decides an output draws from a global or unseeded
    generator: `random.*`, `np.random.*` without a seed, `os.urandom`, or torch's global one outside of trainings, whose
    generator is forked and seeded. The check reads the syntax of the files.

    Limits: `rebuild` and `alone` detect a library that draws by itself.
    """
    seeds = 0
    users: dict[str, Ref] = {}
    wrong: list[Flaw] = []
    for ref, _, receipt in case.outputs():
        content = receipt["recipe"]
        seeds += "seed" in content
        for name, (expected, actual) in _facts(case, ref, content).items():
            if expected != actual:
                why = f"its {name} is not what params and its name say, so that other random numbers were drawn"
                details = {"file": f"{ref.path}.receipt.json", "expected": str(expected), "found": str(actual)}
                wrong.append((ref, why, details))
        for name in content.get("code", {}):
            users.setdefault(name, ref)
    yield from case.grouped(wrong)
    files = [name for name in users if name.endswith(".py")]
    for name in files:
        yield from _unseeded_calls(case, name, users[name])
    yield Note(f"{seeds} recipes hold a seed; {len(files)} source files draw random numbers by key only")


def _facts(case: Case, ref: Ref, content: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Parts of the key of random numbers by name: the expected value, and that of the recipe."""
    seed = case.plan.params.seed
    if ref.kind == "checkpoints":
        return {"training seed": ([seed, CheckpointName.of(ref).seed], content.get("seed"))}
    facts: dict[str, tuple[Any, Any]] = {}
    if "seed" in content or "shift" in content or ref.kind in ("records", "tables"):
        facts["seed"] = (seed, content.get("seed"))
    if "dataset" in content and ref.kind == "shards":
        facts["dataset"] = (ref.parts[0], content["dataset"].get("name"))
    if isinstance(content.get("shift"), dict):
        # Of shards `dataset/split/shift/severity`, of records applied while reading the same at the end.
        *_, shift, severity = ShardsName.of(Ref("shards", content.get("golden", ref.name)))
        facts["shift"] = (shift, content["shift"].get("name"))
        facts["severity"] = (severity, content.get("severity"))
        facts["fresh"] = (case.plan.params.shift(shift).fresh, content.get("fresh"))
    return facts


def _unseeded_calls(case: Case, name: str, user: Ref) -> Iterator[Finding]:
    try:
        file = source_names.locate(name)
    except PluginError:
        return  # a plugin folder that params no longer name: `reruns` tells
    if not file.is_file():
        return
    for line, call in random_calls.calls(file, training=file.parent.name in random_calls.TRAINING):
        if (name, call) not in DECIDES_NOTHING:
            why = f"{call} at line {line} draws from a generator without a seed from params; use the sample's stream"
            yield case.failed(user, why, file=name, expected="random numbers by key", found=call)


_SHOWN = 4
_CURE = "run again, or go back to the code and the params of the run"


@check("A28", level=0)
def reruns(case: Case) -> Iterator[Finding | Note]:
    """A run would make nothing again: every output matches today's parameters and code.

    Pass rule: the recipe in each receipt is the planned one, so that no parameter and no definition that a job reaches
    changed after the run. Comments, docstrings, annotations and names are in no fingerprint. A finding names the key or
    the definition that differs. From outside, the auditor's code plans with the digests of the checkout's code. If that
    code is of another version and the plans differ, the check is incomplete.

    Limits: `coherence` compares the bytes of inputs; `chain` covers missing outputs.
    """
    wrong: list[Flaw] = []
    for ref, artifact, receipt in case.outputs():
        if receipt["fingerprint"] != artifact.fingerprint:
            now, then = artifact.fingerprint[:16], recipe.fingerprint(receipt["recipe"])[:16]
            details = {"expected": f"recipe {now}", "found": f"recipe {then}"}
            wrong.append((ref, f"{_changed(receipt['recipe'], artifact)}; {_CURE}", details))
    if case.differing_modules and wrong:
        (ref, why, details), count = wrong[0], len(wrong)
        modules = case.differing_modules
        other = f"{len(modules)} modules are of another version than this auditor: {some(modules)}"
        yield case.incomplete(ref, f"{count} recipes are not those that this auditor plans ({why}); {other}", **details)
    else:
        yield from case.grouped(wrong)
    yield Note(f"{len(case.complete) - len(wrong)} of {len(case.complete)} outputs would not be made again")


def _changed(old: dict[str, Any], artifact: Artifact) -> str:
    """Reason why an output is stale: its own keys and code, else a stale input."""
    lines = recipe.changes(old, artifact.recipe)
    code = code_digest.differences(old, artifact.recipe)
    options = [line for line in lines if not line.startswith(("code: ", "upstream."))]
    reasons = [f"recipe changed: {line}" for line in options[:_SHOWN]]
    reasons += [f"code changed: {', '.join(code[:_SHOWN])}"] if code else []
    return "; ".join(reasons) or "its inputs are stale"
