"""Recorded answers of language models: the requests of all methods and models in a configuration, sent once.

Runs read recorded answers only. A method or model with recorded answers has a function `asks(samples, params, inputs)
-> requests`, the constant `ANSWERS` (the folder of the answers, `systems/SLUG_/recorded`), and the option `llm` (the
language model's name, `client.identity`).
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
"""Name of a language model -> a generator of its answers."""


def record(config: str | None, make: Maker, folder: Path | None = None) -> dict[str, tuple[int, int]]:
    """Record all answers that a configuration needs; the inputs of its methods and models are made first.

    Args:
        config: as in `shiftbench plan`.
        make: makes a generator; it is called for a language model with a missing answer.
        folder: the folder of answers; default: the folder that each plugin reads.

    Returns:
        Folder and language model -> the number of needed answers, and the number of new ones.

    Raises:
        ParamsError: no plugin of the configuration uses a language model.
        ModelError: a generator failed; its answers so far are kept.
    """
    planned, root = plans.load(config)
    planned.write(root)
    needed: dict[tuple[Path, str], dict[str, Request]] = {}
    for job in run_local.ordered(planned):
        file = root / job.recipe_path
        if job.verb in BEFORE:
            if not _needs_records(job):
                recipe.execute(file, verbs.RUN[job.verb])
        elif job.verb == "evaluate":
            for home, model, request in _requests(Run(file)):
                identity = client.identity(model)
                needed.setdefault((folder or home, model), {})[request.key(identity).digest] = request
    if not needed:
        raise ParamsError(f"no plugin of {config or 'params.yaml'} uses a language model")
    return {
        f"{home.parent.name}/{model}": _record(Answers(home), model, list(requests.values()), make)
        for (home, model), requests in needed.items()
    }


def _needs_records(job: Job) -> bool:
    """Whether a training reads records, as `pseudo_labels` does; these are not made here."""
    return any(need.kind == "records" for artifact in job.artifacts for need in artifact.inputs)


def _record(answers: Answers, model: str, requests: list[Request], make: Maker) -> tuple[int, int]:
    cached = Cached(answers, client.identity(model), lambda: make(model))
    try:
        cached(requests)
    finally:
        answers.settle()
    return len(requests), cached.asked


def _requests(run: Run) -> Iterator[tuple[Path, str, Request]]:
    """Yield folder, language model and request of each answer that one job needs."""
    for artifact in run.job.artifacts:
        for plugin_type in ("method", "model"):
            spec = artifact.recipe[plugin_type]
            module = registry.find(f"{plugin_type}s", spec["use"])
            if hasattr(module, "asks"):
                for request in _requests_of(run, artifact, module, spec["options"]):
                    yield module.ANSWERS, spec["options"]["llm"], request


def _requests_of(run: Run, artifact: Artifact, module: ModuleType, options: Mapping[str, Any]) -> list[Request]:
    if "shift" in artifact.recipe:
        raise ParamsError(
            f"{artifact.ref.name}: answers are recorded for stored shards; set materialise: true for its shift"
        )
    inputs = run.inputs(artifact)
    (folder,) = (
        path.parent for ref, path in inputs.items() if ref.kind == "shards" and ref.name == artifact.recipe["data"]
    )
    requests: list[Request] = module.asks(list(shards.read(folder)), options, inputs)
    return requests
