"""`docs/leaderboard.html`: all published results, on one page.

published/SCALE/results/report/leaderboard.csv, measured.json of the systems -> docs/leaderboard.html
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shiftbench.cli.documents import measured
from shiftbench.cli.documents.overview import COUNTED
from shiftbench.release import published, submission
from shiftbench.report import html
from shiftbench.report.system import Verdict
from shiftbench.workflow.plan import cards, configurations

PAGE = Path("docs/leaderboard.html")
_SEED = re.compile(r"-s\d+$")
_Line = dict[str, str]
Submitted = tuple[dict[str, Any], list[_Line]]
"""The description of a submission, and the rows of its leaderboard."""


@dataclass(frozen=True, slots=True)
class Board:
    """The leaderboard of a published benchmark.

    Attributes:
        configuration: its name.
        columns: names, as the benchmark's report has them.
        rows: model with its method, and a text for each column; the best of the first column on top.
    """

    configuration: str
    benchmark: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True)
class SystemRow:
    """A system with its published verdicts; `readme` is the path from docs/."""

    title: str
    family: str
    readme: str
    verdicts: tuple[Verdict, ...]
    counts: tuple[int, ...]
    minutes: float | None


def page(repository: Path) -> str:
    """The page; it depends on published results only.

    Raises:
        DataError: a published file is damaged.
    """
    submissions = submission.accepted_submissions(repository)
    benchmarks = [
        configuration for configuration in published.configurations(repository) if not _is_system(configuration)
    ]
    results = [published.read(repository, configuration) for configuration in benchmarks]
    template = html.environment("overview").get_template("leaderboard.html")
    text: str = template.render(
        published=[
            (result.configuration or configurations.PLAIN, result.about, list(_boards(result, submissions)))
            for result in results
        ],
        systems=[system for slug in configurations.built_slugs() if (system := _system_row(slug))],
        counted=COUNTED,
        style=html.style(),
        policy=html.policy([]),
    )
    return text


def _is_system(configuration: str | None) -> bool:
    return bool(configuration and configuration.startswith(f"{configurations.SYSTEMS}/"))


def _boards(results: published.Published, submissions: list[Submitted]) -> Iterator[Board]:
    """Yield the leaderboards of a configuration; a model that was trained from several seeds has only its means."""
    file = results.root / published.LEADERBOARD
    lines = submission.board(file) if file.is_file() else []
    published_models = {(line["benchmark"], line["model"]) for line in lines}
    for about, rows in submissions:
        new = [line for line in rows if (line["benchmark"], line["model"]) not in published_models]
        lines += [{**line, "by": about["name"]} for line in new if about["scale"] == results.configuration]
    for benchmark in dict.fromkeys(line["benchmark"] for line in lines):
        yield _board(results.configuration or configurations.PLAIN, benchmark, _means(lines, benchmark))


def _means(lines: list[_Line], benchmark: str) -> list[_Line]:
    benchmark_lines = [line for line in lines if line["benchmark"] == benchmark]
    models = {line["model"] for line in benchmark_lines}
    return [line for line in benchmark_lines if _SEED.sub("", line["model"]) not in models - {line["model"]}]


def _board(configuration: str, benchmark: str, lines: list[_Line]) -> Board:
    columns = tuple(dict.fromkeys(line["column"] for line in lines))
    models: dict[tuple[str, ...], dict[str, _Line]] = {}
    for line in lines:
        by = (f"({line['by']})",) if "by" in line else ()
        models.setdefault((line["model"], line["method"], *by), {})[line["column"]] = line
    ranked = sorted(models.items(), key=lambda pair: _rank(pair[1].get(columns[0])))
    rows = tuple(
        (" ".join(name), tuple(_cell_text(values.get(column)) for column in columns)) for name, values in ranked
    )
    return Board(configuration, benchmark, columns, rows)


def _rank(line: _Line | None) -> float:
    return -float(line["value"]) if line and line["value"] else 0.0


def _cell_text(line: _Line | None) -> str:
    if not line or not line["value"]:
        return "\N{EN DASH}"
    value = f"{float(line['value']):.3f}"
    if not line["ci_low"] and line.get("seeds") == "2":
        low, high = (f"{float(line[name]):.3f}" for name in ("seed_low", "seed_high"))
        return f"{value} ({low} to {high}, two seeds)"
    if not line["ci_low"]:
        return value
    return f"{value} [{float(line['ci_low']):.3f}, {float(line['ci_high']):.3f}]"


def _system_row(slug: str) -> SystemRow | None:
    card, results = cards.load(slug), measured.current(slug)
    if results is None:
        return None
    verdicts = tuple(measured.as_system(slug, card, results).verdicts)
    names = [verdict.verdict for verdict in verdicts]
    readme = f"../src/shiftbench/systems/{cards.file(slug).parent.name}/README.md"
    counts = tuple(names.count(name) for name in COUNTED)
    return SystemRow(card.title, card.family, readme, verdicts, counts, results["minutes"])
