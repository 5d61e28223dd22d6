"""The plan: from params to cells, jobs, recipe files and stamps. The only product of names anywhere.

`Plan.of(params)` expands campaigns into Refs, each Ref into a Cell (recipe, inputs, fingerprint), and
every plugin's `needs(params)` into further Refs, recursively: the only way in which an edge of the
DAG comes about. Nothing on disk is looked at. `Plan.write()` then writes one recipe file per job and
stamps it: newer than the outputs when one of them is stale, older otherwise, so that Snakemake, which
compares time stamps, reruns exactly what receipts say.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from shiftbench import code, leftout, originals, pins, plugins, recipe, refs
from shiftbench.errors import ParamsError, PluginError, near
from shiftbench.leftout import LeftOut
from shiftbench.params import Campaign, Params
from shiftbench.params import load as load_params
from shiftbench.positions import Position, Positions
from shiftbench.recipe import Cell, Job
from shiftbench.refs import Ref

OLD = 946_684_800  # 2000-01-01: older than any output
VERBS = ("fetch", "shift", "train", "evaluate", "score", "aggregate", "report")
_VERB_OF = {
    "sources": "fetch",
    "shards": "shift",
    "previews": "shift",
    "weights": "train",
    "records": "evaluate",
    "features": "evaluate",
    "scores": "score",
    "tables": "aggregate",
    "report": "report",
}

_BY_CONSTRUCTION = ("sources", "shards", "previews")
"""Kinds whose bytes follow from their recipe everywhere; weights also depend on the machine."""


@dataclass
class Plan:
    """All cells that params ask for, and the jobs that make them."""

    params: Params
    left_out: tuple[LeftOut, ...] = ()
    lost: frozenset[Ref] = frozenset()
    cells: dict[Ref, Cell] = field(default_factory=dict)
    _open: list[Ref] = field(default_factory=list)

    @classmethod
    def of(
        cls, params: Params, left_out: tuple[LeftOut, ...] = (), lost: frozenset[Ref] = frozenset()
    ) -> Plan:
        """Expand params into cells; looks at code, never at outputs.

        Args:
            params: what to run.
            left_out: originals that this machine cannot bring, for the report.
            lost: what cannot be made without them; not planned.

        Raises:
            ParamsError: a campaign asks for what does not exist or does not fit.
        """
        plan = cls(params, left_out, lost)
        for name in plan.campaigns:
            plan.want(Ref("tables", name))
        plan.want(Ref("report", "index"))
        return plan

    @functools.cached_property
    def campaigns(self) -> dict[str, Campaign]:
        """The campaigns of which something can be made here."""
        return {name: c for name, c in self.params.campaigns.items() if self.rows(c)}

    def positions(self, campaign: Campaign) -> list[Position]:
        """Return every position that a campaign evaluates."""
        return Positions(self.params).of(campaign)

    def rows(self, campaign: Campaign) -> list[dict[str, Any]]:
        """Return one row per evaluation cell of a campaign that can be made here."""
        rows = Positions(self.params).rows(campaign)
        return [row for row in rows if Ref("records", row["records"]) not in self.lost]

    # ------------------------------------------------------------------ cells

    def want(self, ref: Ref) -> Ref:
        """Make sure that `ref` and all it needs are planned; returns it with its place settled.

        Raises:
            PluginError: needs go round in a circle.
        """
        ref = Positions(self.params).settle(ref)
        if ref in self.cells:
            return ref
        if ref in self._open:
            circle = " -> ".join(f"{r.kind}:{r.name}" for r in [*self._open, ref])
            raise PluginError(f"needs go round in a circle: {circle}")
        self._open.append(ref)
        own, inputs = getattr(self, f"_{ref.kind}")(ref)
        inputs = tuple(dict.fromkeys(self.want(need) for need in inputs))
        self._open.pop()
        upstream = {need.path: self.cells[need].fingerprint for need in inputs}
        content = {
            "verb": _VERB_OF[ref.kind],
            "output": f"{ref.kind}/{ref.name}",
            **own,
            "upstream": upstream,
        }
        self.cells[ref] = Cell.of(ref, content, inputs)
        return ref

    def _sources(self, ref: Ref) -> tuple[dict[str, Any], list[Ref]]:
        source = originals.load_source(ref.name)
        return {"bytes": source.model_dump(mode="json", include={"files", "tree"})}, []

    def _shards(self, ref: Ref) -> tuple[dict[str, Any], list[Ref]]:
        dataset, split, shift, _ = ref.parts
        if shift == "identity":
            return self._clean_shards(dataset, split)
        own, applied, needs = self._applied(ref)
        content = {
            **applied,
            "max_mb": self.params.shards.max_mb,
            "code": self._code("shift", own),
        }
        return content, [refs.shards(dataset, split), *needs]

    def _applied(self, ref: Ref) -> tuple[_Used, dict[str, Any], list[Ref]]:
        """Return a shift, what recipes hold of it, and what it needs, for the shards or previews `ref`."""
        dataset, split, shift, severity = ref.parts
        own = self._plugin("shifts", shift, {"dataset": dataset, "split": split})
        content = {
            "shift": own.content,
            "severity": float(severity),
            "seed": self.params.seed,
            "fresh": self.params.component("shifts", shift).fresh,  # type: ignore[attr-defined]
        }
        needs = own.needs if hasattr(own.module, "needs") else _originals(own.module)
        return own, content, needs

    def _clean_shards(self, dataset: str, split: str) -> tuple[dict[str, Any], list[Ref]]:
        own = self._plugin("datasets", dataset, {"split": split})
        entry = self.params.component("datasets", dataset)
        subset: dict[str, Any] = entry.subset.model_dump()  # type: ignore[attr-defined]
        content = {
            "dataset": own.content,
            "subset": subset[split],
            "on_error": entry.on_error,  # type: ignore[attr-defined]
            "max_mb": self.params.shards.max_mb,
            "fields": dict(self._task(dataset).FIELDS),
            "code": self._code("shift", own),
        }
        return content, [*_originals(own.module), *own.needs]

    def _previews(self, ref: Ref) -> tuple[dict[str, Any], list[Ref]]:
        dataset, split, shift, _ = ref.parts
        if self.params.materialised(shift):
            return {"code": self._code("shift")}, [Ref("shards", ref.name)]
        own, applied, needs = self._applied(ref)
        return {**applied, "code": self._code("shift", own)}, [refs.shards(dataset, split), *needs]

    def _weights(self, ref: Ref) -> tuple[dict[str, Any], list[Ref]]:
        dataset, name = ref.parts
        model_name, trainer_name, seed = _weights_parts(name)
        context = {"dataset": dataset, "model": model_name, "seed": seed}
        model = self._plugin("models", model_name, context)
        trainer = self._plugin("trainers", trainer_name, context)
        content = {
            "model": model.content,
            "trainer": trainer.content,
            "seed": [self.params.seed, seed],
            "threads": self.params.train.threads,
            "code": self._code("train", trainer, model),
        }
        default = [refs.shards(dataset, "train"), refs.shards(dataset, "val")]
        own = trainer.needs if hasattr(trainer.module, "needs") else default
        reads = hasattr(model.module, "load") or getattr(trainer.module, "READS_ORIGINALS", False)
        return content, [*own, *(model.needs if reads else [])]

    def _records(self, ref: Ref) -> tuple[dict[str, Any], list[Ref]]:
        dataset, name, method_name, *_ = ref.parts
        of = Ref("weights", f"{dataset}/{name}")
        model_name, _, seed = _weights_parts(name)
        position = Positions(self.params).named(ref)
        context = {"dataset": dataset, "weights": of.name, "seed": seed}
        model = self._plugin(
            "models", model_name, {"dataset": dataset, "model": model_name, "seed": seed}
        )
        method = self._plugin("methods", method_name, context)
        task = self._plugin("tasks", self._task_name(position.data.parts[0]), {})
        content = {
            "model": model.content,
            "method": method.content,
            "data": position.data.name,
            "seed": self.params.seed,
            **self.params.evaluate.model_dump(exclude={"shift_device"}),
            "code": self._code("evaluate", method, model, task),
        }
        reads = hasattr(model.module, "load")  # a net has all it needs in its weights
        originals = model.needs if reads else []
        applied, needs = self._while_reading(position, content["code"])
        inputs = [of, *position.reads, *position.sees, *needs, *method.needs, *originals]
        return {**content, **applied}, inputs

    def _while_reading(
        self, position: Position, code: dict[str, str]
    ) -> tuple[dict[str, Any], list[Ref]]:
        """Return what the recipe of records holds of a shift that is not stored, and what that needs."""
        if not position.golden:
            return {}, []
        own, applied, needs = self._applied(position.golden)
        device = self.params.evaluate.shift_device
        more = self._code("onthefly", own)
        if device != "cpu":
            from shiftbench.apply_torch import find_twin  # imports torch

            twin = find_twin(own.module)
            more |= self._code("apply_torch", *([_Used((twin,), {}, [])] if twin else []))
        content = {**applied, "golden": position.golden.name, "shift_device": device}
        return {**content, "code": {**code, **more}}, needs

    def _features(self, ref: Ref) -> tuple[dict[str, Any], list[Ref]]:
        return self._records(Ref("records", ref.name))

    def _scores(self, ref: Ref) -> tuple[dict[str, Any], list[Ref]]:
        dataset, name, method, detector_name, *stream = ref.parts
        of = Ref("records", "/".join((dataset, name, method, *stream)))
        fit = Ref("records", "/".join((dataset, name, method, dataset, "train", "identity", "0")))
        detector = self._plugin(
            "detectors", detector_name, {"dataset": dataset, "weights": f"{dataset}/{name}"}
        )
        wants = set(detector.module.NEEDS)
        needs = [of, *detector.needs]
        needs += [refs.features(of)] if "features" in wants else []
        needs += [fit] if "train_logits" in wants else []
        needs += [fit, refs.features(fit)] if "train_features" in wants else []
        return {"detector": detector.content, "code": self._code("score", detector)}, needs

    def _tables(self, ref: Ref) -> tuple[dict[str, Any], list[Ref]]:
        campaign = self.params.campaigns[ref.name]
        rows = self.rows(campaign)
        names = campaign.metrics if campaign.metrics is not None else tuple(self.params.metrics)
        metrics = {name: self._plugin("metrics", name, {}) for name in names}
        content = {
            "campaign": ref.name,
            "task": self._task_name(campaign.dataset),
            "rows": rows,
            "metrics": {name: metric.content for name, metric in metrics.items()},
            "draws": self.params.bootstrap.draws,
            "seed": self.params.seed,
            "code": self._code("aggregate", *metrics.values()),
        }
        for record in Positions(self.params).kept_features(campaign):
            if record not in self.lost:  # made beside the records, but no input: a cache
                self.want(refs.features(record))
        return content, [
            Ref(kind, row[kind]) for row in rows for kind in ("records", "scores") if row[kind]
        ]

    def _report(self, _: Ref) -> tuple[dict[str, Any], list[Ref]]:
        campaigns = self.campaigns
        tables = [Ref("tables", name) for name in campaigns]
        positions = [position for c in campaigns.values() for position in self.positions(c)]
        shown = {p.preview for p in positions if self.lost.isdisjoint(p.reads)}
        previews = [preview for preview in sorted(shown) if not preview.local]
        content = {
            "campaigns": {
                name: campaign.model_dump(mode="json") for name, campaign in campaigns.items()
            },
            "datasets": {name: self._about(name) for name in sorted({d.parts[0] for d in shown})},
            "metrics": {name: self._measure(name) for name in self.params.metrics},
            "left_out": [asdict(original) for original in self.left_out],
            "code": self._code("report"),
        }
        return content, [*tables, *previews]

    def _measure(self, name: str) -> dict[str, Any]:
        module = plugins.find("metrics", self.params.use("metrics", name))
        return {
            "unit": module.UNIT,
            "higher_is_better": module.HIGHER_IS_BETTER,
            "meaning": (module.__doc__ or "").strip().partition("\n")[0],
            "options": _plain(self.params.options("metrics", name)),
        }

    def _about(self, dataset: str) -> dict[str, str]:
        module = plugins.find("datasets", self.params.use("datasets", dataset))
        return {"licence": module.LICENCE, "citation": module.CITATION}

    # -------------------------------------------------------------- plugins

    def _plugin(self, family: str, name: str, context: dict[str, Any]) -> _Used:
        file = self.params.use(family, name)
        module = plugins.find(family, file)
        options = self.params.options(family, name)
        needs: Callable[[dict[str, Any]], list[Ref]] = getattr(module, "needs", lambda _: [])
        content = {"name": name, "use": file, "options": _plain(options)}
        if options.get("path"):
            content["pinned"] = pins.digest(str(options["path"]), f"{family}.{name}.path")
        uses: list[tuple[str, str]] = getattr(module, "uses", lambda _: [])(options)
        others = tuple(plugins.find(other, self.params.use(other, known)) for other, known in uses)
        return _Used((module, *others), content, list(needs({**options, **context})))

    def _task_name(self, dataset: str) -> str:
        task: str = plugins.find("datasets", self.params.use("datasets", dataset)).TASK
        return task

    def _task(self, dataset: str) -> ModuleType:
        return plugins.find("tasks", self._task_name(dataset))

    def _code(self, stage: str, *used: _Used) -> dict[str, str]:
        modules = [module for one in used for module in one.modules]
        files = [code.stage(stage), *(Path(str(module.__file__)) for module in modules)]
        return dict(_closure(tuple(files)))

    # ------------------------------------------------------------------ jobs

    @functools.cached_property
    def jobs(self) -> dict[str, Job]:
        """All jobs by `verb/name`, in the order of the data's path."""
        groups: dict[tuple[int, str], list[Cell]] = {}
        for cell in self.cells.values():
            verb, name = _job_of(cell.ref)
            groups.setdefault((VERBS.index(verb), name), []).append(cell)
        jobs = {}
        for (verb_index, name), cells in sorted(groups.items()):
            ordered = tuple(sorted(cells, key=lambda cell: cell.ref))
            verb = VERBS[verb_index]
            jobs[f"{verb}/{name}"] = Job(verb, name, ordered, self._settings(verb))
        return jobs

    def _settings(self, verb: str) -> dict[str, Any]:
        """Return where a job looks for things; it decides no byte, so it is in no fingerprint."""
        plugin_folders = {"plugins": list(self.params.plugins)}
        return plugin_folders | (
            self.params.fetch.model_dump(mode="json") if verb == "fetch" else {}
        )

    def of_verb(self, verb: str) -> list[Job]:
        """Return the jobs of one stage."""
        return [job for job in self.jobs.values() if job.verb == verb]

    def targets(self, verb: str = "report") -> list[str]:
        """Return the outputs of a stage that a user asks for, relative to the output root.

        Features are left out: a cache, made beside the records and missed by nobody in a clone.
        """
        cells = [cell for job in self.of_verb(verb) for cell in job.cells]
        return [cell.ref.path for cell in cells if _is_target(cell.ref)]

    def status(self, root: Path) -> dict[str, dict[Ref, str]]:
        """Return for each job how its cells stand (`fresh`, `missing`, or why stale)."""
        return {
            name: {cell.ref: recipe.status(root, cell) for cell in job.cells}
            for name, job in self.jobs.items()
        }

    def standing(self, root: Path) -> tuple[frozenset[Ref], frozenset[Ref]]:
        """Return what is awake (a run may make it) and what is lacking (targets that are not here).

        Awake are stale cells, missing ones that are made with them, and what is below. Snakemake does
        not look at what is below a job that runs, but follows inputs that are missing or not `ancient()`:
        so a job is given the inputs of its awake cells; without one, those of what it lacks, as
        ancient; and a job at rest, which nothing can wake, is given none. A fresh
        cell below a stale one may have to be made again, which its verb decides by the new bytes; below
        originals and shards that come back under the recipe that they had, it has not.
        """
        states = {ref: recipe.status(root, cell) for ref, cell in self.cells.items()}
        mates = {cell.ref: job.cells for job in self.jobs.values() for cell in job.cells}
        todo = [ref for ref, state in states.items() if state not in ("fresh", "missing")]
        awake = set(todo)
        while todo:
            ref = todo.pop()  # its verb needs its inputs, and makes all that its job lacks
            needed = {*self.cells[ref].inputs, *(mate.ref for mate in mates[ref])} - awake
            missing = [need for need in needed if states[need] == "missing"]
            todo += missing
            awake.update(missing)
        moved = {
            ref for ref in awake if states[ref] != "missing" or ref.kind not in _BY_CONSTRUCTION
        }
        for ref, cell in self.cells.items():  # inputs stand before what is made from them
            if states[ref] == "fresh" and not moved.isdisjoint(cell.inputs):
                moved.add(ref)
        lacking = {ref for ref, state in states.items() if state == "missing" and _is_target(ref)}
        return frozenset(awake | moved), frozenset(lacking)

    def write(self, root: Path) -> None:
        """Write the recipe files (only when their content changes) and stamp them.

        A recipe is stamped now when one of the job's outputs is stale, old otherwise. Missing outputs
        count as old: Snakemake makes them only where something stale needs them, so that records
        pulled without their shards are at rest.
        """
        wanted = set()
        for name, states in self.status(root).items():
            job = self.jobs[name]
            file = root / job.recipe_path
            wanted.add(file)
            text = job.text()
            if not file.is_file() or file.read_text() != text:
                recipe.write_bytes(file, text.encode())
            stale = any(state not in ("fresh", "missing") for state in states.values())
            os.utime(file, None if stale else (OLD, OLD))
        for file in set((root / "recipes").rglob("*.json")) - wanted:
            file.unlink()
        for verb in VERBS:  # DVC depends on these folders, also where they are empty
            (root / "recipes" / verb).mkdir(parents=True, exist_ok=True)


@dataclass(frozen=True, slots=True)
class _Used:
    modules: tuple[ModuleType, ...]  # the plugin's own, then those that its `uses` names
    content: dict[str, Any]
    needs: list[Ref]

    @property
    def module(self) -> ModuleType:
        return self.modules[0]


def _originals(module: ModuleType) -> list[Ref]:
    return [refs.sources(name) for name in getattr(module, "SOURCES", ())]


@functools.cache
def _closure(files: tuple[Path, ...]) -> tuple[tuple[str, str], ...]:
    return tuple(code.closure(files).items())


def _plain(options: dict[str, Any]) -> dict[str, Any]:
    return {
        key: list(value) if isinstance(value, tuple) else value for key, value in options.items()
    }


def _weights_parts(name: str) -> tuple[str, str, int]:
    model, trainer, seed = name.split("-")
    return model, trainer, int(seed.removeprefix("s"))


def _is_target(ref: Ref) -> bool:
    return ref.kind != "features"


def _job_of(ref: Ref) -> tuple[str, str]:
    """Return (verb, job name): which cells are made by one process."""
    verb, parts = _VERB_OF[ref.kind], ref.parts
    length = {"shift": 3, "evaluate": 3, "score": 4}.get(verb, len(parts))
    return verb, "/".join(parts[:length])


def load(scale: str | None = None) -> tuple[Plan, Path]:
    """Read params.yaml (and the overlay `params/SCALE.yaml`); return the plan and the output root.

    Raises:
        ParamsError: wrong params, or no such scale.
    """
    files = [Path("params.yaml")]
    if scale:
        files.append(Path("params") / f"{scale}.yaml")
        if not files[-1].is_file():
            known = [path.stem for path in Path("params").glob("*.yaml")]
            raise ParamsError(
                f"no scale {scale!r}: {files[-1]} does not exist; {near(scale, known)}"
            )
    checked = load_params(*files)
    root = Path(checked.root)
    whole = Plan.of(checked)
    left_out, lost = leftout.find(whole, root)
    return (Plan.of(checked, tuple(left_out), lost) if lost else whole), root
