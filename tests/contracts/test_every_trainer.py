"""The contract of the trainers family; a new file in trainers/ is tested by existing."""

import ast
from pathlib import Path

from shiftbench.base import registry
from shiftbench.contracts.trainers import *  # noqa: F403

PACKAGE = Path(registry.__file__).parent


def test_who_trains_on_other_samples_leaves_the_shards() -> None:
    """A loop reads a job's folder of shards where there is one: samples put in their place would not be seen."""
    wrong = [
        f"{file.relative_to(PACKAGE)}:{call.lineno}"
        for file in sorted(PACKAGE.rglob("*.py"))
        for call in ast.walk(ast.parse(file.read_text()))
        if isinstance(call, ast.Call)
        and getattr(call.func, "id", getattr(call.func, "attr", "")) == "replace"
        and {"samples"} <= {word.arg for word in call.keywords} != {"samples", "folder"}
    ]
    assert wrong == []
