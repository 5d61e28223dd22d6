"""The function of each verb, above the stages, so that no stage imports another.

A stage is imported when its verb is called: fetch needs no torch.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from shiftbench.base.errors import DataError, ShiftbenchError
from shiftbench.base.refs import Ref
from shiftbench.data import shards
from shiftbench.provenance.recipe import Artifact, Run


def _stream(run: Run) -> None:
    """Read missing tars from the remote that params name, if they name one."""
    if "stream" in run.job.settings:
        from shiftbench.workflow.storage import streaming

        streaming.use(run.root, run.job.settings["stream"])


@contextmanager
def _explained(run: Run, todo: list[Artifact]) -> Iterator[None]:
    """Replace a foreign error by a statement about the data, if the data is empty or has one class.

    Raises:
        DataError: the block raised a foreign error, and its shards are empty or have one class.
    """
    try:
        yield
    except ShiftbenchError:
        raise
    except Exception as error:
        inputs = {ref: path for artifact in todo for ref, path in run.inputs(artifact).items()}
        faults = [_fault(ref, path) for ref, path in inputs.items() if ref.kind == "shards"]
        if not any(faults):
            raise
        raise DataError(f"{next(filter(None, faults))} ({type(error).__name__}: {error})") from error


def _fault(ref: Ref, manifest: Path) -> str:
    about = shards.manifest(manifest.parent)
    if not about["samples"]:
        return f"{ref.name} has no samples; add samples, or select more (`subset` and `slice` of the dataset)"
    if len(about.get("classes", ())) == 1:
        return f"{ref.name} has one class, {about['classes'][0]!r}; a classifier needs two or more"
    return ""


def fetch(run: Run, todo: list[Artifact]) -> None:
    """Download one source."""
    from shiftbench.workflow.stages.fetch import run as stage

    stage(run, todo)


def shift(run: Run, todo: list[Artifact]) -> None:
    """Write shards and previews of one data set, split and shift."""
    from shiftbench.workflow.stages.shift import run as stage

    _stream(run)
    stage(run, todo)


def train(run: Run, todo: list[Artifact], device: str = "cpu") -> None:
    """Train checkpoints."""
    from shiftbench.workflow.stages.train import run as stage

    _stream(run)
    with _explained(run, todo):
        stage(run, todo, device)


def evaluate(run: Run, todo: list[Artifact], device: str = "auto") -> None:
    """Write records and features of one model and method."""
    from shiftbench.evaluation import onthefly
    from shiftbench.workflow.stages.evaluate import run as stage

    _stream(run)
    with _explained(run, todo):
        stage(run, todo, device, onthefly.build_shifter)


def score(run: Run, todo: list[Artifact], device: str = "auto") -> None:
    """Write stale searches and scores of one model and method; or overlaps or an analysis of a benchmark."""
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
        scoring.run(run, context)  # all stale scores: a search may have chosen other options


def aggregate(run: Run, todo: list[Artifact]) -> None:
    """Write the tables of one benchmark, read the numbers of a release, or judge the claims of a system."""
    from shiftbench.workflow.stages import aggregate, judge_claims, released

    stages = {"tables": aggregate, "released": released, "claims": judge_claims}
    for artifact in todo:
        stages[artifact.ref.kind].run(run, artifact)


def report(run: Run, todo: list[Artifact]) -> None:
    """Write the report or the page of released numbers; or choose the samples behind numbers, or write their page."""
    if run.job.name == "index":
        from shiftbench.workflow.stages import report as stage

        stage.run(run, todo)
        return
    if run.job.name == "field/index":
        from shiftbench.workflow.stages import field_page

        for artifact in todo:
            field_page.run(run, artifact)
        return
    from shiftbench.workflow.stages import completions, samples, samples_page

    stages = {"samples": samples, "completions": completions, "queries": completions}
    _stream(run)
    for artifact in todo:
        is_samples = artifact.ref.kind == "samples"
        (stages[artifact.recipe["shows"]] if is_samples else samples_page).run(run, artifact)


RUN: dict[str, Callable[..., None]] = {
    "fetch": fetch,
    "shift": shift,
    "train": train,
    "evaluate": evaluate,
    "score": score,
    "aggregate": aggregate,
    "report": report,
}
"""Verb -> the function that makes a job's stale outputs; those that compute take a `device`."""
