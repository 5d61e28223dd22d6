"""The jobs of a run, as Snakemake asks for them: what each waits for, how urgent it is, whether it has anything to do.

Snakemake knows a job by one file, its *marker* `logs/jobs/STAGE/JOB.done` below the output root. Only receipts say what
is made, so markers are written from them whenever a run begins (`mark`): a marker exists where its job has nothing to
do, and nowhere else. Whatever somebody does to a marker, or to file times, the next run puts it right.

A cluster's node reads the Snakefile again. Were it to plan again, it would plan something else: receipts move while
other jobs finish, params may be edited meanwhile, and a node may lack the programs that bring source files. So the main
process leaves what it planned in `.snakemake/`, and the others read it.
"""

from __future__ import annotations

import functools
import gc
import os
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from shiftbench.base import files
from shiftbench.base.errors import DataError, ParamsError, suggest
from shiftbench.base.refs import Ref
from shiftbench.provenance import recipe, trust
from shiftbench.provenance.memo import digests
from shiftbench.provenance.recipe import Job
from shiftbench.workflow.plan import estimate, out_of_date, plan, scales, unavailable
from shiftbench.workflow.plan.report_specs import INDEX

TARGETS: Mapping[str, tuple[str, ...]] = {
    "sources": ("fetch",),
    "shards": ("shift",),
    "checkpoints": ("train",),
    "records": ("evaluate", "score"),
    "tables": ("aggregate",),
}
"""Targets of Snakemake -> the stages of a scale that make them."""

ALL = "all"
PROMISED = ("report", "aggregate")
"""The stages whose outputs are here when a run of the whole benchmark ends with success."""

_WITHOUT_GPU = {"train": "cpu", "evaluate": "auto"}

MARKERS = "logs/jobs"
SUFFIX = ".done"
_LEFT = Path(".snakemake")
_CONFIG = ("params",)


@dataclass(frozen=True, slots=True)
class Request:
    """What a run is asked for, on Snakemake's command line.

    Attributes:
        targets: names and markers; none stands for `all`.
        again: stages and markers whose jobs are made again (`--forcerun`, `--forceall`), with all that follows.
        until: stages and markers after which the run ends (`--until`).
    """

    targets: tuple[str, ...] = ()
    again: tuple[str, ...] = ()
    until: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PlannedJob:
    """A job as a run sees it.

    Attributes:
        verb: its stage.
        name: which of the stage: `digits/convnet-erm-s0`.
        root: what its paths begin with: nothing, or the output root and a slash.
        title: what a terminal calls it.
        outputs: paths of what it makes.
        needs: markers of the jobs that it waits for.
        runs: whether it has something to do.
        again: whether it makes all of its outputs, whatever receipts say.
        group: name for a submission that it may share with others: those that are short, and do not wait for another.
        seconds: what it is expected to take.
        priority: the same with all that has to come after it: what begins the longest chain goes first.
        damaged: outputs whose bytes are not those that were made, each with what is wrong.
    """

    verb: str
    name: str
    root: str
    title: str
    outputs: tuple[str, ...]
    needs: tuple[str, ...]
    runs: bool
    again: bool
    group: str | None
    seconds: float
    priority: int
    damaged: tuple[str, ...] = ()

    @property
    def marker(self) -> str:
        """The file by which Snakemake knows the job."""
        return f"{self.root}{MARKERS}/{self.verb}/{self.name}{SUFFIX}"

    @property
    def log(self) -> str:
        """The file that has what it printed."""
        return f"{self.root}logs/{self.verb}/{self.name}.log"


@dataclass(frozen=True)
class PlannedJobs:
    """All jobs of a run, and for each name that a user may ask for the markers of its jobs."""

    jobs: tuple[PlannedJob, ...]
    targets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    pages: tuple[str, ...] = ()
    """The reports that are asked for, without the pages of samples that they lead to."""

    @functools.cached_property
    def by_place(self) -> dict[tuple[str, str, str], PlannedJob]:
        """The jobs by root, stage and name."""
        return {(job.root, job.verb, job.name): job for job in self.jobs}

    @property
    def runs(self) -> bool:
        """Whether any job has something to do."""
        return any(job.runs for job in self.jobs)

    def stages(self) -> list[Stage]:
        """Return what rules of Snakemake ask of the jobs of each stage, in the order of the data's path."""
        return [Stage(verb, self.by_place) for verb in plan.VERBS]

    def of_verb(self, verb: str) -> list[PlannedJob]:
        """Return the jobs of one stage."""
        return [job for job in self.jobs if job.verb == verb]

    def mark(self) -> None:
        """Put a marker where a job has nothing to do, and remove all others.

        Raises:
            DataError: the folder of markers cannot be written.
        """
        roots = {job.root for job in self.jobs}
        found = (top for root in roots for top in os.walk(f"{root}{MARKERS}"))
        here = {
            f"{folder}/{name}"
            for folder, folders, names in found
            for name in (*names, *(one for one in folders if one.endswith(SUFFIX)))
        }
        wanted = {job.marker for job in self.jobs if not job.runs}
        for marker in here - wanted:
            with files.writable(Path(marker)):
                os.unlink(marker)  # noqa: PTH108  # thousands
        for marker in wanted - here:
            with files.writable(Path(marker)):
                Path(marker).touch()

    def __add__(self, other: PlannedJobs) -> PlannedJobs:
        """Return both, under a name that both have the jobs of both."""
        targets = {
            name: (*self.targets.get(name, ()), *other.targets.get(name, ()))
            for name in {**self.targets, **other.targets}
        }
        return PlannedJobs((*self.jobs, *other.jobs), targets, (*self.pages, *other.pages))


@dataclass(frozen=True)
class Stage:
    """What a rule of Snakemake asks of the jobs of a stage, each known by its wildcards `root` and `job`."""

    verb: str
    jobs: Mapping[tuple[str, str, str], PlannedJob]

    def needs(self, wildcards: Any) -> list[str]:
        """Return the markers of the jobs that a job waits for."""
        return list(self._of(wildcards).needs)

    def priority(self, wildcards: Any) -> int:
        """Return how urgent a job is."""
        return self._of(wildcards).priority

    def group(self, wildcards: Any) -> str | None:
        """Return the group whose jobs may share a submission."""
        return self._of(wildcards).group

    @property
    def again(self) -> str | Callable[[Any], str]:
        """The option of the command that makes all outputs again, by job where that is asked for of any."""
        if not any(job.again for job in self.jobs.values()):
            return ""  # Snakemake takes 0.2 ms to ask a function about a job
        return lambda wildcards: "--again" if self._of(wildcards).again else ""

    def device(self, wildcards: Any, resources: Any) -> str:  # noqa: ARG002  # Snakemake gives both
        """Return where a job computes: on the GPU that it was given, or it fails; else where its stage does."""
        return "cuda" if resources.get("gpu") else _WITHOUT_GPU[self.verb]

    def _of(self, wildcards: Any) -> PlannedJob:
        try:
            return self.jobs[wildcards.root, self.verb, wildcards.job]
        except KeyError:
            known = [name for _, verb, name in self.jobs if verb == self.verb]
            raise ParamsError(
                f"no job of {self.verb} is called {wildcards.job!r}; {suggest(wildcards.job, known)}"
            ) from None


def load(config: Mapping[str, Any], *, main: bool, request: Request = Request()) -> PlannedJobs:  # frozen
    """Plan, write recipes and markers, and leave the jobs for other processes; or read what was left.

    Args:
        config: Snakemake's; `params` names a configuration `params/NAME.yaml`.
        main: whether this is the process that a user started; it also prints what was left out.
        request: what Snakemake is asked for. Where it is systems, these are planned; the scale is for all else.

    Raises:
        ParamsError: wrong params, no such scale or system, or an unknown word in `config`.
        ChecksumError: a pinned file of the user's is another one now.
        DataError: another process than the main one finds no jobs, or the disk refuses them.
    """
    for word in config:
        if word not in _CONFIG:
            raise ParamsError(f"--config {word}: unknown; {suggest(word, _CONFIG)}")
    scale = config.get("params")
    if not main:
        return _read(scale)
    gc.set_threshold(*_SELDOM)
    trust.by_doing()  # its Snakefile runs already
    targets = request.targets
    systems = sorted({system for target in targets for system in systems_of(target)})
    plain = [scale] if not targets or not all(map(systems_of, targets)) else []
    found = NOTHING
    for one in (*plain, *systems):
        planned, root = plan.load(one)
        own = unavailable.yours(planned)
        unavailable.refuse_changed(own)
        jobs = of(planned, root, request, one if one in systems else None, estimate.published(one))
        _refuse_chains(jobs, request.until)
        planned.write(root)
        digests(root).keep()
        _leave(jobs, _file(one))
        told = [
            *planned.unavailable_sources,
            *(f"{x.path}: ignored {x.ignored}" for x in own if x.ignored),
            *_repairs(jobs),
        ]
        for line in told:
            print(line, file=sys.stderr)  # noqa: T201  # as Snakemake prints: not on its output
        found += jobs
    found.mark()
    return found


_SELDOM = 50_000, 20, 100
"""When Python looks for circles of dead objects: what is planned lives to the end, and to look at thousands of jobs
again and again takes a third of the time."""


def _refuse_chains(planned: PlannedJobs, until: Collection[str]) -> None:
    """Refuse to end a run after a stage in which one job waits for another: Snakemake never starts the second.

    Raises:
        ParamsError: names both, and how else to ask for the stage.
    """
    jobs = {job.marker: job for job in planned.jobs if job.runs and job.verb in until}
    for job in jobs.values():
        for need in jobs.keys() & {*job.needs}:
            own = [name for name, verbs in TARGETS.items() if job.verb in verbs]
            raise ParamsError(
                f"--until {job.verb}: {job.name} waits for {jobs[need].name} of the same stage, and Snakemake starts "
                f"nothing behind a job at which it is to end; "
                f"{f'`snakemake {own[0]}` makes what it can be asked for' if own else 'leave the option out'}, "
                "or name what follows with --omit-from"
            )


def _repairs(planned: PlannedJobs) -> list[str]:
    """Say what a run repairs because its bytes are not those that were made."""
    lines = [line for job in planned.jobs if job.runs for line in job.damaged]
    more = [f"and {len(lines) - _TOLD} more"] if len(lines) > _TOLD else []
    return [f"to repair: {line}" for line in [*lines[:_TOLD], *more]]


_TOLD = 5
"""Damaged outputs that are named."""


def systems_of(target: str) -> list[str]:
    """Return the scales of the systems that a target is of: `systems`, `systems/palm`, or a path in a system's root.

    Example:
        >>> systems_of("systems/palm/smoke"), systems_of("build/systems/palm/logs/jobs/train/a/b.done")
        (['systems/palm/smoke'], ['systems/palm'])
        >>> systems_of("logs/jobs/report/index.done")
        []
    """
    if target == scales.SYSTEMS:
        return [f"{scales.SYSTEMS}/{slug}" for slug in scales.built()]
    if target.startswith(f"{scales.SYSTEMS}/"):
        return [target]
    first, second, *rest = (*Path(target).parts, "", "")
    folder, _, scale = second.partition("-")
    if first != "build" or folder != scales.SYSTEMS or not rest[0]:
        return []
    return ["/".join(filter(None, (scales.SYSTEMS, rest[0], scale)))]


def _file(scale: str | None) -> Path:
    return _LEFT / f"shiftbench-{(scale or 'default').replace('/', '-')}.json"


def of(
    planned: plan.Plan,
    root: Path,
    request: Request = Request(),  # frozen
    system: str | None = None,
    known: Mapping[str, float] = MappingProxyType({}),
) -> PlannedJobs:
    """Return the jobs of a plan as its outputs stand now.

    Args:
        planned: the plan.
        root: its output root.
        request: what Snakemake is asked for.
        system: the target of a system, `systems/palm`.
        known: what jobs took elsewhere (`estimate.published`).
    """
    below = "" if root == Path() else f"{root}/"
    markers = {name: f"{below}{MARKERS}/{name}{SUFFIX}" for name in planned.jobs}
    maker = {one.ref: name for name, job in planned.jobs.items() for one in job.artifacts}
    waits = {name: tuple(dict.fromkeys(maker[ref] for ref in job.inputs)) for name, job in planned.jobs.items()}

    targets = _targets(planned.jobs, system)
    asked = _asked(planned, markers, _wanted(planned, root, request.targets, targets, system))
    states = planned.states(root)
    damaged = {ref: state for ref, state in states.items() if recipe.is_damaged(state)}
    if INDEX in asked:  # all that is here shall be right, also what nothing needs
        asked |= damaged.keys()
        targets[ALL if system is None else system] += sorted({maker[ref] for ref in damaged})
    again = _again(planned, markers, waits, request.again, {maker[ref] for ref in asked})
    forced = {one.ref for name in again for one in planned.jobs[name].artifacts}
    states |= dict.fromkeys(forced, "asked for again")
    made = out_of_date.find(planned.artifacts, planned.jobs.values(), states, asked | forced)
    runs = {maker[ref] for ref in made}

    seconds = estimate.seconds(planned, root, known, runs)
    behind = _seconds_behind(planned, seconds)
    jobs = tuple(
        PlannedJob(
            verb=job.verb,
            name=job.name,
            root=below,
            title=" ".join(filter(None, (system, job.verb, job.name))),
            outputs=tuple(f"{below}{path}" for path in job.outputs),
            needs=tuple(
                markers[need]
                for need in waits[name]
                if name in runs or need not in runs  # else it would run, too, and do nothing
            ),
            runs=name in runs,
            again=name in again,
            group=_group(job),
            seconds=seconds[job.rule],
            priority=round(max(behind[one.ref] for one in job.artifacts) + seconds[job.rule]),
            damaged=tuple(f"{below}{one.ref.path}: {damaged[one.ref]}" for one in job.artifacts if one.ref in damaged),
        )
        for name, job in planned.jobs.items()
    )
    pages = (f"{below}{INDEX.path}",) if INDEX in asked else ()
    return PlannedJobs(
        jobs, {target: tuple(markers[name] for name in names) for target, names in targets.items()}, pages
    )


def _targets(jobs: Mapping[str, Job], system: str | None) -> dict[str, list[str]]:
    """Return what a user may ask for by name -> the jobs that make it."""

    def of_verbs(verbs: Collection[str]) -> list[str]:
        return [
            name
            for verb in verbs
            for name, job in jobs.items()
            if job.verb == verb and any(plan.is_target(one.ref) for one in job.artifacts)
        ]

    if system:
        return {target: of_verbs(PROMISED) for target in (system, scales.SYSTEMS)}
    return {ALL: of_verbs(PROMISED), **{name: of_verbs(verbs) for name, verbs in TARGETS.items()}}


def _wanted(
    planned: plan.Plan, root: Path, asked: Collection[str], targets: Mapping[str, list[str]], system: str | None
) -> set[str]:
    """Return names and markers of the jobs that a run is for.

    Raises:
        ParamsError: an output is asked for by its path.
    """
    whole = targets[system or ALL]
    wanted = set[str]()
    for target in asked or (system or ALL,):
        if target in targets or target.endswith(SUFFIX):
            wanted.update(targets.get(target, [target]))
        elif target in {str(root / ref.path) for ref in planned.artifacts}:
            raise ParamsError(f"{target}: Snakemake knows jobs, not outputs; `shiftbench make {target}` makes it")
        elif not system and not systems_of(target):  # a rule that a user added, of any outputs
            wanted.update(whole)
    return wanted


def _asked(planned: plan.Plan, markers: Mapping[str, str], wanted: Collection[str]) -> set[Ref]:
    """Return what users miss of some jobs, given by name or marker; all of a job of which they miss nothing."""
    asked = set[Ref]()
    for name, job in planned.jobs.items():
        if name in wanted or markers[name] in wanted:
            refs = {one.ref for one in job.artifacts}
            asked |= {ref for ref in refs if plan.is_target(ref)} or refs
    return asked


def _again(
    planned: plan.Plan,
    markers: Mapping[str, str],
    waits: Mapping[str, Collection[str]],
    words: Collection[str],
    asked: Iterable[str],
) -> set[str]:
    """Return the jobs that `--forcerun` names and those that follow, of what is asked for."""
    above = _reached(asked, waits.__getitem__)
    begin = {name for name in above if planned.jobs[name].verb in words or markers[name] in words}
    follow: dict[str, list[str]] = {name: [] for name in above}
    for name in above:
        for need in waits[name]:
            follow[need].append(name)
    return _reached(begin, follow.__getitem__)


def _reached(names: Iterable[str], along: Callable[[str], Iterable[str]]) -> set[str]:
    found = set(names)
    todo = list(found)
    while todo:
        new = set(along(todo.pop())) - found
        found |= new
        todo += new
    return found


def _seconds_behind(planned: plan.Plan, seconds: Mapping[str, float]) -> dict[Ref, float]:
    """Return what the longest chain of jobs takes that waits for each output."""
    jobs = {one.ref: job.rule for job in planned.jobs.values() for one in job.artifacts}
    behind = dict.fromkeys(planned.artifacts, 0.0)
    for ref, artifact in reversed(planned.artifacts.items()):  # what waits stands behind
        for need in artifact.inputs:
            behind[need] = max(behind[need], behind[ref] + seconds[jobs[ref]])
    return behind


def _group(job: Job) -> str | None:
    """Shifted shards of one dataset are many short jobs; the clean ones, which all wait for, go alone."""
    shifts = any(ref.kind == "shards" for ref in job.inputs)
    return "shift" if job.verb == "shift" and shifts else None


NOTHING = PlannedJobs(())


def _leave(planned: PlannedJobs, file: Path) -> None:
    """Write the jobs of a scale for other processes."""
    names = PlannedJob.__slots__
    jobs = [{name: getattr(job, name) for name in names} for job in planned.jobs]
    content = {"jobs": jobs, "targets": dict(planned.targets), "pages": planned.pages}
    files.write_bytes(file, recipe.canonical(content).encode())


def _read(scale: str | None) -> PlannedJobs:
    """Return what the main process left: its scale's jobs, and those of all systems."""
    files_left = [_file(scale), *sorted(_LEFT.glob(f"shiftbench-{scales.SYSTEMS}-*.json"))]
    found = [file for file in files_left if file.is_file()]
    if not found:
        raise DataError(
            f"{files_left[0].resolve()} does not exist: this process was started by a run whose folder it does not "
            "see; start the run in a folder that all nodes share (docs/clusters.md)"
        )
    return sum(map(_of_file, found), NOTHING)


def left(scale: str) -> PlannedJobs:
    """Return the jobs of a scale as the last run here planned them; nothing, where none did."""
    return _of_file(_file(scale)) if _file(scale).is_file() else NOTHING


def _of_file(file: Path) -> PlannedJobs:
    """Read what the main process left.

    Raises:
        DataError: it is damaged.
    """
    try:
        content = files.from_json(file.read_bytes())
        jobs = tuple(PlannedJob(**_with_tuples(job)) for job in content["jobs"])
        return PlannedJobs(jobs, _with_tuples(content["targets"]), tuple(content["pages"]))
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(f"{file} is damaged ({error}); start the run again, which writes it") from None


def _with_tuples(content: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(one) if isinstance(one, list) else one for key, one in content.items()}
