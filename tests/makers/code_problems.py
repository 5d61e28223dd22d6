"""HumanEval's problems and WordNet, as perturbations of code prompts take them."""

from pathlib import Path
from typing import Any

import pytest

from shiftbench.base import registry
from shiftbench.base.errors import FetchError
from shiftbench.base.registry import defaults
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.plugins.datasets import _human_eval
from shiftbench.workflow.stages.fetch import fetch

Problems = tuple[list[Sample], list[Sample], dict[str, Path]]
"""164 problems, whole and partial, and where the originals of shifts lie."""


def load(folder: Path) -> Problems:
    """Return the problems, from the cache, or from the network if allowed; skips the test where they are not there."""
    folders = {}
    for source in ("human_eval", "wordnet"):
        folders[source] = folder / source
        try:
            fetch(source, folders[source], [], offline=True)
        except FetchError as error:
            pytest.skip(f"{source} is not in the cache: {error}".splitlines()[0])
    file = folders["human_eval"] / "HumanEval.jsonl.gz"
    whole = list(_human_eval.samples("human_eval", file, partial=False))
    partial = list(_human_eval.samples("human_eval_partial", file, partial=True))
    return whole, partial, {"wordnet": folders["wordnet"]}


def perturbed(name: str, problems: Problems, seed: int = 1, step: int = 1) -> tuple[list[Sample], list[Sample]]:
    """Return every `step`th problem, and its version under one seed of a perturbation."""
    whole, partial, sources = problems
    module = registry.find("shifts", name)
    options: dict[str, Any] = dict(defaults(module))
    if getattr(module, "SOURCES", ()):
        options["sources"] = sources
    before = (whole if name.startswith(("docstring_", "name_")) else partial)[::step]
    return before, [module.apply(one, float(seed), RandomStream(0, name, "d", one.key), **options) for one in before]
