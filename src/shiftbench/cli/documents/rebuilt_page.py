"""Generated part of docs/released.md: printed numbers that released files give again, and those that they do not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from shiftbench.cli.documents import released_results
from shiftbench.data import releases
from shiftbench.report.measures import DASH
from shiftbench.statistics.rebuilt import AGREE, DISAGREE, NO_FILE, Cell
from shiftbench.workflow.plan import cards

PAGE = "docs/released.md"
_HEAD = ["agree", "of these computed", "do not agree", "no file covers"]


def section(slugs: Sequence[str]) -> str:
    """Tables of rebuilt numbers: of systems, of releases, and the numbers that do not agree."""
    found = {slug: results for slug in slugs if (results := released_results.of(slug)) is not None}
    by_system = {
        cards.load(slug).title: [cell for cells in one.cells.values() for cell in cells] for slug, one in found.items()
    }
    by_release = {
        f"`{name}`": list(released_results.of_release(name)) for name in releases.names() if releases.card(name).rebuilt
    }
    reported, averages = ([cell for cells in one.values() for cell in cells] for one in (by_system, by_release))
    known = {(cell.printed, cell.value) for cell in reported}
    every = [*reported, *(cell for cell in averages if (cell.printed, cell.value) not in known)]
    lines = [
        _total("numbers on cards that a file covers", reported),
        _total("averages and differences that files print next to their terms", averages),
        "",
        *_table("numbers on the card of", by_system),
        "",
        *_table("averages and differences of the release", by_release),
        "",
        "The numbers that do not agree, each once:",
        "",
        "| printed number | printed | rebuilt | from |",
        "| --- | ---: | ---: | ---: |",
        *(
            _row(_literal(cell.what), cell.printed, released_results.rounded(cell), f"{cell.terms} numbers")
            for cell in every
            if cell.outcome == DISAGREE
        ),
    ]
    return "\n".join(lines)


def _total(what: str, cells: Iterable[Cell]) -> str:
    counts = Counter(cell.outcome for cell in cells)
    covered = counts[AGREE] + counts[DISAGREE]
    return f"Of {covered:,} {what}, {counts[AGREE]:,} agree within rounding and {counts[DISAGREE]} do not."


def _table(what: str, cells_by_name: dict[str, list[Cell]]) -> list[str]:
    head = _row(what, *_HEAD)
    return [
        head,
        "| --- | ---: | ---: | ---: | ---: |",
        *(_row(name, *_counts(cells)) for name, cells in sorted(cells_by_name.items())),
    ]


def _counts(cells: list[Cell]) -> list[str]:
    counts = Counter(cell.outcome for cell in cells)
    computed = sum(cell.outcome == AGREE and cell.terms > 1 for cell in cells)
    return [str(number or DASH) for number in (counts[AGREE], computed, counts[DISAGREE], counts[NO_FILE])]


def _literal(text: str) -> str:
    return text.replace("|", "\\|").replace("_", "\\_")


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
