"""Recipe specs of pages and claims: their tables, previews and samples, and the card of a system."""

from dataclasses import asdict, dataclass

from shiftbench.base import refs, registry
from shiftbench.base.refs import Ref
from shiftbench.data import releases, source_files
from shiftbench.statistics.interval_kind import interval_kind
from shiftbench.workflow.plan import cards, resolved_plugin, titles
from shiftbench.workflow.plan.conditions import Conditions
from shiftbench.workflow.plan.params import Params
from shiftbench.workflow.plan.recipe_spec import RecipeSpec
from shiftbench.workflow.plan.resolved_plugin import Content
from shiftbench.workflow.plan.unavailable import Unavailable

INDEX = Ref("report", "index")
FIELD = Ref("report", "field/index")
_JUDGED = {"label", "prediction", "correct", "confidence_e9"}  # columns of records
_WRITTEN = {"completions", "correct", "closed"}
_QUERIED = {"answer", "correct", "query", "status"}


@dataclass(frozen=True, slots=True)
class ReportSpecs:
    """The recipe specs of the report, of its pages of samples, and of a system's claims."""

    params: Params
    conditions: Conditions
    unavailable_sources: tuple[Unavailable, ...] = ()

    def report(self, ref: Ref) -> RecipeSpec:
        """The report with all tables and the previews that may be redistributed; or another page."""
        if ref == FIELD:
            return self.field_page()
        if ref != INDEX:
            return self.samples_page(ref)
        benchmarks = self.conditions.benchmarks
        shown = {condition.preview for condition in self.conditions.all() if self.conditions.can_be_made(condition)}
        previews = [preview for preview in sorted(shown) if not preview.local]
        content: Content = {
            "benchmarks": {
                name: benchmark.model_dump(mode="json", exclude={"title"}) for name, benchmark in benchmarks.items()
            },
            "datasets": {name: self._about_dataset(name) for name in sorted({preview.parts[0] for preview in shown})},
            "metrics": {name: self._about_metric(name) for name in self._named_metrics()},
            "unavailable": [asdict(source) for source in self.unavailable_sources],
            "samples": self._sampled(),
            "titles": titles.of_benchmarks(self.params, list(benchmarks), {preview.parts[0] for preview in shown}),
        }
        tables = [Ref("tables", name) for name in benchmarks]
        if self.params.released and not self.params.system:
            content["field"] = True
        if self.params.system:
            releases_of_claims = [_about_release(name) for name in self.params.released]
            content["system"] = {**self._card(), "releases": releases_of_claims}
            tables.append(Ref("claims", self.params.system.slug))
        proofs = [
            Ref("overlaps", name)
            for name, benchmark in benchmarks.items()
            if benchmark.detectors and benchmark.ood_groups
        ]
        needs = [*tables, *proofs, *previews, *self._shards_that_skip(shown)]
        return RecipeSpec(content, needs, resolved_plugin.code_of("report"))

    def _shards_that_skip(self, shown: set[Ref]) -> list[Ref]:
        """The shards of data sets that may skip samples: the report states how many."""
        splits = {(ref.parts[0], ref.parts[1]) for ref in shown}
        return [
            self.conditions.resolve(refs.shards(dataset, split))
            for dataset, split in sorted(splits)
            if self.params.dataset(dataset).on_error == "skip"
        ]

    def field_page(self) -> RecipeSpec:
        """The page of released numbers, and where these are from."""
        names = self.params.released
        content = {"releases": {name: _about_release(name) for name in names}, "order": list(names)}
        return RecipeSpec(content, [Ref("released", name) for name in names], resolved_plugin.code_of("field_page"))

    def samples_page(self, ref: Ref) -> RecipeSpec:
        """The page with the samples of a benchmark."""
        _, name, _ = ref.parts
        content = {
            "clean": self.params.benchmarks[name].dataset,
            "shows": self._record_form(name),
            "titles": titles.of_benchmarks(
                self.params, [name], {row["dataset"] for row in self._rows_with_samples(name)}
            ),
        }
        return RecipeSpec(content, [Ref("samples", name)], resolved_plugin.code_of("samples_page"))

    def samples(self, ref: Ref) -> RecipeSpec:
        """The samples behind a benchmark's numbers, as far as they are stored and may be redistributed."""
        rows: list[Content] = []
        inputs: list[Ref] = []
        for row in self._rows_with_samples(ref.name):
            record = Ref("records", row["records"])
            condition = self.conditions.of_records(record)
            has_pictures = condition.golden is None and not condition.data.local
            columns = ("model", "method", "dataset", "split", "shift", "severity", "records")
            values = {key: row[key] for key in columns}
            data = {"shards": condition.data.name if has_pictures else None, "private": condition.data.local}
            rows.append({**values, **data})
            inputs += [record, Ref("checkpoints", row["model"]), *([condition.data] if has_pictures else [])]
        shows = self._record_form(ref.name)
        clean = self.params.benchmarks[ref.name].dataset
        content = {"clean": clean, "rows": rows, "shows": shows}
        stage = "samples" if shows == "samples" else "completions"
        return RecipeSpec(content, inputs, resolved_plugin.code_of(stage))

    def pages(self) -> list[Ref]:
        """The pages besides the report: of the samples behind each benchmark's numbers, and of released numbers."""
        field = [FIELD] if self.params.released and not self.params.system else []
        return [*map(_of_samples, self._sampled()), *field]

    def _sampled(self) -> list[str]:
        """Benchmarks with a page of samples."""
        return [name for name in self.conditions.benchmarks if self._rows_with_samples(name)]

    def _record_form(self, name: str) -> str:
        """The form of the records of a benchmark: `completions`, `queries` about tables, else `samples`."""
        if self._have_columns(name, _WRITTEN):
            return "completions"
        return "queries" if self._have_columns(name, _QUERIED) else "samples"

    def _have_columns(self, name: str, columns: set[str]) -> bool:
        """Whether the records of a benchmark have some columns."""
        used = self.params.use("datasets", self.params.benchmarks[name].dataset)
        task = registry.read("tasks", registry.read("datasets", used).TASK)
        return all(columns <= set(form.names) for form in task.FORMATS)

    def _rows_with_samples(self, name: str) -> list[Content]:
        """The rows of a benchmark whose records state whether each sample is correct; without streams."""
        benchmark = self.params.benchmarks[name]
        if self._record_form(name) == "samples" and not self._have_columns(name, _JUDGED):
            return []
        return [
            row
            for row in self.conditions.rows(benchmark)
            if row["detector"] is None and row["step"] is None and row["split"] == benchmark.split
        ]

    def claims(self) -> RecipeSpec:
        """Claims of a system, judged from the tables of all its benchmarks, or from released rows."""
        system = self.params.system
        assert system is not None  # noqa: S101 - for mypy: only a system has claims
        card = cards.load(system.slug)
        known = {name: self._about_metric(name) for name in self.params.metrics}
        content: Content = {
            "system": system.slug,
            "scale": system.scale,
            "card": card.model_dump(mode="json", include={"claims", "reported", "figures", "looks"}),
            "higher_is_better": {name: metric["higher_is_better"] for name, metric in known.items()},
            "kinds": {name: metric["kind"] for name, metric in known.items()},
        }
        tables = [Ref("tables", name) for name in self.conditions.benchmarks]
        if self.params.released:
            content |= {"resamples": self.params.bootstrap.resamples, "seed": self.params.seed}
        released = [Ref("released", name) for name in self.params.released]
        return RecipeSpec(content, [*tables, *released], resolved_plugin.code_of("judge_claims"))

    def _card(self) -> Content:
        system = self.params.system
        assert system is not None  # noqa: S101 - for mypy: the caller checked it
        about = cards.load(system.slug).model_dump(mode="json", exclude={"params"})
        order = list(about["claims"])  # a recipe sorts its keys
        for figure in about["figures"]:
            figure["labels"] = list(figure["labels"].items())
        return {"slug": system.slug, "scale": system.scale, "order": order, **about}

    def _named_metrics(self) -> list[str]:
        """Metrics that the page describes: those of params, variants that benchmarks name, and those named as `of`.

        Recipes of tables have the constants of all other metrics that benchmarks name.
        """
        known = self.params.metrics
        requested = {name for benchmark in self.conditions.benchmarks.values() for name in benchmark.metrics or ()}
        variants = {name for name in requested - known.keys() if registry.variant("metrics", name)}
        metrics = [*known, *sorted(variants)]
        for name in metrics:  # the list grows in this loop
            base = self.params.options("metrics", name).get("of")
            if isinstance(base, str) and base not in metrics and base in registry.names("metrics"):
                metrics.append(base)
        return metrics

    def _about_metric(self, name: str) -> Content:
        module = registry.read("metrics", self.params.use("metrics", name))
        return {
            "unit": module.UNIT,
            "higher_is_better": module.HIGHER_IS_BETTER,
            "kind": interval_kind(module),
            "range": list(module.RANGE),
            "meaning": registry.about(module),
            "options": resolved_plugin.with_lists(self.params.options("metrics", name)),
            "title": titles.stated_title(self.params, "metrics", name) or "",
        }

    def _about_dataset(self, dataset: str) -> Content:
        module = registry.read("datasets", self.params.use("datasets", dataset))
        return {"licence": module.LICENCE, "citation": module.CITATION}


def _of_samples(benchmark: str) -> Ref:
    return Ref("report", f"samples/{benchmark}/index")


def _about_release(name: str) -> Content:
    card, source = releases.card(name), source_files.load_source(name)
    return {
        "title": source.title,
        "repository": card.repository,
        "commit": card.commit,
        "licence": source.licence,
        "citation": source.citation,
    }
