"""Asking language models: all that a scale's methods and models want to know is recorded, so that runs need none.

A method or a model that reads recorded answers says what it asks of samples, `asks(samples, params, inputs) ->
requests`, with `ANSWERS`, the folder of the answers (`systems/SLUG_/recorded`), and an option `llm`, the model's name
(`client.identity`).
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from shiftbench.base import registry
from shiftbench.base.errors import ParamsError
from shiftbench.data import shards
from shiftbench.evaluation.llm import client
from shiftbench.evaluation.llm.answer_cache import Answers
from shiftbench.evaluation.llm.client import Cached, Generator, Request
from shiftbench.provenance import recipe
from shiftbench.provenance.recipe import Artifact, Job, Run
from shiftbench.workflow.plan import plan as plans
from shiftbench.workflow.stages import verbs
from shiftbench.workflow.tools import run_local

BEFORE = ("fetch", "shift", "train")
Maker = Callable[[str], Generator]
"""A model's name -> who answers for it."""


def record(config: str | None, make: Maker, folder: Path | None = None) -> dict[str, tuple[int, int]]:
    """Record all answers that a scale needs; what its methods and models stand on is made first.

    Args:
        config: as in `shiftbench plan`.
        make: makes a generator; it is called for a model of which an answer is missing.
        folder: of the answers; default: the one that each plugin reads.

    Returns:
        Folder and model -> how many answers are needed, and how many of them were asked now.

    Raises:
        ParamsError: nothing of the scale asks a language model.
        ModelError: a generator failed; what it had answered is kept.
    """
    planned, root = plans.load(config)
    planned.write(root)
    wanted: dict[tuple[Path, str], dict[str, Request]] = {}
    for job in run_local.ordered(planned):
        file = root / job.recipe_path
        if job.verb in BEFORE:
            if not _stands_on_answers(job):
                recipe.execute(file, verbs.RUN[job.verb])
        elif job.verb == "evaluate":
            for home, model, request in _asked(Run(file)):
                identity = client.identity(model)
                wanted.setdefault((folder or home, model), {})[request.key(identity).digest] = request
    if not wanted:
        raise ParamsError(f"nothing of {config or 'params.yaml'} asks a language model")
    return {
        f"{home.parent.name}/{model}": _record(Answers(home), model, list(requests.values()), make)
        for (home, model), requests in wanted.items()
    }


def _stands_on_answers(job: Job) -> bool:
    """Whether a training reads records, as `pseudo_labels` does: none are made here, and nobody asks around it."""
    return any(need.kind == "records" for artifact in job.artifacts for need in artifact.inputs)


def _record(kept: Answers, model: str, requests: list[Request], make: Maker) -> tuple[int, int]:
    cached = Cached(kept, client.identity(model), lambda: make(model))
    try:
        cached(requests)
    finally:
        kept.settle()
    return len(requests), cached.asked


def _asked(run: Run) -> Iterator[tuple[Path, str, Request]]:
    """Yield folder, model and request of all that is asked at the positions of one job."""
    for artifact in run.job.artifacts:
        for plugin_type in ("method", "model"):
            spec = artifact.recipe[plugin_type]
            module = registry.find(f"{plugin_type}s", spec["use"])
            if hasattr(module, "asks"):
                for request in _of(run, artifact, module, spec["options"]):
                    yield module.ANSWERS, spec["options"]["llm"], request


def _of(run: Run, artifact: Artifact, module: ModuleType, options: Mapping[str, Any]) -> list[Request]:
    if "shift" in artifact.recipe:
        raise ParamsError(
            f"{artifact.ref.name}: answers are recorded for stored shards; set materialise: true for its shift"
        )
    inputs = run.inputs(artifact)
    (folder,) = (
        path.parent for ref, path in inputs.items() if ref.kind == "shards" and ref.name == artifact.recipe["data"]
    )
    found: list[Request] = module.asks(list(shards.read(folder)), options, inputs)
    return found
