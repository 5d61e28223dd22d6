"""Recipe specs of pages and claims: their tables, previews and samples, and the card of a system."""

from dataclasses import asdict, dataclass

from shiftbench.base import refs, registry
from shiftbench.base.refs import Ref
from shiftbench.statistics.interval_kind import interval_kind
from shiftbench.workflow.plan import cards, resolved_plugin, titles
from shiftbench.workflow.plan.conditions import Conditions
from shiftbench.workflow.plan.params import Params
from shiftbench.workflow.plan.recipe_spec import RecipeSpec
from shiftbench.workflow.plan.resolved_plugin import Content
from shiftbench.workflow.plan.unavailable import Unavailable

INDEX = Ref("report", "index")
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
        """The report: all tables, with the previews that may be redistributed; or the page of a benchmark's samples."""
        if ref != INDEX:
            return self.samples_page(ref)
        benchmarks = self.conditions.benchmarks
        shown = {place.preview for place in self.conditions.all() if self.conditions.here(place)}
        previews = [preview for preview in sorted(shown) if not preview.local]
        content = {
            "benchmarks": {
                name: benchmark.model_dump(mode="json", exclude={"title"}) for name, benchmark in benchmarks.items()
            },
            "datasets": {name: self._about(name) for name in sorted({p.parts[0] for p in shown})},
            "metrics": {name: self._measure(name) for name in self._named_metrics()},
            "unavailable": [asdict(original) for original in self.unavailable_sources],
            "samples": [page.parts[1] for page in self.pages()],
            "titles": titles.of_benchmarks(self.params, list(benchmarks), {p.parts[0] for p in shown}),
        }
        tables = [Ref("tables", name) for name in benchmarks]
        if self.params.system:
            content["system"] = self._card()
            tables.append(Ref("claims", self.params.system.slug))
        proofs = [
            Ref("overlaps", name)
            for name, benchmark in benchmarks.items()
            if benchmark.detectors and benchmark.ood_groups
        ]
        needs = [*tables, *proofs, *previews, *self._that_skip(shown)]
        return RecipeSpec(content, needs, resolved_plugin.code_of("report"))

    def _that_skip(self, shown: set[Ref]) -> list[Ref]:
        """The shards of data sets that may skip samples: the report states how many."""
        places = {(ref.parts[0], ref.parts[1]) for ref in shown}
        return [
            self.conditions.resolve(refs.shards(dataset, split))
            for dataset, split in sorted(places)
            if self.params.dataset(dataset).on_error == "skip"
        ]

    def samples_page(self, ref: Ref) -> RecipeSpec:
        """The page with the samples of a benchmark."""
        _, name, _ = ref.parts
        content = {
            "clean": self.params.benchmarks[name].dataset,
            "shows": self._shows(name),
            "titles": titles.of_benchmarks(self.params, [name], {row["dataset"] for row in self._sampled(name)}),
        }
        return RecipeSpec(content, [Ref("samples", name)], resolved_plugin.code_of("samples_page"))

    def samples(self, ref: Ref) -> RecipeSpec:
        """The samples behind a benchmark's numbers, as far as they are stored and may be redistributed."""
        rows: list[Content] = []
        inputs: list[Ref] = []
        for row in self._sampled(ref.name):
            record = Ref("records", row["records"])
            condition = self.conditions.named(record)
            shown = condition.golden is None and not condition.data.local
            kept = ("model", "method", "dataset", "split", "shift", "severity", "records")
            own = {key: row[key] for key in kept}
            named = {"shards": condition.data.name if shown else None, "private": condition.data.local}
            rows.append({**own, **named})
            inputs += [record, Ref("checkpoints", row["model"]), *([condition.data] if shown else [])]
        shows = self._shows(ref.name)
        clean = self.params.benchmarks[ref.name].dataset
        content = {"clean": clean, "rows": rows, "shows": shows}
        stage = "samples" if shows == "samples" else "completions"
        return RecipeSpec(content, inputs, resolved_plugin.code_of(stage))

    def pages(self) -> list[Ref]:
        """The pages of the samples behind each benchmark's numbers."""
        names = [name for name in self.conditions.benchmarks if self._sampled(name)]
        return [Ref("report", f"samples/{name}/index") for name in names]

    def _shows(self, name: str) -> str:
        """The form of the records of a benchmark: `completions`, `queries` about tables, else `samples`."""
        if self._has(name, _WRITTEN):
            return "completions"
        return "queries" if self._has(name, _QUERIED) else "samples"

    def _has(self, name: str, columns: set[str]) -> bool:
        """Whether the records of a benchmark have some columns."""
        used = self.params.use("datasets", self.params.benchmarks[name].dataset)
        task = registry.read("tasks", registry.read("datasets", used).TASK)
        return all(columns <= set(form.names) for form in task.FORMATS)

    def _sampled(self, name: str) -> list[Content]:
        """The rows of a benchmark whose records state whether each sample is correct; without streams."""
        benchmark = self.params.benchmarks[name]
        if self._shows(name) == "samples" and not self._has(name, _JUDGED):
            return []
        return [
            row
            for row in self.conditions.rows(benchmark)
            if row["detector"] is None and row["step"] is None and row["split"] == benchmark.split
        ]

    def claims(self) -> RecipeSpec:
        """Claims of a system, judged from the tables of all its benchmarks."""
        asked = self.params.system
        assert asked is not None  # noqa: S101 - only a system has claims; tells mypy
        card = cards.load(asked.slug)
        known = {name: self._measure(name) for name in self.params.metrics}
        content = {
            "system": asked.slug,
            "scale": asked.scale,
            "card": card.model_dump(mode="json", include={"claims", "reported", "figures", "looks"}),
            "higher_is_better": {name: one["higher_is_better"] for name, one in known.items()},
            "kinds": {name: one["kind"] for name, one in known.items()},
        }
        tables = [Ref("tables", name) for name in self.conditions.benchmarks]
        return RecipeSpec(content, tables, resolved_plugin.code_of("judge_claims"))

    def _card(self) -> Content:
        asked = self.params.system
        assert asked is not None  # noqa: S101 - the caller looked; tells mypy
        about = cards.load(asked.slug).model_dump(mode="json", exclude={"params"})
        order = list(about["claims"])  # a recipe sorts its keys
        return {"slug": asked.slug, "scale": asked.scale, "order": order, **about}

    def _named_metrics(self) -> list[str]:
        """Metrics that the page describes: those of params, variants that benchmarks name, and those named as `of`.

        Recipes of tables have the constants of all other metrics that benchmarks name.
        """
        known = self.params.metrics
        asked = {name for one in self.conditions.benchmarks.values() for name in one.metrics or ()}
        variants = {name for name in asked - known.keys() if registry.variant("metrics", name)}
        named = [*known, *sorted(variants)]
        for name in named:  # which grows meanwhile
            of = self.params.options("metrics", name).get("of")
            if isinstance(of, str) and of not in named and of in registry.names("metrics"):
                named.append(of)
        return named

    def _measure(self, name: str) -> Content:
        module = registry.read("metrics", self.params.use("metrics", name))
        return {
            "unit": module.UNIT,
            "higher_is_better": module.HIGHER_IS_BETTER,
            "kind": interval_kind(module),
            "meaning": registry.about(module),
            "options": resolved_plugin.plain(self.params.options("metrics", name)),
            "title": titles.stated(self.params, "metrics", name) or "",
        }

    def _about(self, dataset: str) -> Content:
        module = registry.read("datasets", self.params.use("datasets", dataset))
        return {"licence": module.LICENCE, "citation": module.CITATION}
