"""A small benchmark of scaffolds in a folder of its own, for tests that plan and never run Snakemake."""

from pathlib import Path
from typing import Any

import yaml

from shiftbench.base import registry
from shiftbench.provenance import recipe
from shiftbench.workflow.plan import loading, params
from shiftbench.workflow.plan import plan as plans
from shiftbench.workflow.stages import verbs
from shiftbench.workflow.tools import scaffold

PLUGINS = {
    "datasets": "shapes",
    "shifts": "bright",
    "models": "perceptron",
    "trainers": "mixup",
    "methods": "mirror",
    "detectors": "margin",
    "metrics": "balanced",
}
PARAMS: dict[str, Any] = {
    "plugins": ["mine"],
    "datasets": {"shapes": {"count": 60}},
    "shifts": {"bright": {"severities": [1, 2.5]}},
    "trainers": {"mixup": {"epochs": 1}},
    "metrics": {"balanced": {}},
    "benchmarks": {
        "small": {
            "dataset": "shapes",
            "models": [{"architectures": ["perceptron"], "trainers": ["mixup"], "seeds": [0, 1]}],
            "shifts": ["bright"],
            "detectors": ["margin"],
        }
    },
}

READS_SOURCES = """
from shiftbench.base import refs
FIELD, LEVELS, RANGE, PARAMS = "image", {}, (0.0, 5.0), {"textured": True}
SOURCES = ("fashion_mnist", "mnist")
"""
STREAM = """
from shiftbench.plugins.streams._steps import Step
PARAMS = {"severities": [1, 5, 1]}
def steps(params):
    return [Step("shapes", "test", "bright", severity) for severity in params["severities"]]
"""


def make(folder: Path) -> None:
    """Write the plugins into `folder`/mine; a plugin of a test's own is one more file there."""
    registry.Folders.use(())
    for family, name in PLUGINS.items():
        scaffold.scaffold(family, name, folder / "mine")


def add(folder: Path, family: str, name: str, text: str) -> None:
    """Write a plugin."""
    file = folder / "mine" / family / f"{name}.py"
    file.parent.mkdir(exist_ok=True, parents=True)
    file.write_text(text)


def load(folder: Path, **over: Any) -> params.Params:
    """Write params.yaml into `folder` with entries laid over, and read it; `a__b=1` sets a.b."""
    content = yaml.safe_load(yaml.safe_dump(PARAMS))
    for path, value in over.items():
        at = content
        *above, last = path.split("__")
        for key in above:
            at = at.setdefault(key, {})
        at[last] = value
    (folder / "params.yaml").write_text(yaml.safe_dump(content))
    return loading.load(folder / "params.yaml")


def plan(folder: Path, **over: Any) -> plans.Plan:
    """Plan the benchmark with entries laid over."""
    plans._code.cache_clear()
    return plans.Plan.of(load(folder, **over))


def run(folder: Path, *jobs: str, **over: Any) -> None:
    """Run jobs of the plan, as the rules do, in this process; the folder is the current one."""
    planned = plan(folder, **over)
    root = Path(planned.params.root)
    planned.write(root)
    for name in jobs:
        file = root / planned.jobs[name].recipe_path
        recipe.execute(file, verbs.RUN[planned.jobs[name].verb])


def settle(plan: plans.Plan, root: Path, kinds: tuple[str, ...]) -> None:
    """Put an output and its receipt in place for every artifact of some kinds."""
    for artifact in plan.artifacts.values():
        if artifact.ref.kind in kinds:
            output = root / artifact.ref.path
            output.parent.mkdir(parents=True, exist_ok=True)
            output.write_text(artifact.ref.path)
            consumed = {ref.path: recipe.made(root, ref) for ref in artifact.inputs}
            content = {
                "fingerprint": artifact.fingerprint,
                "recipe": artifact.recipe,
                "made": {output.name: recipe.sha256(output)},
                "consumed": consumed,
            }
            recipe.write_json(recipe.receipt_path(root, artifact.ref), content)


def fingerprints(plan: plans.Plan) -> dict[str, str]:
    """Return the fingerprint of each output by its path."""
    return {artifact.ref.path: artifact.fingerprint for artifact in plan.artifacts.values()}


def changed(before: plans.Plan, after: plans.Plan) -> set[str]:
    """Return the paths of what both have, with other fingerprints."""
    old, new = fingerprints(before), fingerprints(after)
    return {path for path in old.keys() & new.keys() if old[path] != new[path]}
