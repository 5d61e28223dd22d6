"""`docs/leaderboard.md`: all published results, on one page.

published/NAME/{about.json, results/**}, published/submissions, measured.json of the systems -> docs/leaderboard.md

Values are printed as the report prints them. The page is Markdown, so that GitHub shows it, too; the site's script
sorts its tables.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from shiftbench.base import registry
from shiftbench.base.refs import without_seed
from shiftbench.cli.documents import markdown, measured, released_results
from shiftbench.cli.documents.overview import COUNTED
from shiftbench.release import published, submission
from shiftbench.report.leaderboard import FEW, FIFTEEN
from shiftbench.report.measures import DASH, Measure
from shiftbench.report.system import Verdict
from shiftbench.report.titles import Titles, Who
from shiftbench.workflow.plan import cards, configurations

PAGE = Path("docs/leaderboard.md")
AUTHORS = "authors"
_RECEIPT = "results/report/index.html.receipt.json"
_LESS = frozenset({"auc_severity", "brier", "ece", "error", "failure_point", "fpr95", "nll", "relative_mce"})
"""Metrics that only the CSV file has: with them, a table would be wider than a screen."""
_INTRODUCTION = f"""\
This page has the published results: models first, then OOD detectors, then the claims of published systems.
Select a column's heading to sort a table on the website. [Submit a model](submit.md) says how to add a row, and
[published](../published/README.md) describes the files.

- A value is a mean over training seeds if there are several. Brackets are 95% intervals.
  A mean of two seeds has no interval; its smallest and largest value follow instead.
- ↑ means that higher is better, ↓ that lower is better.
- *Parameters* counts the numbers in the checkpoint, without running statistics. {DASH} means that it is not recorded.
- *Verified* is the level of the [audit](audit.md) that a submission passed, with its verdict.
  At level 1, tables follow from rows, and rows from their receipts.
  Rows of the {AUTHORS} have no level: `make verify` compares your own run with them.
"""
_DETECTORS = "AUROC of OOD detectors in percent, higher is better. The best mean of the columns is on top."
_Line = dict[str, str]
Submitted = tuple[dict[str, Any], list[_Line]]
"""The description of a submission, and the rows of its leaderboard."""


@dataclass(frozen=True, slots=True)
class Row:
    """A model of a leaderboard.

    Attributes:
        title: of the model with its method.
        cells: a text for each column of the board.
        by, date, parameters, verified: who sent it, when, the size of its checkpoint, and the level of the audit.
    """

    title: str
    cells: tuple[str, ...]
    by: str
    date: str
    parameters: str
    verified: str


@dataclass(frozen=True, slots=True)
class Board:
    """The leaderboard of a published benchmark; the best of the first column is on top."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class SystemRow:
    """A system with its published verdicts; `readme` is the path from docs/."""

    title: str
    family: str
    readme: str
    verdicts: tuple[Verdict, ...]
    counts: tuple[int, ...]
    minutes: float | None
    released: tuple[str, str, str] = (DASH, DASH, DASH)


def page(repository: Path) -> str:
    """The page; it depends on published results only.

    Raises:
        DataError: a published file is damaged.
    """
    submissions = submission.accepted_submissions(repository)
    benchmarks = [
        configuration for configuration in published.configurations(repository) if not _is_system(configuration)
    ]
    lines = ["# Leaderboard", "", markdown.GENERATED, "", _INTRODUCTION]
    for configuration in benchmarks:
        lines += _section(published.read(repository, configuration), submissions)
    systems = [system for slug in configurations.built_slugs() if (system := _system_row(slug))]
    return "\n".join([*lines, *_systems(systems)]) + "\n"


def _is_system(configuration: str | None) -> bool:
    return bool(configuration and configuration.startswith(f"{configurations.SYSTEMS}/"))


# --- models ---------------------------------------------------------------------------------------


def _section(results: published.Published, submissions: list[Submitted]) -> list[str]:
    """Lines of a configuration: a table for each benchmark, and one of detectors where there are many."""
    name = results.configuration or configurations.PLAIN
    about = results.about
    lines = [f"## Configuration {markdown.literal(name)}", ""]
    counts = f"{about['rows']:,} numbers and {about['files']:,} files"
    lines.append(f"{counts}, by the {AUTHORS} on {_date(about)}, at commit `{markdown.code(about['commit'][:12])}`.")
    lines.append(f"The Merkle root is `{markdown.code(about['root'])}`.")
    if (results.root / published.LEADERBOARD).is_file():
        folder = configurations.published_folder(results.configuration).as_posix()
        lines.append(f"All columns: [leaderboard.csv](<../{markdown.target(folder)}/{published.LEADERBOARD}>).")
    recipe = json.loads(results.texts[_RECEIPT])["recipe"] if _RECEIPT in results.texts else {}
    for benchmark, board in _boards(results, submissions, recipe):
        head = ["model", *board.columns, "submitted by", "date", "parameters", "verified"]
        rows = [[r.title, *r.cells, r.by, r.date, r.parameters, r.verified] for r in board.rows]
        lines += ["", f"### {markdown.literal(board.title)}", "", *_sortable(head, rows)]
        if detectors := _detectors(results, benchmark, recipe):
            lines += ["", _DETECTORS, "", *_sortable(*detectors)]
    return [*lines, ""]


def _boards(
    results: published.Published, submissions: list[Submitted], recipe: Mapping[str, Any]
) -> Iterator[tuple[str, Board]]:
    """Yield each benchmark with its leaderboard; a model that was trained from several seeds has only its means."""
    file = results.root / published.LEADERBOARD
    lines = submission.board(file) if file.is_file() else []
    models = {(line["benchmark"], line["model"]) for line in lines}
    abouts: dict[str, Mapping[str, Any]] = {AUTHORS: results.about}
    lines = [{**line, "by": AUTHORS} for line in lines]
    for about, rows in submissions:
        if about["scale"] == results.configuration:
            abouts[about["name"]] = about
            new = [line for line in rows if (line["benchmark"], line["model"]) not in models]
            lines += [{**line, "by": about["name"]} for line in new]
    for benchmark in dict.fromkeys(line["benchmark"] for line in lines):
        yield benchmark, _board(benchmark, _means(lines, benchmark), abouts, recipe)


def _means(lines: list[_Line], benchmark: str) -> list[_Line]:
    benchmark_lines = [line for line in lines if line["benchmark"] == benchmark]
    models = {line["model"] for line in benchmark_lines}
    return [line for line in benchmark_lines if without_seed(line["model"])[0] not in models - {line["model"]}]


def _board(
    benchmark: str, lines: list[_Line], abouts: Mapping[str, Mapping[str, Any]], recipe: Mapping[str, Any]
) -> Board:
    titles, dataset = Titles(recipe.get("titles", {})), _dataset(recipe, benchmark)
    known = {key: _column(key, recipe) for key in dict.fromkeys(line["column"] for line in lines)}
    shown = {key: column for key, column in known.items() if column[1].name not in _LESS} or known
    models: dict[tuple[str, Who], dict[str, _Line]] = {}
    for line in lines:
        models.setdefault((line["by"], (line["model"], line["method"])), {})[line["column"]] = line
    names = titles.models([who for _, who in models], dataset)
    _, first = next(iter(shown.values()))
    ranked = sorted(models.items(), key=lambda pair: _rank(pair[1].get(next(iter(shown))), first))
    rows = tuple(
        Row(
            names[who],
            tuple(_cell_text(values.get(key), measure) for key, (_, measure) in shown.items()),
            by,
            _date(abouts[by]),
            _parameters(abouts[by], who[0]),
            _verified(by, abouts[by]),
        )
        for (by, who), values in ranked
    )
    return Board(titles.of("benchmarks", benchmark), tuple(heading for heading, _ in shown.values()), rows)


def _dataset(recipe: Mapping[str, Any], benchmark: str) -> str:
    return str(recipe.get("benchmarks", {}).get(benchmark, {}).get("dataset", ""))


def _column(key: str, recipe: Mapping[str, Any]) -> tuple[str, Measure]:
    """Heading and measure of a column, `GROUP-METRIC` or `GROUP-METRIC-DETECTOR`."""
    about, parts = recipe.get("metrics", {}), key.split("-")
    at = [number for number, part in enumerate(parts) if part in about or part in registry.names("metrics")]
    if not at:
        return key, Measure(key)
    group, measure = "-".join(parts[: at[-1]]), Measure.of(parts[at[-1]], about)
    detectors = [f"({Titles(recipe.get('titles', {})).of('detectors', name)})" for name in parts[at[-1] + 1 :]]
    words = " ".join([group if group == FIFTEEN else group.replace("-", " "), measure.title, *detectors]).strip()
    return f"{words}{', %' if measure.percent else ''} {measure.arrow}".strip(), measure


def _rank(line: _Line | None, measure: Measure) -> float:
    if not line or not line["value"]:
        return float("inf")
    return float(line["value"]) * (1 if measure.higher_is_better is False else -1)


def _cell_text(line: _Line | None, measure: Measure) -> str:
    if not line or not line["value"]:
        return DASH
    value = measure.text(float(line["value"]))
    if line["ci_low"]:
        interval = measure.interval(float(line["ci_low"]), float(line["ci_high"]))
        return f"{value} {interval}".strip()
    if line.get("seeds") == "2":
        return f"{value} ({', '.join(measure.text(float(line[name])) for name in ('seed_low', 'seed_high'))})"
    return value


def _date(about: Mapping[str, Any]) -> str:
    return str(about["created"])[:10]


def _parameters(about: Mapping[str, Any], model: str) -> str:
    count = about.get("parameters", {}).get(model)
    return f"{count:,}" if isinstance(count, int) else DASH


def _verified(by: str, about: Mapping[str, Any]) -> str:
    return DASH if by == AUTHORS else f"level 1, {about.get('verdict', 'not stated')}"


# --- detectors ------------------------------------------------------------------------------------


def _detectors(
    results: published.Published, benchmark: str, recipe: Mapping[str, Any]
) -> tuple[list[str], list[list[str]]] | None:
    """Head and rows of a benchmark's detectors, best mean first; None if the models' table has columns for them."""
    tables = {file.parent.name: file for file in results.root.glob(f"results/tables/*/{published.TABLE}")}
    if benchmark not in tables:
        return None
    frame = pl.read_parquet(tables[benchmark]).rename({"weights": "model"}, strict=False)  # `weights`: of version 0.1
    rows = frame.filter(
        pl.col("metric") == "auroc",
        pl.col("split") == "test",
        pl.col("reference").str.ends_with("/identity/0"),
        *(pl.col(name).is_null() for name in ("seed", "group", "step")),
    )
    if rows["detector"].n_unique() <= FEW:
        return None
    groups = rows.filter(pl.col("shift").is_null())  # near and far, where params name them
    rows = groups if groups.height else rows.filter(pl.col("shift") == "identity")
    titles, measure = Titles(recipe.get("titles", {})), Measure.of("auroc", recipe.get("metrics", {}))
    sets: list[str] = sorted(rows["dataset"].unique().to_list(), key=lambda name: (name != "near", name))
    names = titles.models(rows.select("model", "method").unique().iter_rows(), _dataset(recipe, benchmark))
    found: dict[tuple[Who, str], dict[str, dict[str, Any]]] = {}
    for row in rows.iter_rows(named=True):
        found.setdefault(((row["model"], row["method"]), row["detector"]), {})[row["dataset"]] = row
    ranked = sorted(found.items(), key=lambda pair: (-sum(row["value"] or 0 for row in pair[1].values()), pair[0]))
    table = [
        [titles.of("detectors", detector), names[who], *(_detector_cell(values.get(name), measure) for name in sets)]
        for (who, detector), values in ranked
    ]
    heads = [name if groups.height else titles.of("datasets", name) for name in sets]
    return ["detector", "model", *heads], table


def _detector_cell(row: Mapping[str, Any] | None, measure: Measure) -> str:
    if row is None:
        return DASH
    return f"{measure.text(row['value'])} {measure.interval(row['ci_low'], row['ci_high'])}".strip()


# --- systems --------------------------------------------------------------------------------------


def _systems(systems: list[SystemRow]) -> list[str]:
    if not systems:
        return []
    head = ["system", "field", "numbers reported", "released: agree / not", "released: s / r / i", *COUNTED]
    head += [*(f"claims: {name}" for name in COUNTED), "CPU min"]
    rows = []
    for one in systems:
        names = [", ".join(v.name for v in one.verdicts if v.verdict == verdict) or DASH for verdict in COUNTED]
        minutes = DASH if one.minutes is None else f"{one.minutes:.1f}"
        rows.append([one.family, *one.released, *map(str, one.counts), *names, minutes])
    links = [f"[{markdown.literal(one.title)}](<{markdown.target(one.readme)}>)" for one in systems]
    return [
        "## Claims of published systems",
        "",
        "The `embedded` configuration of each system, on small data and small models. A refuted claim is a result.",
        "Before it are the numbers that the paper reports, how many of them released files give again, and the claims",
        "supported, refuted and inconclusive on such files ([rebuilt numbers](released.md#rebuilt-numbers)).",
        "[Published systems](systems.md) has a summary of each, and each system's page has its claims in full.",
        "",
        *_sortable(head, rows, links),
    ]


def _system_row(slug: str) -> SystemRow | None:
    card, results = cards.load(slug), measured.current(slug)
    if results is None:
        return None
    verdicts = tuple(measured.as_system(slug, card, results).verdicts)
    names = [verdict.verdict for verdict in verdicts]
    readme = f"../src/shiftbench/systems/{cards.file(slug).parent.name}/README.md"
    counts = tuple(names.count(name) for name in COUNTED)
    released = released_results.summary(slug)
    return SystemRow(card.title, card.family, readme, verdicts, counts, results["minutes"], released)


def _sortable(head: list[str], rows: list[list[str]], links: list[str] | None = None) -> list[str]:
    """Lines of a table that the site's script sorts; all texts are literal but `links`, the first cells."""
    cells = [list(map(markdown.literal, row)) for row in rows]
    if links:
        cells = [[link, *row] for link, row in zip(links, cells, strict=True)]
    heads = list(map(markdown.literal, head))
    lines = [f"| {' | '.join(row)} |" for row in (heads, ["---"] * len(head), *cells)]
    return ['<div class="sortable" markdown>', "", *lines, "", "</div>"]
