"""Would a system's claims be supported if nothing were different? Values are exchanged over all arms and samples.

    python benchmarks/null_control.py ROOT... [--times 1]     # build/systems/palm build/systems/coco-o ...

Of a run at ROOT the rows of all its records, the scores of all its detectors and what its analyses observed are
permuted: whatever stood under one benchmark, net, method, detector, shift, severity or seed, known or unknown, may
stand under any other. Labels go with their predictions, so that all arms are equally right, and all sets
equally strange. Tables and verdicts are then made as the workflow makes them. Nothing is written to ROOT.

A claim that is not true of equal arms must not be supported; what one says of equal arms is found by giving all
metrics one value. With m judged claims each may be all the same, once in 40 m times (docs/statistics.md). Bounds on a
loss ("costs less than a point") are true of equal arms, and are counted apart. Where the expression itself makes
something of chance (the worst of many draws is below one of them), the claim shows here, and nowhere else. A claim
that compares nothing, of a level alone, is no matter of arms and shows, too.

    python benchmarks/null_control.py --published [--times 200] [SYSTEM...]

needs no run, and judges the claims of all cards. Each published row is drawn anew: normal, about one value that its
metric has everywhere, with the row's own noise, and with as much between training seeds as its seeds have. Each claim
is judged at the margin that its expression has without noise, so that every verdict is an error, and Holm's rule bounds
the share of cards with one by 5%. Limits: noises are independent, not paired, and all rows have units of their own.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from shiftbench.base.refs import Ref
from shiftbench.data import formats, schema
from shiftbench.statistics.benchmark_rows import EvaluationFile
from shiftbench.statistics.claims import estimates, judgement, metric_rows
from shiftbench.statistics.claims.statements import Claim
from shiftbench.workflow.plan import cards, configurations
from shiftbench.workflow.plan import plan as plans
from shiftbench.workflow.plan.report_specs import INDEX
from shiftbench.workflow.stages import aggregate, judge_claims

STAY = ("key", "cluster", "group")
"""Columns of records that say which sample it is; all others are exchanged."""


class Benchmark(NamedTuple):
    """What the tables of a benchmark are made from: cells, files of its analyses, and the recipe of its tables."""

    cells: list[EvaluationFile]
    observed: list[Path]
    recipe: dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("roots", nargs="*", type=Path)
    parser.add_argument("--times", type=int, default=1, help="permutations of each run")
    parser.add_argument("--published", action="store_true", help="draw published rows; no run")
    options = parser.parse_args()
    if options.published:
        slugs = [str(one) for one in options.roots] or configurations.built_slugs()
        told(slugs, options.times)
        return
    print("| system | judged | true of equal arms | supported in the run | under exchange | false |")
    print("| --- | ---: | ---: | ---: | ---: | --- |")
    for root in options.roots:
        for seed in range(options.times):
            print(line(root, seed), flush=True)


def line(root: Path, seed: int) -> str:
    """Return the row of a run under one permutation."""
    (file,) = (root / "results/claims").glob("*/claims.parquet.receipt.json")
    recipe = json.loads(file.read_text())["recipe"]
    card = {name: Claim.model_validate(one) for name, one in recipe["card"]["claims"].items()}
    run = pq.read_table(file.with_name("claims.parquet")).to_pylist()
    before = {row["claim"]: row["verdict"] for row in run if row["part"] is None}
    with tempfile.TemporaryDirectory() as scratch:
        rows = exchanged(benchmarks(root), seed, Path(scratch), recipe["higher_is_better"])
    after = {one.name: one.verdict for one in judgement.judge(card, rows, recipe["scale"])}
    judged = [name for name in card if before[name] in ("supported", "refuted", "inconclusive")]
    equal = {name for name in judged if true_of_equals(card[name], rows)}
    supported = [name for name in judged if after[name] == "supported"]
    counts = (len(judged), len(equal), sum(before[n] == "supported" for n in judged), len(supported))
    false = ", ".join(name for name in supported if name not in equal) or "none"
    return f"| {recipe['system']} | {' | '.join(map(str, counts))} | {false} |"


def benchmarks(root: Path) -> Iterator[Benchmark]:
    """Yield what the benchmarks of a run aggregate, as the receipts of their tables say."""
    place = lambda kind, name: root / Ref(kind, name).path  # noqa: E731
    for file in sorted((root / "results/tables").glob("*/metrics.parquet.receipt.json")):
        recipe = json.loads(file.read_text())["recipe"]
        named = ("model", "method", "dataset", "split", "shift", "severity", "reference", "detector", "ood")
        cells = [
            EvaluationFile(
                benchmark=recipe["benchmark"],
                task=recipe["task"],
                file=place("scores" if row["detector"] else "records", row["scores"] or row["records"]),
                step=None if row["step"] is None else int(row["step"]),
                ood_group=row.get("ood_group"),
                records=place("records", row["records"]) if row["detector"] else None,
                **{name: row[name] for name in named},
            )
            for row in recipe["rows"]
        ]
        yield Benchmark(cells, [place("analyses", name) for name in recipe.get("analyses") or ()], recipe)


def exchanged(
    found: Iterable[Benchmark], seed: int, scratch: Path, higher_is_better: Mapping[str, bool | None]
) -> metric_rows.MetricRows:
    """Return the metric rows of benchmarks whose values are exchanged, over all of them.

    Args:
        found: the benchmarks.
        seed: of the permutations.
        scratch: an empty folder.
        higher_is_better: of each metric.
    """
    random, benchmarks = np.random.default_rng(seed), list(found)
    cells = [cell for one in benchmarks for cell in one.cells]
    records = {c.records or c.file for c in cells if not c.ood} | {c.file for c in cells if not (c.detector or c.ood)}
    moved = permuted(sorted(records), random, scratch / "records")
    moved |= permuted(sorted({c.file for c in cells if c.detector}), random, scratch / "scores")
    tables = [
        table(relocated(one, moved, random, scratch / f"analyses/{number}"), scratch / str(number))
        for number, one in enumerate(benchmarks)
    ]
    return judge_claims.read(tables, higher_is_better)


def relocated(benchmark: Benchmark, moved: Mapping[Path, Path], random: np.random.Generator, folder: Path) -> Benchmark:
    """Return a benchmark that reads what was exchanged; what its analyses observed is exchanged, too."""
    cells = [
        replace(c, file=moved.get(c.file, c.file), records=c.records and moved.get(c.records, c.records))
        for c in benchmark.cells
    ]
    observed = [
        observations(file, random, folder / f"{number}.parquet") for number, file in enumerate(benchmark.observed)
    ]
    return Benchmark(cells, observed, benchmark.recipe)


def table(benchmark: Benchmark, folder: Path) -> Path:
    """Write the metric rows of a benchmark and their replicates; return where the rows are."""
    folder.mkdir(parents=True, exist_ok=True)
    recipe, detectors = benchmark.recipe, tuple(benchmark.recipe.get("detectors") or ())
    made = aggregate.aggregate(
        benchmark.cells,
        {name: {**used["options"], "use": used["use"]} for name, used in recipe["metrics"].items()},
        recipe["draws"],
        recipe["seed"],
        detection=aggregate.Detection(bool(recipe.get("full_spectrum")), detectors),
        observed=aggregate.Observed(tuple(benchmark.observed), recipe["benchmark"], recipe["task"]),
    )
    schema.write(made.metrics, folder / "metrics.parquet", "null", formats.METRICS)
    schema.write(made.replicates, folder / "replicates.parquet", "null", formats.REPLICATES)
    return folder / "metrics.parquet"


def permuted(files: list[Path], random: np.random.Generator, folder: Path) -> dict[Path, Path]:
    """Write tables whose rows are exchanged, but for STAY, among those that have the same columns filled.

    Returns:
        Where each is.
    """
    folder.mkdir(parents=True, exist_ok=True)
    alike: dict[frozenset[str], list[Path]] = {}
    for file in files:
        alike.setdefault(filled(pq.read_table(file)), []).append(file)
    moved: dict[Path, Path] = {}
    for some in alike.values():
        tables, at = [pq.read_table(file) for file in some], 0
        whole = pa.concat_tables([one.replace_schema_metadata(None) for one in tables])
        free = [name for name in whole.column_names if name not in STAY]
        other = whole.select(free).take(random.permutation(len(whole)))
        for file, one in zip(some, tables, strict=True):
            rows, at = other.slice(at, len(one)), at + len(one)
            columns = [one[name] if name in STAY else rows[name] for name in one.column_names]
            moved[file] = folder / f"{len(moved)}.parquet"
            pq.write_table(pa.table(columns, schema=one.schema), moved[file])
    return moved


def filled(table: pa.Table) -> frozenset[str]:
    """Return the columns that hold something: a record of a method may have what others lack."""
    return frozenset(name for name in table.column_names if name not in STAY and table[name].null_count < len(table))


def observations(file: Path, random: np.random.Generator, to: Path) -> Path:
    """Write what an analysis observed with the values of each metric exchanged; return where it is."""
    to.parent.mkdir(parents=True, exist_ok=True)
    found = pq.read_table(file)
    values, metrics = found["value_e9"].to_numpy().copy(), np.asarray(found["metric"].to_pylist())
    for metric in np.unique(metrics):
        values[metrics == metric] = random.permutation(values[metrics == metric])
    index = found.column_names.index("value_e9")
    pq.write_table(found.set_column(index, found.schema.field(index), pa.array(values)), to)
    return to


# ------------------------------------------------------------------ drawn from what is published


def told(slugs: Iterable[str], times: int) -> None:
    """Print how often the claims of each system are judged wrongly, at their margins."""
    print("| system | judged | not here | cards with a verdict, % | claims, % | nominal, % |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    total = np.zeros(4)
    for slug in slugs:
        world = World.of(slug)
        asked = world.at_margin()
        found = [world.wrong(asked, seed) for seed in range(times)]
        counts = np.array([times, sum(map(bool, found)), sum(found), times * len(asked)])
        total += counts
        print(f"| {slug} | {len(asked)} | {world.lacking} | {_shares(counts, len(asked))} |", flush=True)
    print(f"| all | | | {100 * total[1] / total[0]:.2f} | {100 * total[2] / total[3]:.3f} | 5 |")


def _shares(counts: np.ndarray, asked: int) -> str:
    cards, claims_ = 100 * counts[1] / counts[0], 100 * counts[2] / max(1, counts[3])
    return f"{cards:.1f} | {claims_:.2f} | {5 / max(1, asked):.2f}"


class World(NamedTuple):
    """Published rows of a system, of which each metric has one value everywhere.

    Attributes:
        card: claims that are judged at the embedded scale.
        rows: without noise.
        noise: deviation of each row's samples, and between its training seeds; float64 (rows, 2).
        members: of each mean over seeds, the rows of its seeds.
        draws: of each replicate.
        lacking: claims whose rows are not published.
    """

    card: dict[str, Claim]
    rows: metric_rows.MetricRows
    noise: np.ndarray
    members: dict[int, list[int]]
    draws: int
    lacking: int

    @classmethod
    def of(cls, slug: str) -> World:
        """Return the world of a system."""
        scale = f"systems/{slug}"
        table = pl.concat(
            pl.read_parquet(file).rename({"campaign": "benchmark", "weights": "model"}, strict=False)
            for file in sorted(configurations.published_folder(scale).rglob("metrics.parquet"))
        ).filter(pl.col("value").is_finite() & pl.col("ci_low").is_finite())
        level = pl.col("value").mean().over("metric")
        values = table.select(level).to_numpy().repeat(2, axis=1)
        units = np.column_stack([table["n"].to_numpy(), np.zeros(len(table), np.int64)])
        places = table.select(*metric_rows.KEY, "seed")
        index = plans.load(scale)[0].artifacts[INDEX].recipe["metrics"]
        better = {name: one["higher_is_better"] for name, one in index.items()}
        rows = metric_rows.MetricRows(places, values, frozenset(), better, units=units)
        judged = {
            name: one
            for name, one in estimates.claims_of_configuration(cards.load(slug).claims, "embedded").items()
            if one.kind == "superiority"
        }
        here = {n: c for n, c in judged.items() if not estimates.evidence({n: c}, rows)[n].reason}
        members = _members(places)
        draws = int(np.ceil(4 / (judgement.ERROR / max(1, len(judged))) * 10))
        return cls(here, rows, _noise(table, members), members, draws, len(judged) - len(here))

    def at_margin(self) -> dict[str, Claim]:
        """Return the claims with the margin that their values have where nothing differs; of several, the largest."""
        known = estimates.evidence(self.card, self.rows)
        margins = {name: max(float(one.values[0]) for one in known[name].estimates.values()) for name in self.card}
        return {
            name: claim.model_copy(update={"margin": margins[name], "gate": None}) for name, claim in self.card.items()
        }

    def wrong(self, asked: Mapping[str, Claim], seed: int) -> int:
        """Return how many claims have a wrong verdict in one drawn set of rows.

        Claims of given models are judged where training seeds do not differ: what those differ by is true of them.
        """
        random = np.random.default_rng(seed)
        known = {}
        for seeds in (False, True):
            rows = self.drawn(random, seeds=seeds)
            own = {n: c for n, c in asked.items() if (c.unit == "seed") == seeds}
            known |= estimates.evidence(own, rows)
        return sum(
            one.verdict == "supported" or (one.verdict == "refuted" and self.is_level(one.claim))
            for one in judgement.judge_evidence(asked, known)
        )

    def is_level(self, claim: Claim) -> bool:
        """Tell whether all values that a claim is quantified over are at its margin, so that none may be below."""
        values = estimates.estimates(claim, self.rows).values()
        return bool(np.ptp([float(one.values[0]) for one in values]) < 1e-12)

    def drawn(self, random: np.random.Generator, *, seeds: bool) -> metric_rows.MetricRows:
        """Return the rows with noise, and with differences between training seeds or without."""
        level = self.rows.values[:, :1]
        own = random.normal(size=(len(level), 1 + self.draws))
        own[:, 1:] += own[:, :1]
        values = level + self.noise[:, :1] * own
        if seeds:
            nets = self.rows.identities.select(pl.struct("model", "metric").rank("dense"))
            at = nets.to_numpy() - 1
            values += self.noise[:, 1:] * random.normal(size=int(at.max()) + 1)[at]
        for mean, some in self.members.items():
            values[mean] = values[some].mean(axis=0)
        return replace(self.rows, values=values)


def _members(places: pl.DataFrame) -> dict[int, list[int]]:
    """Return the rows of the seeds of each mean over training seeds."""
    bare = pl.col("model").str.replace(r"-s\d+$", "")
    key = [bare, *(pl.col(name) for name in metric_rows.KEY if name != "model")]
    keys = places.select(key).rows()
    seeds: dict[Any, list[int]] = {}
    for at, (one, seed) in enumerate(zip(keys, places["seed"], strict=True)):
        if seed is not None:
            seeds.setdefault(one, []).append(at)
    means = ((at, one) for at, one in enumerate(keys) if places["seed"][at] is None)
    return {at: seeds[one] for at, one in means if one in seeds}


def _noise(table: pl.DataFrame, members: Mapping[int, list[int]]) -> np.ndarray:
    """Return the deviation of each row's samples, and between training seeds; float64 (rows, 2)."""
    sampling = table.select((pl.col("ci_high") - pl.col("ci_low")) / 3.92).to_numpy()[:, 0]
    between, values = np.zeros(len(table)), table["value"].to_numpy()
    for some in members.values():
        if len(some) > 1:
            spread = values[some].var(ddof=1) - (sampling[some] ** 2).mean()
            between[some] = np.sqrt(max(0.0, float(spread)))
    return np.column_stack([sampling, between])


def true_of_equals(claim: Claim, rows: metric_rows.MetricRows) -> bool:
    """Tell whether a claim holds where every metric has one value everywhere."""
    flat = replace(rows, values=np.full_like(rows.values, 0.5))
    try:
        values = [float(one.values[0]) for one in estimates.estimates(claim, flat).values()]
    except metric_rows.NotEvaluable:
        return False
    return all(abs(v) < claim.margin if claim.kind == "equivalence" else v > claim.margin for v in values)


if __name__ == "__main__":
    main()
