"""Check of figures: report and pages follow from the tables."""

import csv
import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pyarrow import ArrowException

from shiftbench.audit.case import Case
from shiftbench.audit.check import check
from shiftbench.audit.evidence import judged_again, printed_intervals
from shiftbench.audit.finding import Finding, Note, Verdict, some
from shiftbench.audit.recompute import rerun
from shiftbench.base.errors import ShiftbenchError
from shiftbench.provenance.recipe import Artifact
from shiftbench.workflow.stages import report

_FIGURES = 50  # of one file that are named one by one
_NUMBER = re.compile(r"[+-]?\d+(?:[.,]\d+)*(?:e[+-]?\d+)?")
_TAGS = re.compile(r"<[^>]*>|\s+")
_MACHINERY = re.compile(r"<script>.*?</script>|<style>.*?</style>|<meta http-equiv[^>]*>", re.DOTALL)
_README, _RESULTS = Path("README.md"), Path("docs/results.md")
_LINE = 200  # characters of a line of a page
_WORDS = 60  # characters before a number that say where it stands
Figure = tuple[str, str, str]
"""Place, expected, found."""


@check("A15", level=1)
def figures(case: Case) -> Iterator[Finding | Note]:
    """Every printed figure follows from the tables: the report is made again and compared.

    Pass rule: the stage makes index.html, findings.txt, leaderboard.csv, curves.csv, metrics.json and metrics/ again
    from the tables, with the recipe of the receipt. Each file has the same bytes. A finding names each figure that
    differs: by its place in JSON and CSV, by the words before it on a page. Tables have all digits, so that no ranking
    depends on rounding.
    If the checkout has published/, three more things are compared. docs/leaderboard.md and the pages of systems
    follow from it. Each published verdict follows from the published replicates. Intervals of README.md and
    docs/results.md that no published row has are noted.

    Limits: other pages, numbers without an interval and exchanged numbers are not compared; `aggregates` checks that
    tables follow from rows.
    """
    outputs = [one for one in case.outputs("report") if one[0].name == "index"]  # others show samples
    for ref, _, receipt in outputs:
        missing = [need for need in rerun.missing_inputs(case, ref) if not need.local]
        if missing:
            lack = f"{len(missing)} of its inputs are missing"
            why = f"the report was not made again: {lack}; `shiftbench pull` fetches them"
            yield case.incomplete(ref, why, found=f"no {missing[0].path}")
            continue
        run = rerun.Rerun(case, ref)
        report.run(run, [run.artifact])
        findings, other = run.compare(case, receipt["made"])
        yield from findings
        for here, made in other:
            yield from _differing(case, run.artifact, here, made)
        yield Note(f"{len(run.made)} files made again from {len(run.artifact.inputs)} tables, proofs and previews")
    if not outputs:
        yield Note("no report is here, so there is nothing to make again")
    if case.pages and Path("published").is_dir() and not case.differing_modules:
        yield from _documents(case.pages(Path()))
        yield from _written_by_hand()
        yield from _verdicts()


def _documents(pages: Mapping[str, str]) -> Iterator[Finding | Note]:
    """Compare the generated pages of this repository with those that the published tables give."""
    here = {name: Path(name).read_text() for name in pages if Path(name).is_file()}
    for name in [name for name in here if here[name] != pages[name]]:
        lines = (text.splitlines() for text in (pages[name], here[name]))
        expected, actual = next(
            (pair for pair in itertools.zip_longest(*lines, fillvalue="") if pair[0] != pair[1]), ("", "")
        )
        why = "this page is not what the published tables give; `shiftbench docs` writes it again"
        yield Finding("failed", name, why, expected=expected.strip()[:_LINE], found=actual.strip()[:_LINE])
    yield Note(f"{len(here)} pages of the repository written again from the published tables")


def _written_by_hand() -> Iterator[Note]:
    """Compare the intervals that people wrote into pages with those of the published tables."""
    rows = printed_intervals.published(Path("published"))
    for name in filter(Path.is_file, (_README, _RESULTS)):
        intervals = list(printed_intervals.without_row(name.read_text(), rows))
        lacking = [interval for interval, lacks in intervals if lacks]
        summary = f"{len(intervals) - len(lacking)} of {len(intervals)} intervals of {name} are those of published rows"
        other = f"; no row has {some(lacking, 5)}" if lacking else ""
        yield Note(summary + other, limits=bool(lacking))


def _verdicts() -> Iterator[Finding | Note]:
    """Judge the published claims again, from the published replicates."""
    try:
        verdicts = list(judged_again.verdicts(Path()))
    except (ShiftbenchError, OSError, ValueError, KeyError, TypeError, ArrowException) as error:
        yield Finding("failed", "published", f"its claims cannot be judged again: {error}")
        return
    why = "the published verdict is not what the published replicates give"
    for one in verdicts:
        if one.stated != one.judged:
            sides = {"expected": _judgement_text(one.judged), "found": _judgement_text(one.stated)}
            yield Finding("failed", one.file.as_posix(), why, sample=one.claim, **sides)  # type: ignore[arg-type]
    yield Note(f"{len(verdicts)} published verdicts judged again from their replicates")


def _judgement_text(judgement: tuple[object, ...]) -> str:
    return ", ".join(map(str, judgement)) if judgement else "no such claim"


def _differing(case: Case, artifact: Artifact, here: Path, made: Path) -> Iterator[Finding]:
    why = "a printed figure is not what the tables give" + rerun.code_change_note(artifact)
    place = here.relative_to(case.root).as_posix()
    try:
        differences = list(differing_figures(here, made))
    except (ValueError, KeyError, csv.Error) as error:
        yield case.failed(place, f"it cannot be read: {error}")
        return
    for where, expected, actual in differences[:_FIGURES]:
        yield Finding("failed", place, f"{why}: {where}", expected=expected, found=actual)
    if len(differences) > _FIGURES:
        yield Finding("failed", place, f"{len(differences) - _FIGURES} more figures are not what the tables give")
    if not differences:
        verdict: Verdict = "incomplete" if case.differing_modules else "failed"
        why = "its figures are those of the tables, but they are written in other bytes"
        cure = "the version of the checkout writes pages" if case.differing_modules else "`make run` writes it"
        actual = f"byte {_first(here.read_bytes(), made.read_bytes())} differs first"
        yield Finding(verdict, place, f"{why}; {cure} again", found=actual)


def _first(one: Sequence[object], two: Sequence[object]) -> int:
    """Place of the first difference of two sequences."""
    pairs = enumerate(zip(one, two, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(two)))


def differing_figures(here: Path, made: Path) -> Iterator[Figure]:
    """Yield each figure in which a printed file and the file that was made again differ."""
    if here.suffix == ".json":
        yield from _values(json.loads(here.read_text()), json.loads(made.read_text()), "")
    elif here.suffix == ".csv":
        yield from _fields(here, made)
    else:
        yield from _text(here.read_text(errors="replace"), made.read_text())


def _values(actual: Any, expected: Any, place: str) -> Iterator[Figure]:
    if isinstance(actual, dict) and isinstance(expected, dict):
        for key in sorted(actual.keys() | expected.keys()):
            yield from _values(actual.get(key), expected.get(key), f"{place}/{key}".lstrip("/"))
    elif actual != expected or type(actual) is not type(expected):
        yield place, repr(expected), repr(actual)


def _fields(here: Path, made: Path) -> Iterator[Figure]:
    with here.open(newline="") as one, made.open(newline="") as two:
        rows: Iterator[tuple[dict[str, str], dict[str, str]]] = itertools.zip_longest(
            csv.DictReader(one), csv.DictReader(two), fillvalue={}
        )
        for line, (actual, expected) in enumerate(rows, start=2):
            for name in dict.fromkeys((*expected, *actual)):
                if actual.get(name) != expected.get(name):
                    row_name = " ".join(filter(None, list((expected or actual).values())[:4]))
                    place = f"line {line} ({row_name}), {name}"
                    yield place, str(expected.get(name)), str(actual.get(name))


def _text(page: str, remade: str) -> Iterator[Figure]:
    """Yield numbers that differ, each with the words before it; if the texts differ, the first difference."""
    page, remade = _MACHINERY.sub("", page), _MACHINERY.sub("", remade)
    if page == remade:
        yield "its scripts, its styles or what it may load", "those of this version", "others"
        return
    parts, expected_parts = _NUMBER.split(page), _NUMBER.split(remade)
    if parts != expected_parts:
        at = min(_first(parts, expected_parts), len(parts) - 1, len(expected_parts) - 1)
        one, two = parts[at], expected_parts[at]
        first = _first(one, two)
        place = f"text after {_words_before(expected_parts, at)!r}"
        yield place, two[first : first + _WORDS], one[first : first + _WORDS]
        return
    numbers = zip(_NUMBER.findall(page), _NUMBER.findall(remade), strict=True)
    for at, (one, two) in enumerate(numbers):
        if one != two:
            yield f"after {_words_before(expected_parts, at + 1)!r}", two, one


def _words_before(parts: list[str], at: int) -> str:
    """Words before part `at`, without tags."""
    text = " ".join(parts[max(0, at - 8) : at])
    return " ".join(_TAGS.sub(" ", text).split())[-_WORDS:]
