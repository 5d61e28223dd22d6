"""The selection of jobs: which jobs of a plan a run starts, in which order, and what each waits for."""

from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

from shiftbench.base.errors import ParamsError
from shiftbench.base.refs import Ref
from shiftbench.provenance import recipe
from shiftbench.provenance.recipe import Job
from shiftbench.workflow.plan import configurations, estimate, out_of_date, plan
from shiftbench.workflow.plan.planned_job import EVERYTHING, MARKERS, SUFFIX, PlannedJob, PlannedJobs, Request
from shiftbench.workflow.plan.report_specs import INDEX

TARGETS: Mapping[str, tuple[str, ...]] = {
    "sources": ("fetch",),
    "shards": ("shift",),
    "checkpoints": ("train",),
    "records": ("evaluate", "score"),
    "tables": ("aggregate",),
}
"""Targets of Snakemake -> the stages that make them."""

ALL = "all"
PROMISED = ("report", "aggregate")
"""The stages whose outputs exist after a successful run of the whole benchmark."""


def select(
    planned: plan.Plan,
    root: Path,
    request: Request = EVERYTHING,
    config: str | None = None,
    known: Mapping[str, float] = MappingProxyType({}),
) -> PlannedJobs:
    """The jobs of a plan, from the present state of its outputs.

    Args:
        planned: the plan.
        root: its output root.
        request: the user's request.
        config: the name of its configuration; that of a system, `systems/palm`, is its target, too.
        known: seconds of jobs in the published run (`estimate.published_seconds`).

    Raises:
        ParamsError: a target is the path of an output.
    """
    system = config if config and systems_of(config) else None
    prefix = "" if root == Path() else f"{root}/"
    markers = {name: f"{prefix}{MARKERS}/{name}{SUFFIX}" for name in planned.jobs}
    job_of = {artifact.ref: name for name, job in planned.jobs.items() for artifact in job.artifacts}
    needs = {name: tuple(dict.fromkeys(job_of[ref] for ref in job.inputs)) for name, job in planned.jobs.items()}

    targets = _targets(planned.jobs, system)
    goals = _refs_of(planned, markers, _names_and_markers(planned, root, request.targets, targets, system))
    states = planned.states(root)
    damaged = {ref: state for ref, state in states.items() if recipe.is_damaged(state)}
    if INDEX in goals:  # a run of everything also repairs damaged outputs that nothing needs
        goals |= damaged.keys()
        targets[ALL if system is None else system] += sorted({job_of[ref] for ref in damaged})
    again = _again(planned, markers, needs, request.again, {job_of[ref] for ref in goals})
    forced = {artifact.ref for name in again for artifact in planned.jobs[name].artifacts}
    states |= dict.fromkeys(forced, "asked for again")
    runs = {job_of[ref] for ref in out_of_date.find(planned.artifacts, planned.jobs.values(), states, goals | forced)}

    seconds = estimate.seconds(planned, root, known, runs)
    behind = _seconds_behind(planned, seconds)
    jobs = tuple(
        PlannedJob(
            verb=job.verb,
            name=job.name,
            root=prefix,
            title=" ".join(filter(None, (system, job.verb, job.name))),
            outputs=tuple(f"{prefix}{path}" for path in job.outputs),
            needs=tuple(
                markers[need]
                for need in needs[name]
                if name in runs or need not in runs  # else Snakemake would start it, too, with nothing to do
            ),
            runs=name in runs,
            again=name in again,
            group=_group(job),
            seconds=seconds[job.rule],
            priority=round(max(behind[artifact.ref] for artifact in job.artifacts) + seconds[job.rule]),
            damaged=tuple(
                f"{prefix}{artifact.ref.path}: {damaged[artifact.ref]}"
                for artifact in job.artifacts
                if artifact.ref in damaged
            ),
        )
        for name, job in planned.jobs.items()
    )
    pages = {f"{prefix}{INDEX.path}": config} if INDEX in goals else {}
    return PlannedJobs(
        jobs, {target: tuple(markers[name] for name in names) for target, names in targets.items()}, pages
    )


def systems_of(target: str) -> list[str]:
    """The configurations of the systems behind a target: `systems`, `systems/palm`, or a path in a system's root.

    Example:
        >>> systems_of("systems/palm/smoke"), systems_of("build/systems/palm/logs/jobs/train/a/b.done")
        (['systems/palm/smoke'], ['systems/palm'])
        >>> systems_of("logs/jobs/report/index.done")
        []
    """
    if target == configurations.SYSTEMS:
        return [f"{configurations.SYSTEMS}/{slug}" for slug in configurations.built_slugs()]
    if target.startswith(f"{configurations.SYSTEMS}/"):
        return [target]
    system = configurations.of_system_path(Path(target))
    return [system] if system else []


def _targets(jobs: Mapping[str, Job], system: str | None) -> dict[str, list[str]]:
    """Target -> the jobs that make it."""

    def of_verbs(verbs: Collection[str]) -> list[str]:
        return [
            name
            for verb in verbs
            for name, job in jobs.items()
            if job.verb == verb and any(plan.is_target(artifact.ref) for artifact in job.artifacts)
        ]

    if system:
        return {target: of_verbs(PROMISED) for target in (system, configurations.SYSTEMS)}
    return {ALL: of_verbs(PROMISED), **{name: of_verbs(verbs) for name, verbs in TARGETS.items()}}


def _names_and_markers(
    planned: plan.Plan, root: Path, names: Collection[str], targets: Mapping[str, list[str]], system: str | None
) -> set[str]:
    """The jobs behind the targets of a run, each by its name or its marker."""
    jobs = set[str]()
    for target in names or (system or ALL,):
        if target in targets or target.endswith(SUFFIX):
            jobs.update(targets.get(target, [target]))
        elif target in {str(root / ref.path) for ref in planned.artifacts}:
            raise ParamsError(f"{target}: Snakemake knows jobs, not outputs; `shiftbench make {target}` makes it")
        elif not system and not systems_of(target):  # a rule that a user added, of any outputs
            jobs.update(targets[ALL])
    return jobs


def _refs_of(planned: plan.Plan, markers: Mapping[str, str], jobs: Collection[str]) -> set[Ref]:
    """The outputs that users ask for, of jobs by name or marker; all outputs of a job without such an output."""
    goals = set[Ref]()
    for name, job in planned.jobs.items():
        if name in jobs or markers[name] in jobs:
            refs = {artifact.ref for artifact in job.artifacts}
            goals |= {ref for ref in refs if plan.is_target(ref)} or refs
    return goals


def _again(
    planned: plan.Plan,
    markers: Mapping[str, str],
    needs: Mapping[str, Collection[str]],
    again: Collection[str],
    goals: Iterable[str],
) -> set[str]:
    """The jobs that `--forcerun` names and those that follow, among the goals and what these need."""
    needed = _reachable(goals, needs.__getitem__)
    first = {name for name in needed if planned.jobs[name].verb in again or markers[name] in again}
    followers: dict[str, list[str]] = {name: [] for name in needed}
    for name in needed:
        for need in needs[name]:
            followers[need].append(name)
    return _reachable(first, followers.__getitem__)


def _reachable(names: Iterable[str], edges: Callable[[str], Iterable[str]]) -> set[str]:
    reachable = set(names)
    todo = list(reachable)
    while todo:
        new = set(edges(todo.pop())) - reachable
        reachable |= new
        todo += new
    return reachable


def _seconds_behind(planned: plan.Plan, seconds: Mapping[str, float]) -> dict[Ref, float]:
    """Seconds of the longest chain of jobs that waits for each output."""
    jobs = {artifact.ref: job.rule for job in planned.jobs.values() for artifact in job.artifacts}
    behind = dict.fromkeys(planned.artifacts, 0.0)
    for ref, artifact in reversed(planned.artifacts.items()):  # inputs come first in a plan
        for need in artifact.inputs:
            behind[need] = max(behind[need], behind[ref] + seconds[jobs[ref]])
    return behind


def _group(job: Job) -> str | None:
    """Shifted shards are many short jobs, which share a submission; clean shards, which they need, have their own."""
    needs_shards = any(ref.kind == "shards" for ref in job.inputs)
    return "shift" if job.verb == "shift" and needs_shards else None
