"""Recipe specs: the content and inputs of each kind of output, one method per kind of Ref.

The plan takes the recipe spec of each Ref, adds the fingerprints of its inputs and the digests of its code, and gets an
artifact.
"""

from collections.abc import Callable
from dataclasses import dataclass

from shiftbench.base import refs, registry
from shiftbench.base.errors import ParamsError
from shiftbench.base.refs import CheckpointName, RecordsName, Ref, ShardsName
from shiftbench.data import releases, source_files
from shiftbench.workflow.plan import detector_plan, resolved_plugin
from shiftbench.workflow.plan.conditions import Condition, Conditions
from shiftbench.workflow.plan.detector_plan import DetectorRequest
from shiftbench.workflow.plan.params import Params
from shiftbench.workflow.plan.recipe_spec import RecipeSpec
from shiftbench.workflow.plan.report_specs import ReportSpecs
from shiftbench.workflow.plan.resolved_plugin import Content, Plugins, ResolvedPlugin


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
        plugin, content, needs = self._shifted(ref)
        content["max_mb"] = self.params.shards.max_mb
        return RecipeSpec(content, [refs.shards(dataset, split), *needs], resolved_plugin.code_of("shift", plugin))

    def _clean_shards(self, dataset: str, split: str) -> RecipeSpec:
        plugin = self._resolve("datasets", dataset, {"split": split})
        settings = self.params.dataset(dataset)
        share = getattr(settings.slice, split)
        content = {
            "dataset": plugin.content,
            **({} if share == (0, 1) else {"slice": list(share)}),
            **({} if settings.val_of_train == "apart" else {"val": settings.val_of_train}),
            "subset": getattr(settings.subset, split),
            "on_error": settings.on_error,
            "max_mb": self.params.shards.max_mb,
            "fields": dict(registry.read("tasks", self._task(dataset)).FIELDS),
        }
        task = self._resolve("tasks", self._task(dataset), {})
        return RecipeSpec(content, [*plugin.sources, *plugin.needs], resolved_plugin.code_of("shift", plugin, task))

    def _shifted(self, ref: Ref) -> tuple[ResolvedPlugin, Content, list[Ref]]:
        """A shift, its part of recipes, and its inputs, for the shards or previews `ref`."""
        dataset, split, shift, severity = ShardsName.of(ref)
        plugin = self._resolve("shifts", shift, {"dataset": dataset, "split": split})
        content = {
            "shift": plugin.content,
            "severity": severity,
            "seed": self.params.seed,
            "fresh": self.params.shift(shift).fresh,
        }
        return plugin, content, plugin.needs if registry.defines(plugin.module, "needs") else plugin.sources

    def previews(self, ref: Ref) -> RecipeSpec:
        """Previews: of stored shards, or of a shift that is applied while reading clean shards."""
        dataset, split, shift, _ = ShardsName.of(ref)
        task = self._resolve("tasks", self._task(dataset), {})
        if self.params.materialised(shift):
            return RecipeSpec({}, [Ref("shards", ref.name)], resolved_plugin.code_of("shift", task))
        plugin, content, needs = self._shifted(ref)
        files = resolved_plugin.code_of("shift", plugin, task)
        return RecipeSpec(content, [refs.shards(dataset, split), *needs], files)

    def checkpoint(self, ref: Ref) -> RecipeSpec:
        """Checkpoints: an architecture, a trainer and a seed, on a data set."""
        dataset, model_name, trainer_name, seed = CheckpointName.of(ref)
        context = {"dataset": dataset, "model": model_name, "seed": seed}
        model = self._resolve("models", model_name, context)
        trainer = self._resolve("trainers", trainer_name, context)
        content = {
            "model": model.content,
            "trainer": trainer.content,
            "seed": [self.params.seed, seed],
            "threads": self.params.train.threads,
        }
        plugins = [trainer, model]
        if "optimizer" in trainer.content["options"]:
            plugins.append(self._resolve("optimizers", trainer.content["options"]["optimizer"], context))
            content["optimizer"] = plugins[-1].content
        clean_shards = [refs.shards(dataset, "train"), refs.shards(dataset, "val")]
        inputs_of_trainer = trainer.needs if registry.defines(trainer.module, "needs") else clean_shards
        reads_sources = resolved_plugin.reads_inputs_on_load(model) or getattr(trainer.module, "READS_SOURCES", False)
        inputs = [*inputs_of_trainer, *(model.needs if reads_sources else [])]
        shifted = self.params.trainer(trainer_name).shifted
        if shifted:
            content["train_on"] = refs.at(*shifted)
            shifted_shards = {ref: refs.shards(dataset, ref.parts[1], *shifted) for ref in clean_shards}
            inputs = [shifted_shards.get(ref, ref) for ref in inputs]
        if any(ref.kind == "shards" and ref.parts[0] == dataset for ref in inputs):
            return RecipeSpec(content, inputs, resolved_plugin.code_of("train", *plugins))
        dataset_plugin = self._resolve("datasets", dataset, {})  # without shards the classes come from the data set
        content["dataset"] = dataset_plugin.content
        return RecipeSpec(content, inputs, resolved_plugin.code_of("train", *plugins, dataset_plugin))

    def records(self, ref: Ref) -> RecipeSpec:
        """Records: a checkpoint with a method on one condition."""
        checkpoint, method_name, *_ = RecordsName.of(ref)
        dataset, _, _, seed = CheckpointName.of(checkpoint)
        condition = self.conditions.of_records(ref)
        model = self._model_of(checkpoint)
        context = {"dataset": dataset, "checkpoint": checkpoint.name, "seed": seed}
        context |= {"stream": condition.stream, "step": condition.step}
        method = self._resolve("methods", method_name, context)
        task = self._resolve("tasks", self._task(ShardsName.of(condition.data).dataset), {})
        content = {
            "model": model.content,
            "method": method.content,
            "data": condition.data.name,
            "seed": self.params.seed,
            **self.params.evaluate.model_dump(exclude={"shift_device"}),
        }
        if condition.time is not None:
            content["stream"] = {
                "before": list(condition.earlier_steps),
                "support": [[part.data.name, part.part, part.of] for part in condition.support],
            }
        support_shards = [part.data for part in condition.support]
        inputs = [checkpoint, *condition.inputs, *support_shards, *condition.earlier_inputs, *method.needs]
        inputs += resolved_plugin.inputs_on_load(model)
        shift = self._while_reading(condition)
        files = (*resolved_plugin.code_of("evaluate", method, model, task), *shift.code)
        return RecipeSpec({**content, **shift.content}, [*inputs, *shift.inputs], files)

    def _while_reading(self, condition: Condition) -> RecipeSpec:
        """The part that a shift adds to the records of a condition if it is applied while reading."""
        if not condition.golden:
            return RecipeSpec({}, [])
        plugin, content, needs = self._shifted(condition.golden)
        device = self.params.evaluate.shift_device
        content |= {"golden": condition.golden.name, "shift_device": device}
        files = resolved_plugin.code_of("evaluation.onthefly", plugin)
        if device == "cpu":
            return RecipeSpec(content, needs, files)
        if device == "torch" and not resolved_plugin.name_in_torch(plugin):
            raise ParamsError(
                f"evaluate.shift_device = 'torch': there is no torch implementation of {condition.shift!r}; use "
                f"`auto` or `cpu` to apply it on the CPU, or shifts.{condition.shift}.materialise: true to store it"
            )
        return RecipeSpec(content, needs, (*files, *resolved_plugin.code_in_torch(plugin)))

    def features(self, ref: Ref) -> RecipeSpec:
        """Features: made with the records, by the same recipe."""
        return self.records(Ref("records", ref.name))

    def scores(self, ref: Ref) -> RecipeSpec:
        """Scores: records scored by a detector that is fitted on ID records, with fixed or searched options."""
        request = detector_plan.request(self.params, self.conditions, ref)
        records = refs.records_of(ref)
        spec = self._detector(request, [records, *request.fit.values()])
        content = {**spec.content, "rows": records.name}
        if not request.is_searched:
            return RecipeSpec(content, spec.inputs, (*resolved_plugin.code_of("score"), *spec.code))
        return RecipeSpec(
            {**content, "search": request.search.name},
            [*spec.inputs, request.search],
            (*resolved_plugin.code_of("score"), *spec.code),
        )

    def searches(self, ref: Ref) -> RecipeSpec:
        """Searches: the options of a detector that separate validation OOD best from ID val."""
        request = detector_plan.request(self.params, self.conditions, ref)
        spec = self._detector(request, [request.id_val, *request.ood_val, *request.fit.values()])
        content = {
            **spec.content,
            "grid": request.grid,
            "id": request.id_val.name,
            "ood": [records.name for records in request.ood_val],
        }
        proofs = [Ref("overlaps", name) for name in request.benchmarks if self.params.benchmarks[name].val_sets]
        return RecipeSpec(content, [*spec.inputs, *proofs], (*resolved_plugin.code_of("detector_search"), *spec.code))

    def _detector(self, request: DetectorRequest, records: list[Ref]) -> RecipeSpec:
        """The common part of scores and searches of one detector: the detector, its fit, and its inputs."""
        context = {"dataset": CheckpointName.of(request.checkpoint).dataset, "checkpoint": request.checkpoint.name}
        detector = self._resolve("detectors", request.name, context)
        content = {
            "detector": {**detector.content, "options": resolved_plugin.with_lists(request.options)},
            "fit": {split: records.name for split, records in request.fit.items()},
        }
        outputs = self.params.evaluate.outputs
        inputs = [ref for record in records for ref in detector_plan.inputs_of(record, request.module, outputs)]
        inputs += detector.needs
        code = list(map(registry.location, detector.modules))
        if {"head", "net"} & set(request.module.NEEDS):
            inputs.append(request.checkpoint)
        if "net" in request.module.NEEDS:
            second_pass = self._second_pass(request.checkpoint, records)
            return RecipeSpec(
                {**content, **second_pass.content}, [*inputs, *second_pass.inputs], (*code, *second_pass.code)
            )
        return RecipeSpec(content, inputs, tuple(code))

    def _second_pass(self, checkpoint: Ref, records: list[Ref]) -> RecipeSpec:
        """The part of a second pass through the model: the model, and the shards behind the records."""
        model = self._model_of(checkpoint)
        conditions = {record.name: self.conditions.of_records(record) for record in records}
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
        inputs += resolved_plugin.inputs_on_load(model)
        return RecipeSpec(content, inputs, tuple(map(registry.location, model.modules)))

    def overlaps(self, ref: Ref) -> RecipeSpec:
        """Overlaps: the samples that two sets of a benchmark share."""
        sets = detector_plan.sets(self.params.benchmarks[ref.name], self.params)
        shards = [(role, self.conditions.resolve(refs.shards(name, split))) for role, name, split in sets]
        content = {"sets": [[role, ref.name] for role, ref in shards]}
        return RecipeSpec(content, [ref for _, ref in shards], resolved_plugin.code_of("overlaps"))

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
        analysis = self._resolve("analyses", analysis_name, context)
        models = {need.name: self._model_of(need) for need in analysis.needs if need.kind == "checkpoints"}
        content = {
            "analysis": analysis.content,
            "context": context,
            "models": {name: model.content for name, model in models.items()},
            "seed": self.params.seed,
        }
        inputs = [*analysis.needs, *analysis.sources]
        inputs += [need for model in models.values() for need in resolved_plugin.inputs_on_load(model)]
        return RecipeSpec(content, inputs, resolved_plugin.code_of("analyse", analysis, *models.values()))

    def _model_of(self, checkpoint: Ref) -> ResolvedPlugin:
        """The architecture or adapter of a checkpoint."""
        dataset, model, _, seed = CheckpointName.of(checkpoint)
        return self._resolve("models", model, {"dataset": dataset, "model": model, "seed": seed})

    def tables(self, ref: Ref) -> RecipeSpec:
        """Tables: the records and scores of one benchmark, with its metrics."""
        benchmark = self.params.benchmarks[ref.name]
        rows = self.conditions.rows(benchmark)
        names = benchmark.metrics if benchmark.metrics is not None else tuple(self.params.metrics)
        metrics = {name: self._resolve("metrics", name, {}) for name in names}
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

    def released(self, ref: Ref) -> RecipeSpec:
        """Released: the numbers of a release, as its card reads them from its files."""
        importers = [self._resolve("importers", name, {}) for name in releases.importers(ref.name)]
        content = {"release": releases.card(ref.name).model_dump(mode="json", by_alias=True, exclude_unset=True)}
        return RecipeSpec(content, [refs.sources(ref.name)], resolved_plugin.code_of("released", *importers))

    def _searches(self, rows: list[Content]) -> list[Ref]:
        """The searches behind the scores of a benchmark."""
        scores = {Ref("scores", row["scores"]) for row in rows if row["scores"]}
        names = {"/".join(ref.parts[:4]) for ref in scores}
        requests = [
            detector_plan.request(self.params, self.conditions, Ref("searches", name)) for name in sorted(names)
        ]
        return [request.search for request in requests if request.is_searched]

    def _task(self, dataset: str) -> str:
        task: str = self.plugins.module("datasets", dataset).TASK
        return task

    def _resolve(self, plugin_type: str, name: str, context: Content) -> ResolvedPlugin:
        return self.plugins.resolve(plugin_type, name, context)


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
    "released": RecipeSpecs.released,
    "claims": lambda specs, _: specs.reports.claims(),
    "samples": lambda specs, ref: specs.reports.samples(ref),
    "report": lambda specs, ref: specs.reports.report(ref),
}
