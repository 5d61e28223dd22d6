"""The plan: params -> artifacts -> jobs -> recipe files. Only this module makes names of outputs.

`Plan.of(params)` expands benchmarks into Refs and each Ref into an Artifact (recipe, inputs, fingerprint; see
recipe_specs.py). The inputs and the `needs(params)` of plugins are further Refs; they are the edges of the DAG.
`Plan.of` reads no outputs. `Plan.write` writes one recipe file per job.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shiftbench.base import refs
from shiftbench.base.errors import ParamsError, PluginError, suggest
from shiftbench.base.files import writable, write_bytes
from shiftbench.base.refs import Ref
from shiftbench.base.registry import Location
from shiftbench.provenance import code_digest, recipe, trust
from shiftbench.provenance.receipts import is_hollow
from shiftbench.provenance.recipe import Artifact, Job
from shiftbench.workflow.plan import configurations, loading, out_of_date, unavailable
from shiftbench.workflow.plan.conditions import Condition, Conditions
from shiftbench.workflow.plan.params import Benchmark, Params
from shiftbench.workflow.plan.recipe_specs import RecipeSpecs
from shiftbench.workflow.plan.report_specs import INDEX, ReportSpecs
from shiftbench.workflow.plan.resolved_plugin import Plugins
from shiftbench.workflow.plan.unavailable import Unavailable

VERBS = ("fetch", "shift", "train", "evaluate", "score", "aggregate", "report")
_VERB_OF = {
    "sources": "fetch",
    "shards": "shift",
    "previews": "shift",
    "checkpoints": "train",
    "records": "evaluate",
    "features": "evaluate",
    "overlaps": "score",
    "searches": "score",
    "scores": "score",
    "analyses": "score",
    "tables": "aggregate",
    "released": "aggregate",
    "claims": "aggregate",
    "samples": "report",
    "report": "report",
}

_READ_SHARDS = ("shift", "train", "evaluate", "score", "report")
"""Verbs that can read streamed shards."""


@dataclass
class Plan:
    """All artifacts of some params, and the jobs that make them."""

    params: Params
    unavailable_sources: tuple[Unavailable, ...] = ()
    unbuildable: frozenset[Ref] = frozenset()
    config: str | None = None
    artifacts: dict[Ref, Artifact] = field(default_factory=dict)
    _open: list[Ref] = field(default_factory=list)

    @classmethod
    def of(
        cls,
        params: Params,
        unavailable_sources: tuple[Unavailable, ...] = (),
        unbuildable: frozenset[Ref] = frozenset(),
    ) -> Plan:
        """Expand params into artifacts; reads code, but no outputs.

        Args:
            params: the parameters of the run.
            unavailable_sources: sources that this machine cannot download, for the report.
            unbuildable: outputs that need them and are not planned.

        Raises:
            ParamsError: a benchmark names a plugin or a combination that does not exist or fit.
        """
        plan = cls(params, unavailable_sources, unbuildable)
        for name, benchmark in plan.benchmarks.items():
            plan.add(Ref("tables", name))
            for record in plan._conditions.records_with_features(benchmark):
                plan.add(refs.features(record))  # made with the records, input of no job: a cache
        with _with_key("released"):
            for name in params.released:
                plan.add(Ref("released", name))
        if params.system and (plan.benchmarks or params.released):
            plan.add(Ref("claims", params.system.slug))
        plan.add(INDEX)
        for page in plan._specs.reports.pages():
            plan.add(page)
        return plan

    @functools.cached_property
    def _conditions(self) -> Conditions:
        return Conditions(self.params, self.unbuildable)

    @functools.cached_property
    def _specs(self) -> RecipeSpecs:
        reports = ReportSpecs(self.params, self._conditions, self.unavailable_sources)
        return RecipeSpecs(self.params, self._conditions, reports, Plugins(self.params))

    @functools.cached_property
    def benchmarks(self) -> dict[str, Benchmark]:
        """The benchmarks of which some output can be made here."""
        return self._conditions.benchmarks

    def conditions(self, benchmark: Benchmark) -> list[Condition]:
        """The conditions of a benchmark."""
        return self._conditions.of(benchmark)

    def rows(self, benchmark: Benchmark) -> list[dict[str, Any]]:
        """One row per evaluation of a benchmark that can be made here."""
        return self._conditions.rows(benchmark)

    # ------------------------------------------------------------------ artifacts

    def add(self, ref: Ref) -> Ref:
        """Plan `ref` and its inputs, recursively; returns it with its place (`data/local` or not).

        Raises:
            PluginError: the needs of outputs form a circle.
        """
        ref = self._conditions.resolve(ref)
        if ref in self.artifacts:
            return ref
        if ref in self._open:
            circle = " -> ".join(f"{r.kind}:{r.name}" for r in [*self._open, ref])
            raise PluginError(f"outputs need each other in a circle: {circle}")
        self._open.append(ref)
        spec = self._specs.of(ref)
        with _with_key(f"analyses.{ref.parts[-1]}" if ref.kind == "analyses" else ""):
            inputs = tuple(dict.fromkeys(self.add(need) for need in spec.inputs))
        self._open.pop()
        code, text = _code(spec.code)
        content = {
            "verb": _VERB_OF[ref.kind],
            "output": f"{ref.kind}/{ref.name}",
            **spec.content,
            **code,
            "upstream": {need.path: self.artifacts[need].fingerprint for need in inputs},
        }
        self.artifacts[ref] = Artifact.of(ref, content, inputs, text)
        return ref

    # ------------------------------------------------------------------ jobs

    @functools.cached_property
    def jobs(self) -> dict[str, Job]:
        """All jobs by `verb/name`, in the order of the data's path."""
        groups: dict[tuple[int, str], list[Artifact]] = {}
        for artifact in self.artifacts.values():
            verb, name = _job_of(artifact.ref)
            groups.setdefault((VERBS.index(verb), name), []).append(artifact)
        jobs = {}
        for (verb_index, name), artifacts in sorted(groups.items()):
            ordered = tuple(sorted(artifacts, key=lambda artifact: artifact.ref))
            verb = VERBS[verb_index]
            jobs[f"{verb}/{name}"] = Job(verb, name, ordered, self._settings(verb))
        return jobs

    def _settings(self, verb: str) -> dict[str, Any]:
        """Settings of a job that decide no byte: places to look for files, and how strictly it is watched."""
        settings: dict[str, Any] = {"plugins": list(self.params.plugins)}
        if self.params.strict is not None:
            settings["strict"] = self.params.strict
        if verb == "fetch":
            settings |= self.params.fetch.model_dump(mode="json")
        if verb in _READ_SHARDS and self.params.shards.stream:
            settings["stream"] = self.params.shards.stream
        return settings

    def of_verb(self, verb: str) -> list[Job]:
        """The jobs of one stage."""
        return [job for job in self.jobs.values() if job.verb == verb]

    def targets(self, verb: str = "report") -> list[str]:
        """The outputs of a stage that users ask for, relative to the output root."""
        artifacts = [artifact for job in self.of_verb(verb) for artifact in job.artifacts]
        return [artifact.ref.path for artifact in artifacts if is_target(artifact.ref)]

    def states(self, root: Path) -> dict[Ref, str]:
        """The state of each artifact: `fresh`, `missing`, or the reason why it is stale.

        Shards without tars are missing, unless params stream tars from a remote.
        """
        states = {ref: recipe.status(root, artifact) for ref, artifact in self.artifacts.items()}
        if self.params.shards.stream:
            return states
        hollow = (ref for ref in states if states[ref] == "fresh" and is_hollow(root, ref))
        return states | dict.fromkeys(hollow, "missing")

    def status(self, root: Path) -> dict[str, dict[Ref, str]]:
        """The states of the artifacts of each job."""
        states = self.states(root)
        return {
            name: {artifact.ref: states[artifact.ref] for artifact in job.artifacts} for name, job in self.jobs.items()
        }

    def at(self, root: Path, path: str) -> list[Artifact]:
        """The artifacts at a path: one output, or all outputs below a folder.

        Args:
            root: the output root.
            path: relative to the root or to the present folder; or the end of a path, or a name.

        Raises:
            ParamsError: no planned output has this path.
        """
        place, home = Path(path), root.absolute()
        inside = place.absolute().is_relative_to(home) and (place.is_absolute() or root != Path())
        name = str(place.absolute().relative_to(home) if inside else place)
        ends = (name, f"{name}/manifest.json")
        artifacts_by_path = {artifact.ref.path: artifact for artifact in self.artifacts.values()}
        below = [artifact for file, artifact in artifacts_by_path.items() if file.startswith(f"{name}/")]
        artifacts = below or [
            artifact for file, artifact in artifacts_by_path.items() if artifact.ref.name == name or file.endswith(ends)
        ]
        if not artifacts:
            known = list(artifacts_by_path)
            similar = [file for file in known if name in file]
            raise ParamsError(f"nothing planned is called {path!r}; {suggest(path, similar or known)}")
        return artifacts

    def out_of_date(self, root: Path, goals: Collection[Ref]) -> frozenset[Ref]:
        """The artifacts that a run makes for some goals; see out_of_date.py."""
        return out_of_date.find(self.artifacts, self.jobs.values(), self.states(root), goals)

    def write(self, root: Path) -> None:
        """Write the recipe files whose content changed, and remove those of jobs that are no longer planned.

        Raises:
            UntrustedError: links of a checkout that is not trusted lead elsewhere.
            DataError: the folder cannot be written.
        """
        trust.refuse_links(root / "recipes")
        planned = {root / job.recipe_path: job for job in self.jobs.values()}
        for file, job in planned.items():
            text = job.text().encode()
            if _read(file) != text:
                write_bytes(file, text)
        walked = os.walk(root / "recipes")  # folders of thousands of jobs
        existing = {f"{top}/{name}" for top, _, names in walked for name in names}
        for extra in existing - set(map(str, planned)):
            if extra.endswith(".json"):
                with writable(Path(extra)):
                    Path(extra).unlink()
        for verb in VERBS:  # DVC depends on these folders, also where they are empty
            with writable(root / "recipes" / verb / "job.json"):
                pass


@contextlib.contextmanager
def _with_key(key: str) -> Iterator[None]:
    """Add the key of params to an error."""
    try:
        yield
    except ParamsError as error:
        if not key:
            raise
        raise type(error)(f"{key}: {error}") from error


@functools.cache
def _code(files: tuple[Location, ...]) -> tuple[dict[str, Any], str]:
    """The code part of a recipe, and its table as text."""
    code = code_digest.of(files).recipe()
    return code, recipe.code_text(code["code"])


def _read(file: Path) -> bytes | None:
    """The bytes of a recipe file; None if it must be written."""
    if file.is_symlink() or not file.is_file():
        return None
    with contextlib.suppress(OSError):
        return file.read_bytes()
    return None


def is_target(ref: Ref) -> bool:
    """Whether users ask for an output; features are a cache, and samples matter only for their page."""
    return ref.kind not in ("features", "samples")


def _job_of(ref: Ref) -> tuple[str, str]:
    """(verb, job name) of the process that makes an output."""
    verb, parts = _VERB_OF[ref.kind], ref.parts
    if ref.kind in ("claims", "samples"):  # they share names with benchmarks and pages
        return verb, f"{ref.kind}/{ref.name}"
    length = {"shift": 3, "evaluate": 3, "score": 3}.get(verb, len(parts))
    return verb, "/".join(parts[:length])


def load(config: str | None = None) -> tuple[Plan, Path]:
    """Plan a configuration (see configurations.py); returns the plan and the output root.

    Raises:
        ParamsError: wrong params, or no such configuration.
    """
    params = configurations.load(config)
    root = Path(params.root)
    try:
        complete = Plan.of(params)
    except ParamsError as error:
        raise loading.with_position(error, configurations.files(config)) from error
    unavailable_sources, unbuildable = unavailable.find(complete, root)
    plan = Plan.of(params, tuple(unavailable_sources), unbuildable) if unbuildable else complete
    plan.config = config
    return plan, root
