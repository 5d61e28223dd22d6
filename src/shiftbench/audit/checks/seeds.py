"""Every random number follows from the seed in params and from names, and from nothing else.

Pass rule: recipes have the seed of params, those of checkpoints the training seed of their name. Those of shifted
samples have the shift, severity and `fresh` of their path and of params. These, data set and key are all that
`rng.RandomStream` and `rng.derive` read. No source file that decides an output draws from a global or unseeded
generator: `random.*`, `np.random.*` without a seed, `os.urandom`, or torch's global one outside of trainings, whose
generator is forked and seeded. The check reads the syntax of the files.

Limits: `rebuild` and `alone` detect a library that draws by itself.
"""

import functools
from collections.abc import Iterator
from typing import Any

from shiftbench.audit.case import Case, Flaw
from shiftbench.audit.evidence import random_calls
from shiftbench.audit.finding import Finding, Note
from shiftbench.base.errors import PluginError
from shiftbench.base.refs import CheckpointName, Ref, ShardsName
from shiftbench.provenance import source_names

NUMBER, LEVEL = "A5", 0
DECIDES_NOTHING = frozenset(
    {
        ("shiftbench/evaluation/sandbox/server.py", "os.urandom"),  # a secret that no output holds
        ("shiftbench/evaluation/sandbox/running.py", "random.seed"),  # with 0, before a program of others runs
    }
)
"""Calls in the sandbox that no result depends on."""


def check(case: Case) -> Iterator[Finding | Note]:
    """Compare seeds and names in the recipes, then read the code that they name."""
    seeds = 0
    users: dict[str, Ref] = {}
    wrong: list[Flaw] = []
    for ref, _, receipt in case.outputs():
        content = receipt["recipe"]
        seeds += "seed" in content
        wrong += _facts_wrong(case, ref, content)
        for name in content.get("code", {}):
            users.setdefault(name, ref)
    yield from case.grouped(wrong)
    files = [name for name in users if name.endswith(".py")]
    for name in files:
        yield from _unseeded_calls(case, name, users[name])
    yield Note(f"{seeds} recipes hold a seed; {len(files)} source files draw random numbers by key only")


def _facts_wrong(case: Case, ref: Ref, content: dict[str, Any]) -> Iterator[Flaw]:
    for name, (expected, actual) in _facts(case, ref, content).items():
        if expected != actual:
            why = f"its {name} is not what params and its name say, so that other random numbers were drawn"
            details = {"file": f"{ref.path}.receipt.json", "expected": str(expected), "found": str(actual)}
            yield ref, why, details


def _facts(case: Case, ref: Ref, content: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Parts of the key of random numbers by name: the expected value, and that of the recipe."""
    seed = case.plan.params.seed
    if ref.kind == "checkpoints":
        own = CheckpointName.of(ref).seed
        return {"training seed": ([seed, own], content.get("seed"))}
    facts: dict[str, tuple[Any, Any]] = {}
    if "seed" in content or "shift" in content or ref.kind in ("records", "tables"):
        facts["seed"] = (seed, content.get("seed"))
    if "dataset" in content and ref.kind == "shards":
        facts["dataset"] = (ref.parts[0], content["dataset"].get("name"))
    if isinstance(content.get("shift"), dict):
        # Of shards `dataset/split/shift/severity`, of records applied while reading the same at the end.
        *_, shift, severity = ShardsName.of(Ref("shards", content.get("golden", ref.name)))
        fresh = case.plan.params.shift(shift).fresh
        facts["shift"] = (shift, content["shift"].get("name"))
        facts["severity"] = (severity, content.get("severity"))
        facts["fresh"] = (fresh, content.get("fresh"))
    return facts


def _unseeded_calls(case: Case, name: str, user: Ref) -> Iterator[Finding]:
    try:
        file = source_names.locate(name)
    except PluginError:
        return  # a plugin folder that params no longer name: `reruns` tells
    if not file.is_file():
        return
    training = file.parent.name in random_calls.TRAINING
    for line, call in _calls(file, file.stat().st_mtime_ns, training=training):
        if (name, call) in DECIDES_NOTHING:
            continue
        why = f"{call} at line {line} draws from a generator without a seed from params; use the sample's stream"
        yield case.failed(user, why, file=name, expected="random numbers by key", found=call)


@functools.cache
def _calls(file: Any, _mtime: int, *, training: bool) -> list[tuple[int, str]]:
    return list(random_calls.calls(file, training=training))
