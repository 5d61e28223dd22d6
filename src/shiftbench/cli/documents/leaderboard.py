"""`docs/leaderboard.html`: all that is published, on one page.

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
"""What a submission says of itself, and the rows of its leaderboard."""


@dataclass(frozen=True, slots=True)
class Board:
    """The leaderboard of a published benchmark.

    Attributes:
        scale: as `plan.configurations` spells it.
        benchmark: its name.
        columns: names, as the benchmark's report has them.
        rows: weights with their method, the best of the first column on top, and a text for each column.
    """

    scale: str
    benchmark: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True)
class Judged:
    """A system with its published verdicts, and its README.md seen from docs/."""

    title: str
    family: str
    place: str
    verdicts: tuple[Verdict, ...]
    counts: tuple[int, ...]
    minutes: float | None


def page(repository: Path) -> str:
    """Return the page; it depends on what is published and on nothing else.

    Raises:
        DataError: what is published is damaged.
    """
    others = submission.accepted(repository)
    benchmarks = [scale for scale in published.scales(repository) if not _is_system(scale)]
    found = [published.read(repository, scale) for scale in benchmarks]
    template = html.environment("overview").get_template("leaderboard.html")
    text: str = template.render(
        published=[(one.scale or configurations.PLAIN, one.about, list(_boards(one, others))) for one in found],
        systems=[one for slug in configurations.built() if (one := _judged(slug))],
        counted=COUNTED,
        style=html.style(),
        policy=html.policy([]),
    )
    return text


def _is_system(scale: str | None) -> bool:
    return bool(scale and scale.startswith(f"{configurations.SYSTEMS}/"))


def _boards(one: published.Published, others: list[Submitted]) -> Iterator[Board]:
    """Yield the leaderboards of a scale; of weights that were trained from several seeds their means alone."""
    file = one.root / published.LEADERBOARD
    lines = submission.board(file) if file.is_file() else []
    known = {(line["benchmark"], line["model"]) for line in lines}
    for about, more in others:
        new = [line for line in more if (line["benchmark"], line["model"]) not in known]
        lines += [{**line, "by": about["name"]} for line in new if about["scale"] == one.scale]
    for benchmark in dict.fromkeys(line["benchmark"] for line in lines):
        yield _board(one.scale or configurations.PLAIN, benchmark, _means(lines, benchmark))


def _means(lines: list[_Line], benchmark: str) -> list[_Line]:
    own = [line for line in lines if line["benchmark"] == benchmark]
    known = {line["model"] for line in own}
    return [line for line in own if _SEED.sub("", line["model"]) not in known - {line["model"]}]


def _board(scale: str, benchmark: str, lines: list[_Line]) -> Board:
    columns = tuple(dict.fromkeys(line["column"] for line in lines))
    entries: dict[tuple[str, ...], dict[str, _Line]] = {}
    for line in lines:
        by = (f"({line['by']})",) if "by" in line else ()
        entries.setdefault((line["model"], line["method"], *by), {})[line["column"]] = line
    ranked = sorted(entries.items(), key=lambda pair: _rank(pair[1].get(columns[0])))
    rows = tuple((" ".join(who), tuple(_spelled(own.get(column)) for column in columns)) for who, own in ranked)
    return Board(scale, benchmark, columns, rows)


def _rank(line: _Line | None) -> float:
    return -float(line["value"]) if line and line["value"] else 0.0


def _spelled(line: _Line | None) -> str:
    if not line or not line["value"]:
        return "\N{EN DASH}"
    value = f"{float(line['value']):.3f}"
    if not line["ci_low"] and line.get("seeds") == "2":
        low, high = (f"{float(line[name]):.3f}" for name in ("seed_low", "seed_high"))
        return f"{value} ({low} to {high}, two seeds)"
    if not line["ci_low"]:
        return value
    return f"{value} [{float(line['ci_low']):.3f}, {float(line['ci_high']):.3f}]"


def _judged(slug: str) -> Judged | None:
    card, found = cards.load(slug), measured.current(slug)
    if found is None:
        return None
    verdicts = tuple(measured.as_system(slug, card, found).verdicts)
    names = [one.verdict for one in verdicts]
    place = f"../src/shiftbench/systems/{cards.file(slug).parent.name}/README.md"
    counts = tuple(names.count(name) for name in COUNTED)
    return Judged(card.title, card.family, place, verdicts, counts, found["minutes"])
