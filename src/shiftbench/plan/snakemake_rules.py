"""What Snakemake is told of each job: planned once, by the process that a user started.

A cluster's node reads the Snakefile again. Were it to plan again, it would plan something else: receipts
move while other jobs finish, params may be edited meanwhile, and a node may lack the programs that bring
an original. So the main process leaves what it planned in `.snakemake/`, and the others read it.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from shiftbench import files
from shiftbench.errors import DataError, ParamsError, near
from shiftbench.plan import estimate, out_of_date, plan, scales, unavailable
from shiftbench.plan.report_specs import INDEX
from shiftbench.provenance import recipe, trust
from shiftbench.provenance.recipe import Job
from shiftbench.refs import Ref

GB = 1000
RESOURCES: Mapping[str, Mapping[str, int]] = {
    "fetch": {"mem_mb": 2 * GB, "runtime": 120},
    "shift": {"mem_mb": 4 * GB, "runtime": 60},
    "train": {"mem_mb": 8 * GB, "runtime": 720},
    "evaluate": {"mem_mb": 8 * GB, "runtime": 240},
    "score": {"mem_mb": 8 * GB, "runtime": 240},
    "aggregate": {"mem_mb": 8 * GB, "runtime": 120},
    "report": {"mem_mb": 4 * GB, "runtime": 30},
}
"""What a job of each stage asks of a cluster: memory in MB, time in minutes. Limits, not forecasts."""

ON_GPU = ("train", "evaluate")
"""The stages that use a GPU where the run's config asks for one."""

TARGETS: Mapping[str, tuple[str, ...]] = {
    "sources": ("fetch",),
    "shards": ("shift",),
    "weights": ("train",),
    "records": ("evaluate", "score"),
    "tables": ("aggregate",),
}
"""Targets of Snakemake -> the stages of a scale that make them."""


PROMISED = ("report", "aggregate")
"""The stages whose outputs are here when a run of the whole campaign ends with success."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: a job's recipe, outputs and log, and those of its inputs that this run makes.

    `runs` tells whether the run starts it. Jobs of one group may share a submission to a cluster: those that are
    short, and do not wait for another. `title` is what a terminal calls the job, `seconds` what it is expected to take,
    `priority` so with all that has to come after it: what begins the longest chain goes first. `damaged` names outputs
    whose bytes are not those that were made, and says what is wrong with them.
    """

    verb: str
    rule: str
    title: str
    recipe: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    log: str
    runs: bool
    group: str | None
    seconds: float
    priority: int
    damaged: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rules:
    """All rules of a run, and what each stage makes for a user; under `report`, what a run of the whole promises."""

    rules: tuple[Rule, ...]
    wanted: Mapping[str, list[str]]
    systems: Mapping[str, list[str]] = field(default_factory=dict)
    """Name of a target, `systems/palm` -> what it makes."""
    pages: tuple[str, ...] = ()
    """The reports that are asked for, without the pages of samples that they lead to."""

    def of_verb(self, verb: str) -> list[Rule]:
        """Return the rules of one stage."""
        return [rule for rule in self.rules if rule.verb == verb]

    def targets(self, *verbs: str) -> list[str]:
        """Return the outputs of stages that a user asks for."""
        return [path for verb in verbs for path in self.wanted.get(verb, [])]

    @property
    def named(self) -> dict[str, list[str]]:
        """What a user may ask for by name: stages of the scale, systems, all systems -> their outputs."""
        stages = {name: self.targets(*verbs) for name, verbs in TARGETS.items()}
        whole = [path for paths in self.systems.values() for path in paths]
        return {**stages, **self.systems, scales.SYSTEMS: whole}

    def __add__(self, other: Rules) -> Rules:
        """Return both; what stages make for a user is that of the first that says so."""
        return Rules(
            (*self.rules, *other.rules),
            self.wanted or other.wanted,
            {**self.systems, **other.systems},
            (*self.pages, *other.pages),
        )


NOTHING = Rules((), {})
_LEFT = Path(".snakemake")


def load(
    scale: str | None, *, main: bool, targets: Collection[str] = (), whole: bool = False
) -> Rules:
    """Plan, write the recipes and leave the rules for other processes; or read what was left.

    Args:
        scale: the overlay `params/SCALE.yaml`, or None.
        main: whether this is the process that a user started; it also prints what was left out.
        targets: what Snakemake is asked for. Where it is systems, these are planned; the scale is for all else.
        whole: the workflow is shown, not run: all inputs of all jobs, and nothing is left for others.

    Raises:
        ParamsError: wrong params, or no such scale or system.
        ChecksumError: a pinned file of the user's is another one now.
        DataError: another process than the main one finds no rules, or the disk refuses them.
    """
    if not main:
        return _read(scale)
    trust.by_doing()  # its Snakefile runs already
    systems = sorted({system for target in targets for system in systems_of(target)})
    plain = [scale] if not targets or not all(map(systems_of, targets)) else []
    found = NOTHING
    for one in (*plain, *systems):
        planned, root = plan.load(one)
        own = unavailable.yours(planned)
        unavailable.refuse_changed(own)
        known, system = estimate.published(one), one if one in systems else None
        rules = of(planned, root, system, targets, whole=whole, known=known)
        planned.write(root)
        if not whole:
            files.write_json(_file(one), dataclasses.asdict(rules))
        told = [
            *planned.unavailable_sources,
            *(f"{x.path}: ignored {x.ignored}" for x in own if x.ignored),
            *_repairs(rules),
        ]
        for line in told:
            print(line, file=sys.stderr)  # noqa: T201  # as Snakemake prints: not on its output
        found += rules
    return found


def _repairs(rules: Rules) -> list[str]:
    """Say what a run makes again because its bytes are not those that were made."""
    lines = [line for rule in rules.rules if rule.runs for line in rule.damaged]
    more = [f"and {len(lines) - _TOLD} more"] if len(lines) > _TOLD else []
    return [f"made again: {line}" for line in [*lines[:_TOLD], *more]]


_TOLD = 5
"""Damaged outputs that are named."""


def systems_of(target: str) -> list[str]:
    """Return the scales of the systems that a target is of: `systems`, `systems/palm`, or a path in a system's root.

    Example:
        >>> systems_of("systems/palm/smoke"), systems_of("build/systems/palm/weights/a/b.safetensors")
        (['systems/palm/smoke'], ['systems/palm'])
        >>> systems_of("results/report/index.html")
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
    system: str | None = None,
    targets: Collection[str] = (),
    *,
    whole: bool = False,
    known: Mapping[str, float] = MappingProxyType({}),
) -> Rules:
    """Return the rules of a plan as its outputs stand now; of a system, under names of their own.

    Args:
        planned: the plan.
        root: its output root.
        system: the target of a system, `systems/palm`.
        targets: what Snakemake is asked for: names, rules or outputs; by default the report.
        whole: jobs have all their inputs, made in this run or not.
        known: what jobs took elsewhere (`estimate.published`).
    """
    prefix = f"{system}_".replace("/", "_").replace("-", "_") if system else ""
    states = planned.states(root)
    damaged = {ref: state for ref, state in states.items() if recipe.is_damaged(state)}
    asked = _asked(planned, root, system, prefix, targets)
    if INDEX in asked:  # all that is here shall be right, also what nothing needs
        asked |= damaged.keys()
    made = out_of_date.find(planned.artifacts, planned.jobs.values(), states, asked)
    seconds = estimate.seconds(planned, root, known)
    behind = _seconds_behind(planned, seconds)
    rules = []
    for job in planned.jobs.values():
        rules.append(
            Rule(
                verb=job.verb,
                rule=prefix + job.rule,
                title=" ".join(filter(None, (system, job.verb, job.name))),
                recipe=str(root / job.recipe_path),
                inputs=tuple(
                    str(root / ref.path)
                    for ref in (job.inputs if whole else out_of_date.told(job, made))
                ),
                outputs=tuple(str(root / path) for path in job.outputs),
                log=str(root / f"logs/{job.verb}/{job.name}.log"),
                runs=not made.isdisjoint(artifact.ref for artifact in job.artifacts),
                group=_group(job),
                seconds=seconds[job.rule],
                priority=round(max(behind[one.ref] for one in job.artifacts) + seconds[job.rule]),
                damaged=tuple(
                    f"{root / one.ref.path}: {damaged[one.ref]}"
                    for one in job.artifacts
                    if one.ref in damaged
                ),
            )
        )
    wanted = {verb: [str(root / path) for path in planned.targets(verb)] for verb in plan.VERBS}
    wanted["report"] = [path for verb in PROMISED for path in wanted[verb]]
    wanted["report"] += [str(root / ref.path) for ref in damaged]
    pages = (str(root / INDEX.path),) if INDEX in asked else ()
    if not system:
        return Rules(tuple(rules), wanted, pages=pages)
    return Rules(tuple(rules), {}, {system: wanted["report"]}, pages)


def _seconds_behind(planned: plan.Plan, seconds: Mapping[str, float]) -> dict[Ref, float]:
    """Return what the longest chain of jobs takes that waits for each output."""
    jobs = {one.ref: job.rule for job in planned.jobs.values() for one in job.artifacts}
    behind = dict.fromkeys(planned.artifacts, 0.0)
    for ref, artifact in reversed(planned.artifacts.items()):  # what waits stands behind
        for need in artifact.inputs:
            behind[need] = max(behind[need], behind[ref] + seconds[jobs[ref]])
    return behind


def _asked(
    planned: plan.Plan, root: Path, system: str | None, prefix: str, targets: Collection[str]
) -> set[Ref]:
    """Return what of a plan Snakemake is asked for."""
    whole = (system, scales.SYSTEMS) if system else ("all",)
    named = {**({} if system else TARGETS), **dict.fromkeys(whole, PROMISED)}
    verbs = {verb for target in targets or ("all",) for verb in named.get(target, ())}
    asked = set()
    for job in planned.jobs.values():
        of_job = job.verb in verbs or prefix + job.rule in targets
        for artifact in job.artifacts:
            if (of_job and plan.is_target(artifact.ref)) or str(
                root / artifact.ref.path
            ) in targets:
                asked.add(artifact.ref)
    return asked


def _group(job: Job) -> str | None:
    """Shifted shards of one dataset are many short jobs; the clean ones, which all wait for, go alone."""
    shifts = any(ref.kind == "shards" for ref in job.inputs)
    return "shift" if job.verb == "shift" and shifts else None


def _read(scale: str | None) -> Rules:
    """Return what the main process left: its scale's rules, and those of all systems."""
    files_left = [_file(scale), *sorted(_LEFT.glob(f"shiftbench-{scales.SYSTEMS}-*.json"))]
    found = [file for file in files_left if file.is_file()]
    if not found:
        raise DataError(
            f"{files_left[0].resolve()} does not exist: this process was started by a run whose folder it does not "
            "see; start the run in a folder that all nodes share (docs/clusters.md)"
        )
    return sum(map(_of_file, found), NOTHING)


def left(scale: str) -> Rules:
    """Return the rules of a scale as the last run here was told of them; nothing, where none was."""
    return _of_file(_file(scale)) if _file(scale).is_file() else NOTHING


def _of_file(file: Path) -> Rules:
    """Read what the main process left.

    Raises:
        DataError: it is damaged.
    """
    try:
        content = files.from_json(file.read_bytes())
        rules = tuple(
            Rule(**rule | {key: tuple(rule[key]) for key in ("inputs", "outputs", "damaged")})
            for rule in content["rules"]
        )
        return Rules(rules, content["wanted"], content["systems"], tuple(content["pages"]))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(
            f"{file} is damaged ({error}); start the run again, which writes it"
        ) from None


def resources(verb: str, config: Mapping[str, Any]) -> dict[str, int]:
    """Return what a job of a stage asks for: RESOURCES, what the config says otherwise, a GPU where it can use one.

    Args:
        verb: the stage.
        config: Snakemake's; `gpu` is a number, `resources` a mapping such as {train: {mem_mb: 16000}}.

    Raises:
        ParamsError: `resources` names no stage, or its value is no mapping of whole numbers.
    """
    own = config.get("resources") or {}
    if not isinstance(own, Mapping):
        raise ParamsError(
            f"config resources: {own!r} is no mapping such as {{train: {{mem_mb: 16000}}}}"
        )
    for name, values in own.items():
        if name not in RESOURCES:
            raise ParamsError(
                f"config resources: no stage is called {name!r}; {near(str(name), RESOURCES)}"
            )
        if not isinstance(values, Mapping) or not all(type(v) is int for v in values.values()):
            raise ParamsError(
                f"config resources.{name}: {values!r} is no mapping of whole numbers such as {{runtime: 60}}"
            )
    gpu = {"gpu": config["gpu"]} if verb in ON_GPU and config.get("gpu") else {}
    return {**RESOURCES[verb], **gpu, **own.get(verb, {})}


def options(verb: str, config: Mapping[str, Any]) -> str:
    """Return what a stage's command is given beside its recipe: its device, `cuda` where the config asks for a GPU.

    A job that was given a GPU and finds none then fails before it starts, instead of computing for hours on
    a CPU.
    """
    if verb not in ON_GPU:
        return ""
    if config.get("gpu"):
        return "--device cuda"
    return "--device cpu" if verb == "train" else "--device auto"
