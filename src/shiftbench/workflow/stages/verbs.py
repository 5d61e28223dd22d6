"""What each verb runs: above the stages, so that none of them has to know another.

A stage is imported when its verb is asked for: fetching waits for no torch.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from shiftbench.base.errors import DataError, ShiftbenchError
from shiftbench.base.refs import Ref
from shiftbench.data import shards
from shiftbench.provenance.recipe import Artifact, Run


def _stream(run: Run) -> None:
    """From now on, read tars that are not here from a remote, where params say so."""
    if "stream" in run.job.settings:
        from shiftbench.workflow.storage import streaming

        streaming.use(run.root, run.job.settings["stream"])


@contextmanager
def _explained(run: Run, todo: list[Artifact]) -> Iterator[None]:
    """Where something fails on data from which nothing can be learnt, say that of the data.

    Raises:
        DataError: what is inside raised no error of ours, and shards that it reads are empty or have one class.
    """
    try:
        yield
    except ShiftbenchError:
        raise
    except Exception as error:
        inputs = {ref: path for artifact in todo for ref, path in run.inputs(artifact).items()}
        told = [_poor(ref, path) for ref, path in inputs.items() if ref.kind == "shards"]
        if not any(told):
            raise
        raise DataError(f"{next(filter(None, told))} ({type(error).__name__}: {error})") from error


def _poor(ref: Ref, manifest: Path) -> str:
    about = shards.manifest(manifest.parent)
    if not about["samples"]:
        return f"{ref.name} holds no sample; bring more, or ask for more (`subset` and `slice` of the dataset)"
    if len(about.get("classes", ())) == 1:
        return f"{ref.name} has one class, {about['classes'][0]!r}; a classifier needs two or more"
    return ""


def fetch(run: Run, todo: list[Artifact]) -> None:
    """Bring one original."""
    from shiftbench.workflow.stages.fetch import run as stage

    stage(run, todo)


def shift(run: Run, todo: list[Artifact]) -> None:
    """Make shards and previews of one (dataset, split, shift)."""
    from shiftbench.workflow.stages.shift import run as stage

    _stream(run)
    stage(run, todo)


def train(run: Run, todo: list[Artifact], device: str = "cpu") -> None:
    """Make weights."""
    from shiftbench.workflow.stages.train import run as stage

    _stream(run)
    with _explained(run, todo):
        stage(run, todo, device)


def evaluate(run: Run, todo: list[Artifact], device: str = "auto") -> None:
    """Make records and features of one (weights, method)."""
    from shiftbench.evaluation import onthefly
    from shiftbench.workflow.stages.evaluate import run as stage

    _stream(run)
    with _explained(run, todo):
        stage(run, todo, device, onthefly.build_shifter)


def score(run: Run, todo: list[Artifact], device: str = "auto") -> None:
    """Make what is stale of one (weights, method): searches, then scores; or overlaps or an analysis of a benchmark."""
    from shiftbench.workflow.stages import analyse, detector_search, overlaps
    from shiftbench.workflow.stages import score as scoring
    from shiftbench.workflow.stages.detector_context import DetectorContext

    _stream(run)
    makers: dict[str, Callable[[Artifact], None]] = {
        "overlaps": lambda artifact: overlaps.run(run, artifact),
        "analyses": lambda artifact: analyse.run(run, artifact, device),
    }
    for artifact in todo:
        if artifact.ref.kind in makers:
            makers[artifact.ref.kind](artifact)
    if any(artifact.ref.kind not in makers for artifact in run.job.artifacts):
        context = DetectorContext(run, device)
        for artifact in todo:
            if artifact.ref.kind == "searches":
                detector_search.run(run, artifact, context)
        scoring.run(run, context)  # of all that is stale: a search may have chosen other options


def aggregate(run: Run, todo: list[Artifact]) -> None:
    """Make the tables of one benchmark, or judge the claims of a system."""
    from shiftbench.workflow.stages import judge_claims
    from shiftbench.workflow.stages.aggregate import run as stage

    for artifact in todo:
        (judge_claims.run if artifact.ref.kind == "claims" else stage)(run, artifact)


def report(run: Run, todo: list[Artifact]) -> None:
    """Write the static page; or choose what stands behind a benchmark's numbers, or write the page that shows it."""
    if run.job.name == "index":
        from shiftbench.workflow.stages import report as stage

        stage.run(run, todo)
        return
    from shiftbench.workflow.stages import completions, samples, samples_page

    stages = {"samples": samples, "completions": completions, "queries": completions}
    _stream(run)
    for artifact in todo:
        chosen = artifact.ref.kind == "samples"
        (stages[artifact.recipe["shows"]] if chosen else samples_page).run(run, artifact)


RUN: dict[str, Callable[..., None]] = {
    "fetch": fetch,
    "shift": shift,
    "train": train,
    "evaluate": evaluate,
    "score": score,
    "aggregate": aggregate,
    "report": report,
}
"""Verb -> what makes a job's stale outputs; those that compute take a `device`."""
