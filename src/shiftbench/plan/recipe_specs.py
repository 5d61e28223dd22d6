"""Outlines: what decides each kind of output, and what it is made from.

One method per kind of Ref. The plan asks for the outline of every Ref that it meets, adds what is upstream and the
digests of the code, and has a cell.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from shiftbench import plugins, refs
from shiftbench.data import source_files
from shiftbench.errors import ParamsError
from shiftbench.plan import cards, detector_plan, resolved_plugin
from shiftbench.plan.detector_plan import Asked
from shiftbench.plan.evaluation_points import Position, Positions
from shiftbench.plan.params import Params
from shiftbench.plan.resolved_plugin import Content, Used
from shiftbench.plan.unavailable import LeftOut
from shiftbench.refs import Ref


@dataclass(frozen=True, slots=True)
class Outline:
    """What a plugin or a parameter says of one output.

    Attributes:
        content: its part of the recipe.
        inputs: what it is made from.
        code: source files whose digests, imports included, belong into the recipe.
    """

    content: Content
    inputs: list[Ref]
    code: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Outlines:
    """The outlines of what params name."""

    params: Params
    positions: Positions
    left_out: tuple[LeftOut, ...] = ()

    def of(self, ref: Ref) -> Outline:
        """Return the outline of one output.

        Raises:
            ParamsError, PluginError: what the name asks for does not exist or does not fit.
        """
        outline: Outline = getattr(self, ref.kind)(ref)
        return outline

    def sources(self, ref: Ref) -> Outline:
        """Originals: the digests of their bytes."""
        source = source_files.load_source(ref.name)
        return Outline({"bytes": source.model_dump(mode="json", include={"files", "tree"})}, [])

    def shards(self, ref: Ref) -> Outline:
        """Shards: a dataset's own, or a shift of these."""
        dataset, split, shift, _ = ref.parts
        if shift == "identity":
            return self._clean_shards(dataset, split)
        own, content, needs = self._shifted(ref)
        content["max_mb"] = self.params.shards.max_mb
        return Outline(
            content, [refs.shards(dataset, split), *needs], resolved_plugin.code_of("shift", own)
        )

    def _clean_shards(self, dataset: str, split: str) -> Outline:
        own = self._used("datasets", dataset, {"split": split})
        entry = self.params.component("datasets", dataset)
        subset: dict[str, Any] = entry.subset.model_dump()  # type: ignore[attr-defined]
        part = getattr(entry.slice, split)  # type: ignore[attr-defined]
        content = {
            "dataset": own.content,
            **({} if part == (0, 1) else {"slice": list(part)}),
            "subset": subset[split],
            "on_error": entry.on_error,  # type: ignore[attr-defined]
            "max_mb": self.params.shards.max_mb,
            "fields": dict(plugins.find("tasks", self._task(dataset)).FIELDS),
        }
        task = self._used("tasks", self._task(dataset), {})
        return Outline(
            content, [*own.originals, *own.needs], resolved_plugin.code_of("shift", own, task)
        )

    def _shifted(self, ref: Ref) -> tuple[Used, Content, list[Ref]]:
        """Return a shift, what recipes hold of it, and what it needs, for the shards or previews `ref`."""
        dataset, split, shift, severity = ref.parts
        own = self._used("shifts", shift, {"dataset": dataset, "split": split})
        content = {
            "shift": own.content,
            "severity": float(severity),
            "seed": self.params.seed,
            "fresh": self.params.component("shifts", shift).fresh,  # type: ignore[attr-defined]
        }
        return own, content, own.needs if hasattr(own.module, "needs") else own.originals

    def previews(self, ref: Ref) -> Outline:
        """Previews: of shards, or of the shift of clean ones where it is not stored."""
        dataset, split, shift, _ = ref.parts
        task = self._used("tasks", self._task(dataset), {})
        if self.params.materialised(shift):
            return Outline({}, [Ref("shards", ref.name)], resolved_plugin.code_of("shift", task))
        own, content, needs = self._shifted(ref)
        files = resolved_plugin.code_of("shift", own, task)
        return Outline(content, [refs.shards(dataset, split), *needs], files)

    def weights(self, ref: Ref) -> Outline:
        """Weights: a model, a trainer and a seed, on a dataset."""
        dataset, name = ref.parts
        model_name, trainer_name, seed = resolved_plugin.weights_parts(name)
        context = {"dataset": dataset, "model": model_name, "seed": seed}
        model = self._used("models", model_name, context)
        trainer = self._used("trainers", trainer_name, context)
        content = {
            "model": model.content,
            "trainer": trainer.content,
            "seed": [self.params.seed, seed],
            "threads": self.params.train.threads,
        }
        using = [trainer, model]
        if "optimizer" in trainer.content["options"]:
            using.append(self._used("optimizers", trainer.content["options"]["optimizer"], context))
            content["optimizer"] = using[-1].content
        default = [refs.shards(dataset, "train"), refs.shards(dataset, "val")]
        own = trainer.needs if hasattr(trainer.module, "needs") else default
        reads = hasattr(model.module, "load") or getattr(trainer.module, "READS_ORIGINALS", False)
        inputs = [*own, *(model.needs if reads else [])]
        shifted = self.params.component("trainers", trainer_name).shifted  # type: ignore[attr-defined]
        if shifted:
            content["train_on"] = refs.at(*shifted)
            clean = {ref: refs.shards(dataset, ref.parts[1], *shifted) for ref in default}
            inputs = [clean.get(ref, ref) for ref in inputs]
        if any(ref.kind == "shards" and ref.parts[0] == dataset for ref in inputs):
            return Outline(content, inputs, resolved_plugin.code_of("train", *using))
        named = self._used("datasets", dataset, {})  # who reads no shards has the classes from it
        content["dataset"] = named.content
        return Outline(content, inputs, resolved_plugin.code_of("train", *using, named))

    def records(self, ref: Ref) -> Outline:
        """Records: weights under a method at one position."""
        dataset, name, method_name, *_ = ref.parts
        of = Ref("weights", f"{dataset}/{name}")
        model_name, _, seed = resolved_plugin.weights_parts(name)
        position = self.positions.named(ref)
        model = self._used(
            "models", model_name, {"dataset": dataset, "model": model_name, "seed": seed}
        )
        context = {"dataset": dataset, "weights": of.name, "seed": seed}
        context |= {"stream": position.stream, "step": position.step}
        method = self._used("methods", method_name, context)
        task = self._used("tasks", self._task(position.data.parts[0]), {})
        content = {
            "model": model.content,
            "method": method.content,
            "data": position.data.name,
            "seed": self.params.seed,
            **self.params.evaluate.model_dump(exclude={"shift_device"}),
        }
        reads = hasattr(model.module, "load")  # a net has all it needs in its weights
        if position.time is not None:
            content["stream"] = {
                "before": list(position.before),
                "support": [[one.data.name, one.part, one.of] for one in position.support],
            }
        shown = [one.data for one in position.support]
        inputs = [of, *position.reads, *shown, *position.sees, *method.needs]
        inputs += model.needs if reads else []
        shift = self._while_reading(position)
        files = (*resolved_plugin.code_of("evaluate", method, model, task), *shift.code)
        return Outline({**content, **shift.content}, [*inputs, *shift.inputs], files)

    def _while_reading(self, position: Position) -> Outline:
        """Return what a shift adds to the records of a position where it is not stored."""
        if not position.golden:
            return Outline({}, [])
        own, content, needs = self._shifted(position.golden)
        device = self.params.evaluate.shift_device
        content |= {"golden": position.golden.name, "shift_device": device}
        files = resolved_plugin.code_of("inference.onthefly", own)
        return Outline(
            content, needs, files if device == "cpu" else (*files, *resolved_plugin.twin_of(own))
        )

    def features(self, ref: Ref) -> Outline:
        """Features: made with the records, by the same recipe."""
        return self.records(Ref("records", ref.name))

    def scores(self, ref: Ref) -> Outline:
        """Scores: records under a detector, fitted on ID rows, its options fixed or searched."""
        asked = detector_plan.asked(self.params, self.positions, ref)
        of = refs.records_of(ref)
        own = self._detector(asked, [of, *asked.fit.values()])
        content = {**own.content, "rows": of.name}
        if not asked.searched:
            return Outline(content, own.inputs, (*resolved_plugin.code_of("score"), *own.code))
        return Outline(
            {**content, "search": asked.search.name},
            [*own.inputs, asked.search],
            (*resolved_plugin.code_of("score"), *own.code),
        )

    def searches(self, ref: Ref) -> Outline:
        """Searches: the options of a detector that tell validation OOD best from ID val."""
        asked = detector_plan.asked(self.params, self.positions, ref)
        own = self._detector(asked, [asked.id_val, *asked.ood_val, *asked.fit.values()])
        content = {
            **own.content,
            "grid": asked.grid,
            "id": asked.id_val.name,
            "ood": [records.name for records in asked.ood_val],
        }
        proofs = [
            Ref("overlaps", name)
            for name in asked.campaigns
            if self.params.campaigns[name].val_sets
        ]
        return Outline(
            content,
            [*own.inputs, *proofs],
            (*resolved_plugin.code_of("detector_search"), *own.code),
        )

    def _detector(self, asked: Asked, records: list[Ref]) -> Outline:
        """Return what scores and searches of one detector share: itself, its fit, and the rows that it reads."""
        dataset, of = asked.weights.parts
        context = {"dataset": dataset, "weights": asked.weights.name}
        detector = self._used("detectors", asked.name, context)
        content = {
            "detector": {**detector.content, "options": resolved_plugin.plain(asked.options)},
            "fit": {split: records.name for split, records in asked.fit.items()},
        }
        outputs = self.params.evaluate.outputs
        inputs = [
            ref
            for record in records
            for ref in detector_plan.rows_of(record, asked.module, outputs)
        ]
        inputs += detector.needs
        code = resolved_plugin.files(detector.modules)
        if {"head", "net"} & set(asked.module.NEEDS):
            inputs.append(asked.weights)
        if "net" in asked.module.NEEDS:
            net = self._net(of, dataset, records)
            return Outline({**content, **net.content}, [*inputs, *net.inputs], (*code, *net.code))
        return Outline(content, inputs, tuple(code))

    def _net(self, of: str, dataset: str, records: list[Ref]) -> Outline:
        """Return what it takes to see samples again: the net, and the shards behind the records."""
        model_name, _, seed = resolved_plugin.weights_parts(of)
        context = {"dataset": dataset, "model": model_name, "seed": seed}
        model = self._used("models", model_name, context)
        places = {record.name: self.positions.named(record) for record in records}
        for name, place in places.items():
            if place.golden:
                raise ParamsError(
                    f"{name}: a detector that sees the net again reads stored shards, and those of {place.shift!r} are "
                    "applied while reading (`materialise: false`); store them, or drop the detector"
                )
        content = {
            "model": model.content,
            "data": {name: place.data.name for name, place in places.items()},
            **self.params.evaluate.model_dump(include={"batch_size", "precision", "threads"}),
        }
        inputs = [place.data for place in places.values()]
        reads = hasattr(model.module, "load")
        return Outline(
            content,
            [*inputs, *(model.needs if reads else [])],
            tuple(resolved_plugin.files(model.modules)),
        )

    def overlaps(self, ref: Ref) -> Outline:
        """Overlaps: which samples two sets of a campaign share; those that detection compares may share none."""
        found = detector_plan.sets(self.params.campaigns[ref.name], self.params)
        places = [
            (role, self.positions.settle(refs.shards(name, split))) for role, name, split in found
        ]
        content = {"sets": [[role, place.name] for role, place in places]}
        return Outline(content, [place for _, place in places], resolved_plugin.code_of("overlaps"))

    def analyses(self, ref: Ref) -> Outline:
        """Observations: an analysis of one campaign, with the nets that it sees again."""
        name, analysis_name = ref.parts
        campaign = self.params.campaigns[name]
        context = {
            "campaign": name,
            "dataset": campaign.dataset,
            "split": campaign.split,
            "weights": [of.name for of in self.positions.weights(campaign)],
            "methods": list(campaign.methods),
        }
        own = self._used("analyses", analysis_name, context)
        nets = {of.name: self._model_of(of) for of in own.needs if of.kind == "weights"}
        content = {
            "analysis": own.content,
            "context": context,
            "models": {name: model.content for name, model in nets.items()},
            "seed": self.params.seed,
        }
        inputs = [*own.needs, *own.originals]
        inputs += [
            need for model in nets.values() if resolved_plugin.reads(model) for need in model.needs
        ]
        return Outline(content, inputs, resolved_plugin.code_of("analyse", own, *nets.values()))

    def _model_of(self, of: Ref) -> Used:
        """Return the model behind weights."""
        dataset, name = of.parts
        model, _, seed = resolved_plugin.weights_parts(name)
        return self._used("models", model, {"dataset": dataset, "model": model, "seed": seed})

    def claims(self, _: Ref) -> Outline:
        """Claims of a system, judged from the tables of all its campaigns."""
        asked = self.params.system
        assert asked is not None  # noqa: S101 - only a system has claims; tells mypy
        card = cards.load(asked.slug)
        content = {
            "system": asked.slug,
            "scale": asked.scale,
            "card": card.model_dump(mode="json", include={"claims", "reported", "figures"}),
        }
        tables = [Ref("tables", name) for name in self.positions.campaigns]
        return Outline(content, tables, resolved_plugin.code_of("judge_claims"))

    def tables(self, ref: Ref) -> Outline:
        """Tables: the rows of one campaign under its metrics."""
        campaign = self.params.campaigns[ref.name]
        rows = self.positions.rows(campaign)
        names = campaign.metrics if campaign.metrics is not None else tuple(self.params.metrics)
        metrics = {name: self._used("metrics", name, {}) for name in names}
        content = {
            "campaign": ref.name,
            "task": self._task(campaign.dataset),
            "rows": rows,
            "metrics": {name: metric.content for name, metric in metrics.items()},
            "draws": self.params.bootstrap.draws,
            "seed": self.params.seed,
        }
        inputs = [
            Ref(kind, row[kind]) for row in rows for kind in ("records", "scores") if row[kind]
        ]
        analyses = [Ref("analyses", f"{ref.name}/{name}") for name in campaign.analyses]
        content["analyses"] = [analysis.name for analysis in analyses]
        inputs += analyses
        if campaign.detectors:
            content["detectors"], content["full_spectrum"] = (
                list(campaign.detectors),
                campaign.full_spectrum,
            )
            content["searches"] = [search.name for search in self._searches(rows)]
            inputs += self._searches(rows)
            inputs += [Ref("overlaps", ref.name)] if campaign.ood_groups else []
        return Outline(content, inputs, resolved_plugin.code_of("aggregate", *metrics.values()))

    def _searches(self, rows: list[Content]) -> list[Ref]:
        """Return the searches behind the scores of a campaign."""
        scored = {Ref("scores", row["scores"]) for row in rows if row["scores"]}
        heads = {"/".join(ref.parts[:4]) for ref in scored}
        found = [
            detector_plan.asked(self.params, self.positions, Ref("searches", head))
            for head in sorted(heads)
        ]
        return [asked.search for asked in found if asked.searched]

    def report(self, _: Ref) -> Outline:
        """The report: all tables, with the previews that may be shown."""
        campaigns = self.positions.campaigns
        shown = {place.preview for place in self.positions.all() if self.positions.here(place)}
        previews = [preview for preview in sorted(shown) if not preview.local]
        content = {
            "campaigns": {
                name: campaign.model_dump(mode="json") for name, campaign in campaigns.items()
            },
            "datasets": {name: self._about(name) for name in sorted({p.parts[0] for p in shown})},
            "metrics": {name: self._measure(name) for name in self.params.metrics},
            "left_out": [asdict(original) for original in self.left_out],
        }
        tables = [Ref("tables", name) for name in campaigns]
        if self.params.system:
            content["system"] = self._card()
            tables.append(Ref("claims", self.params.system.slug))
        proofs = [
            Ref("overlaps", name)
            for name, campaign in campaigns.items()
            if campaign.detectors and campaign.ood_groups
        ]
        return Outline(content, [*tables, *proofs, *previews], resolved_plugin.code_of("report"))

    def _card(self) -> Content:
        asked = self.params.system
        assert asked is not None  # noqa: S101 - the caller looked; tells mypy
        about = cards.load(asked.slug).model_dump(mode="json", exclude={"params"})
        order = list(about["claims"])  # a recipe sorts its keys
        return {"slug": asked.slug, "scale": asked.scale, "order": order, **about}

    def _measure(self, name: str) -> Content:
        module = plugins.find("metrics", self.params.use("metrics", name))
        return {
            "unit": module.UNIT,
            "higher_is_better": module.HIGHER_IS_BETTER,
            "meaning": (module.__doc__ or "").strip().partition("\n")[0],
            "options": resolved_plugin.plain(self.params.options("metrics", name)),
        }

    def _about(self, dataset: str) -> Content:
        module = plugins.find("datasets", self.params.use("datasets", dataset))
        return {"licence": module.LICENCE, "citation": module.CITATION}

    def _task(self, dataset: str) -> str:
        task: str = plugins.find("datasets", self.params.use("datasets", dataset)).TASK
        return task

    def _used(self, family: str, name: str, context: Content) -> Used:
        return resolved_plugin.plugin(self.params, family, name, context)
