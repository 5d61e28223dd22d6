"""Recipe specs: the content and inputs of each kind of output, one method per kind of Ref.

The plan takes the recipe spec of each Ref, adds the fingerprints of its inputs and the digests of its code, and gets an
artifact.
"""

from collections.abc import Callable
from dataclasses import dataclass

from shiftbench.base import refs, registry
from shiftbench.base.errors import ParamsError
from shiftbench.base.refs import CheckpointName, RecordsName, Ref, ShardsName
from shiftbench.data import source_files
from shiftbench.workflow.plan import detector_plan, resolved_plugin
from shiftbench.workflow.plan.conditions import Condition, Conditions
from shiftbench.workflow.plan.detector_plan import DetectorRequest
from shiftbench.workflow.plan.params import Params
from shiftbench.workflow.plan.recipe_spec import RecipeSpec
from shiftbench.workflow.plan.report_specs import ReportSpecs
from shiftbench.workflow.plan.resolved_plugin import Content, Plugins, Used


@dataclass(frozen=True, slots=True)
class RecipeSpecs:
    """The recipe specs of the outputs that params name."""

    params: Params
    conditions: Conditions
    reports: ReportSpecs
    plugins: Plugins

    def of(self, ref: Ref) -> RecipeSpec:
        """The recipe spec of one output.

        Raises:
            ParamsError, PluginError: a part of its name does not exist or does not fit.
        """
        return _OF_KIND[ref.kind](self, ref)

    def sources(self, ref: Ref) -> RecipeSpec:
        """Sources: the digests of their files."""
        source = source_files.load_source(ref.name)
        return RecipeSpec({"bytes": source.model_dump(mode="json", include={"files", "tree"})}, [])

    def shards(self, ref: Ref) -> RecipeSpec:
        """Shards: the clean samples of a data set, or a shift of them."""
        dataset, split, shift, _ = ShardsName.of(ref)
        if shift == "identity":
            return self._clean_shards(dataset, split)
        own, content, needs = self._shifted(ref)
        content["max_mb"] = self.params.shards.max_mb
        return RecipeSpec(content, [refs.shards(dataset, split), *needs], resolved_plugin.code_of("shift", own))

    def _clean_shards(self, dataset: str, split: str) -> RecipeSpec:
        own = self._used("datasets", dataset, {"split": split})
        chosen = self.params.dataset(dataset)
        part = getattr(chosen.slice, split)
        content = {
            "dataset": own.content,
            **({} if part == (0, 1) else {"slice": list(part)}),
            **({} if chosen.val_of_train == "apart" else {"val": chosen.val_of_train}),
            "subset": getattr(chosen.subset, split),
            "on_error": chosen.on_error,
            "max_mb": self.params.shards.max_mb,
            "fields": dict(registry.read("tasks", self._task(dataset)).FIELDS),
        }
        task = self._used("tasks", self._task(dataset), {})
        return RecipeSpec(content, [*own.sources, *own.needs], resolved_plugin.code_of("shift", own, task))

    def _shifted(self, ref: Ref) -> tuple[Used, Content, list[Ref]]:
        """A shift, its part of recipes, and its inputs, for the shards or previews `ref`."""
        dataset, split, shift, severity = ShardsName.of(ref)
        own = self._used("shifts", shift, {"dataset": dataset, "split": split})
        content = {
            "shift": own.content,
            "severity": severity,
            "seed": self.params.seed,
            "fresh": self.params.shift(shift).fresh,
        }
        return own, content, own.needs if registry.defines(own.module, "needs") else own.sources

    def previews(self, ref: Ref) -> RecipeSpec:
        """Previews: of stored shards, or of a shift that is applied while reading clean shards."""
        dataset, split, shift, _ = ShardsName.of(ref)
        task = self._used("tasks", self._task(dataset), {})
        if self.params.materialised(shift):
            return RecipeSpec({}, [Ref("shards", ref.name)], resolved_plugin.code_of("shift", task))
        own, content, needs = self._shifted(ref)
        files = resolved_plugin.code_of("shift", own, task)
        return RecipeSpec(content, [refs.shards(dataset, split), *needs], files)

    def checkpoint(self, ref: Ref) -> RecipeSpec:
        """Checkpoints: an architecture, a trainer and a seed, on a data set."""
        dataset, model_name, trainer_name, seed = CheckpointName.of(ref)
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
        own = trainer.needs if registry.defines(trainer.module, "needs") else default
        reads = resolved_plugin.reads(model) or getattr(trainer.module, "READS_SOURCES", False)
        inputs = [*own, *(model.needs if reads else [])]
        shifted = self.params.trainer(trainer_name).shifted
        if shifted:
            content["train_on"] = refs.at(*shifted)
            clean = {ref: refs.shards(dataset, ref.parts[1], *shifted) for ref in default}
            inputs = [clean.get(ref, ref) for ref in inputs]
        if any(ref.kind == "shards" and ref.parts[0] == dataset for ref in inputs):
            return RecipeSpec(content, inputs, resolved_plugin.code_of("train", *using))
        named = self._used("datasets", dataset, {})  # without shards the classes come from the data set
        content["dataset"] = named.content
        return RecipeSpec(content, inputs, resolved_plugin.code_of("train", *using, named))

    def records(self, ref: Ref) -> RecipeSpec:
        """Records: a checkpoint with a method on one condition."""
        checkpoint, method_name, *_ = RecordsName.of(ref)
        dataset, _, _, seed = CheckpointName.of(checkpoint)
        condition = self.conditions.named(ref)
        model = self._model_of(checkpoint)
        context = {"dataset": dataset, "checkpoint": checkpoint.name, "seed": seed}
        context |= {"stream": condition.stream, "step": condition.step}
        method = self._used("methods", method_name, context)
        task = self._used("tasks", self._task(ShardsName.of(condition.data).dataset), {})
        content = {
            "model": model.content,
            "method": method.content,
            "data": condition.data.name,
            "seed": self.params.seed,
            **self.params.evaluate.model_dump(exclude={"shift_device"}),
        }
        if condition.time is not None:
            content["stream"] = {
                "before": list(condition.before),
                "support": [[one.data.name, one.part, one.of] for one in condition.support],
            }
        shown = [one.data for one in condition.support]
        inputs = [checkpoint, *condition.reads, *shown, *condition.sees, *method.needs]
        inputs += resolved_plugin.read_again(model)
        shift = self._while_reading(condition)
        files = (*resolved_plugin.code_of("evaluate", method, model, task), *shift.code)
        return RecipeSpec({**content, **shift.content}, [*inputs, *shift.inputs], files)

    def _while_reading(self, condition: Condition) -> RecipeSpec:
        """The part that a shift adds to the records of a condition if it is applied while reading."""
        if not condition.golden:
            return RecipeSpec({}, [])
        own, content, needs = self._shifted(condition.golden)
        device = self.params.evaluate.shift_device
        content |= {"golden": condition.golden.name, "shift_device": device}
        files = resolved_plugin.code_of("evaluation.onthefly", own)
        if device == "cpu":
            return RecipeSpec(content, needs, files)
        if device == "torch" and not resolved_plugin.name_in_torch(own):
            raise ParamsError(
                f"evaluate.shift_device = 'torch': there is no torch implementation of {condition.shift!r}; use "
                f"`auto` or `cpu` to apply it on the CPU, or shifts.{condition.shift}.materialise: true to store it"
            )
        return RecipeSpec(content, needs, (*files, *resolved_plugin.code_in_torch(own)))

    def features(self, ref: Ref) -> RecipeSpec:
        """Features: made with the records, by the same recipe."""
        return self.records(Ref("records", ref.name))

    def scores(self, ref: Ref) -> RecipeSpec:
        """Scores: records scored by a detector that is fitted on ID records, with fixed or searched options."""
        request = detector_plan.request(self.params, self.conditions, ref)
        records = refs.records_of(ref)
        own = self._detector(request, [records, *request.fit.values()])
        content = {**own.content, "rows": records.name}
        if not request.searched:
            return RecipeSpec(content, own.inputs, (*resolved_plugin.code_of("score"), *own.code))
        return RecipeSpec(
            {**content, "search": request.search.name},
            [*own.inputs, request.search],
            (*resolved_plugin.code_of("score"), *own.code),
        )

    def searches(self, ref: Ref) -> RecipeSpec:
        """Searches: the options of a detector that separate validation OOD best from ID val."""
        request = detector_plan.request(self.params, self.conditions, ref)
        own = self._detector(request, [request.id_val, *request.ood_val, *request.fit.values()])
        content = {
            **own.content,
            "grid": request.grid,
            "id": request.id_val.name,
            "ood": [records.name for records in request.ood_val],
        }
        proofs = [Ref("overlaps", name) for name in request.benchmarks if self.params.benchmarks[name].val_sets]
        return RecipeSpec(content, [*own.inputs, *proofs], (*resolved_plugin.code_of("detector_search"), *own.code))

    def _detector(self, request: DetectorRequest, records: list[Ref]) -> RecipeSpec:
        """The common part of scores and searches of one detector: the detector, its fit, and its inputs."""
        context = {"dataset": CheckpointName.of(request.checkpoint).dataset, "checkpoint": request.checkpoint.name}
        detector = self._used("detectors", request.name, context)
        content = {
            "detector": {**detector.content, "options": resolved_plugin.plain(request.options)},
            "fit": {split: records.name for split, records in request.fit.items()},
        }
        outputs = self.params.evaluate.outputs
        inputs = [ref for record in records for ref in detector_plan.rows_of(record, request.module, outputs)]
        inputs += detector.needs
        code = list(map(registry.location, detector.modules))
        if {"head", "net"} & set(request.module.NEEDS):
            inputs.append(request.checkpoint)
        if "net" in request.module.NEEDS:
            model_again = self._net(request.checkpoint, records)
            return RecipeSpec(
                {**content, **model_again.content}, [*inputs, *model_again.inputs], (*code, *model_again.code)
            )
        return RecipeSpec(content, inputs, tuple(code))

    def _net(self, checkpoint: Ref, records: list[Ref]) -> RecipeSpec:
        """The part of a second pass through the model: the model, and the shards behind the records."""
        model = self._model_of(checkpoint)
        conditions = {record.name: self.conditions.named(record) for record in records}
        for name, condition in conditions.items():
            if condition.golden:
                raise ParamsError(
                    f"{name}: a detector with a second pass through the model reads stored shards, and "
                    f"{condition.shift!r} is applied while reading (`materialise: false`); store its shards, or "
                    "drop the detector"
                )
        content = {
            "model": model.content,
            "data": {name: condition.data.name for name, condition in conditions.items()},
            **self.params.evaluate.model_dump(include={"batch_size", "precision", "threads"}),
        }
        inputs = [condition.data for condition in conditions.values()]
        inputs += resolved_plugin.read_again(model)
        return RecipeSpec(content, inputs, tuple(map(registry.location, model.modules)))

    def overlaps(self, ref: Ref) -> RecipeSpec:
        """Overlaps: the samples that two sets of a benchmark share."""
        sets = detector_plan.sets(self.params.benchmarks[ref.name], self.params)
        conditions = [(role, self.conditions.resolve(refs.shards(name, split))) for role, name, split in sets]
        content = {"sets": [[role, condition.name] for role, condition in conditions]}
        return RecipeSpec(content, [condition for _, condition in conditions], resolved_plugin.code_of("overlaps"))

    def analyses(self, ref: Ref) -> RecipeSpec:
        """Analyses: the observations of one benchmark, with the models that it loads."""
        name, analysis_name = ref.parts
        benchmark = self.params.benchmarks[name]
        context = {
            "benchmark": name,
            "dataset": benchmark.dataset,
            "split": benchmark.split,
            "checkpoints": [checkpoint.name for checkpoint in self.conditions.checkpoints(benchmark)],
            "methods": list(benchmark.methods),
        }
        own = self._used("analyses", analysis_name, context)
        models = {need.name: self._model_of(need) for need in own.needs if need.kind == "checkpoints"}
        content = {
            "analysis": own.content,
            "context": context,
            "models": {name: model.content for name, model in models.items()},
            "seed": self.params.seed,
        }
        inputs = [*own.needs, *own.sources]
        inputs += [need for model in models.values() for need in resolved_plugin.read_again(model)]
        return RecipeSpec(content, inputs, resolved_plugin.code_of("analyse", own, *models.values()))

    def _model_of(self, checkpoint: Ref) -> Used:
        """The architecture or adapter of a checkpoint."""
        dataset, model, _, seed = CheckpointName.of(checkpoint)
        return self._used("models", model, {"dataset": dataset, "model": model, "seed": seed})

    def tables(self, ref: Ref) -> RecipeSpec:
        """Tables: the records and scores of one benchmark, with its metrics."""
        benchmark = self.params.benchmarks[ref.name]
        rows = self.conditions.rows(benchmark)
        names = benchmark.metrics if benchmark.metrics is not None else tuple(self.params.metrics)
        metrics = {name: self._used("metrics", name, {}) for name in names}
        content = {
            "benchmark": ref.name,
            "task": self._task(benchmark.dataset),
            "rows": rows,
            "metrics": {name: metric.content for name, metric in metrics.items()},
            "draws": self.params.bootstrap.resamples,
            "seed": self.params.seed,
        }
        inputs = [Ref(kind, row[kind]) for row in rows for kind in ("records", "scores") if row[kind]]
        analyses = [Ref("analyses", f"{ref.name}/{name}") for name in benchmark.analyses]
        content["analyses"] = [analysis.name for analysis in analyses]
        inputs += analyses
        if benchmark.detectors:
            content["detectors"], content["full_spectrum"] = (list(benchmark.detectors), benchmark.full_spectrum)
            content["searches"] = [search.name for search in self._searches(rows)]
            inputs += self._searches(rows)
            inputs += [Ref("overlaps", ref.name)] if benchmark.ood_groups else []
        return RecipeSpec(content, inputs, resolved_plugin.code_of("aggregate", *metrics.values()))

    def _searches(self, rows: list[Content]) -> list[Ref]:
        """The searches behind the scores of a benchmark."""
        scored = {Ref("scores", row["scores"]) for row in rows if row["scores"]}
        heads = {"/".join(ref.parts[:4]) for ref in scored}
        found = [detector_plan.request(self.params, self.conditions, Ref("searches", head)) for head in sorted(heads)]
        return [request.search for request in found if request.searched]

    def _task(self, dataset: str) -> str:
        task: str = self.plugins.module("datasets", dataset).TASK
        return task

    def _used(self, plugin_type: str, name: str, context: Content) -> Used:
        return self.plugins.used(plugin_type, name, context)


_OF_KIND: dict[str, Callable[[RecipeSpecs, Ref], RecipeSpec]] = {
    "sources": RecipeSpecs.sources,
    "shards": RecipeSpecs.shards,
    "previews": RecipeSpecs.previews,
    "checkpoints": RecipeSpecs.checkpoint,
    "records": RecipeSpecs.records,
    "features": RecipeSpecs.features,
    "scores": RecipeSpecs.scores,
    "searches": RecipeSpecs.searches,
    "overlaps": RecipeSpecs.overlaps,
    "analyses": RecipeSpecs.analyses,
    "tables": RecipeSpecs.tables,
    "claims": lambda specs, _: specs.reports.claims(),
    "samples": lambda specs, ref: specs.reports.samples(ref),
    "report": lambda specs, ref: specs.reports.report(ref),
}
