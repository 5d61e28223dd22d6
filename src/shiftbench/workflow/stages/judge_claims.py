"""Stage aggregate, claims: a system's card judged from the tables of its benchmarks.

metrics and replicates of all benchmarks -> verdicts, measured next to reported numbers, points of figures
released rows -> verdicts on the claims of the scale `released`, and reported numbers rebuilt from these rows
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from shiftbench.base.files import scratch
from shiftbench.base.refs import Ref
from shiftbench.data import claim_formats, formats, schema
from shiftbench.data.claim_formats import ACROSS, UP
from shiftbench.provenance.recipe import Artifact, Run
from shiftbench.statistics import rebuilt
from shiftbench.statistics.claims import released, replicate_table
from shiftbench.statistics.claims.estimates import Evidence, evidence
from shiftbench.statistics.claims.expressions import evaluate
from shiftbench.statistics.claims.judgement import Judgement, judge_evidence
from shiftbench.statistics.claims.metric_rows import MetricRows, NotEvaluable, single_row
from shiftbench.statistics.claims.statements import Claim, Figure, Reported

Line = dict[str, object]


def run(run: Run, artifact: Artifact) -> None:
    """Judge the claims of one system."""
    card, configuration = artifact.recipe["card"], artifact.recipe["scale"]
    tables = [run.path(ref) for ref in artifact.inputs if ref.kind == "tables"]
    claims = {name: Claim.model_validate(claim) for name, claim in card["claims"].items()}
    reported = [Reported.model_validate(number) for number in card["reported"]]
    if configuration == released.SCALE:
        numbers = _released(run.path(ref) for ref in artifact.inputs if ref.kind == "released")
        evidence_by_claim = released.evidence(claims, numbers, artifact.recipe["resamples"], artifact.recipe["seed"])
        measured, figures = rebuilt_numbers(reported, numbers), []
    else:
        rows = read(tables, artifact.recipe["higher_is_better"], artifact.recipe["kinds"])
        evidence_by_claim = evidence(claims, rows, configuration)
        measured, figures = _measured(reported, rows, configuration), _figures(card["figures"], rows)
    judgements = judge_evidence(claims, evidence_by_claim, configuration, looks(card["looks"], configuration))
    tables_by_file = {
        "claims.parquet": (_claims(judgements), claim_formats.CLAIMS),
        "claim_replicates.parquet": (replicate_table.table(evidence_by_claim), claim_formats.CLAIM_REPLICATES),
        "measured.parquet": (schema.table(measured, claim_formats.MEASURED), claim_formats.MEASURED),
        "figures.parquet": (schema.table(figures, claim_formats.FIGURES), claim_formats.FIGURES),
    }
    output = run.path(artifact.ref)
    with ExitStack() as stack:
        files = {}
        for name, (table, form) in tables_by_file.items():
            files[name] = stack.enter_context(scratch(output.with_name(name)))
            schema.write(table, files[name], artifact.fingerprint, form)
        run.commit(artifact, files)


def looks(stated: int, configuration: str) -> int:
    """How often a card's claims were judged in a configuration; the card states the number of the embedded one."""
    return 1 if configuration in ("full", released.SCALE) else stated


def _released(files: Iterable[Path]) -> pl.DataFrame:
    """The rows of several releases."""
    frame = pl.from_arrow(pa.concat_tables([schema.read(file, form=formats.RELEASED) for file in files]))
    assert isinstance(frame, pl.DataFrame)  # noqa: S101 - for mypy: a table becomes a frame
    return frame


def rebuilt_numbers(reported: list[Reported], rows: pl.DataFrame) -> list[Line]:
    """Lines of format MEASURED with the reported numbers that released rows give; several numbers are a text."""
    cells: dict[int, list[rebuilt.Cell]] = {}
    for place, cell in rebuilt.of_reported(reported, rows):
        cells.setdefault(place, []).append(cell)
    lines: list[Line] = []
    for place, found in cells.items():
        if not reported[place].from_released:
            continue
        scale = 100 if reported[place].unit == "percent" else 1
        single = found[0].value if len(found) == 1 else None
        value = None if single is None else single / scale
        text = None if value is not None else _joined(found)
        lines.append({"number": place, "value": value, "ci_low": None, "ci_high": None, "reason": text})
    return lines


def _joined(cells: list[rebuilt.Cell]) -> str:
    """Rebuilt values of one line of a card, or why there is none."""
    texts = [cell.reason or "no file" if cell.value is None else f"{cell.value:.4g}" for cell in cells]
    return " / ".join(texts)


def read(
    tables: list[Path], higher_is_better: Mapping[str, bool | None], kinds: Mapping[str, str] = MappingProxyType({})
) -> MetricRows:
    """The rows of several benchmarks, with their replicates and the facts about their metrics, see `Rows`."""
    frames = {}
    for name, form in (("metrics", formats.METRICS), ("replicates", formats.REPLICATES)):
        read = [schema.read(file.with_name(f"{name}.parquet"), form=form) for file in tables]
        frame = pl.from_arrow(pa.concat_tables(read))
        assert isinstance(frame, pl.DataFrame)  # noqa: S101 - for mypy: a table becomes a frame
        frames[name] = frame
    return MetricRows.of(frames["metrics"], frames["replicates"], higher_is_better, kinds)


def again(claims: Mapping[str, Claim], known: Mapping[str, Evidence], configuration: str, stated: int) -> list[Line]:
    """The rows of format CLAIMS of a card's claims, from their evidence.

    Args:
        claims: claims of the card, by name.
        known: their evidence, by name.
        configuration: the one that was run.
        stated: `looks` of the card.
    """
    judged = judge_evidence(claims, known, configuration, looks(stated, configuration))
    return [line for one in judged for line in _lines(one)]


def _claims(judged: list[Judgement]) -> pa.Table:
    return schema.table((line for one in judged for line in _lines(one)), claim_formats.CLAIMS)


def _lines(one: Judgement) -> Iterator[Line]:
    yield {
        "claim": one.name,
        "part": one.part,
        "verdict": one.verdict,
        "value": one.value,
        "ci_low": one.low,
        "ci_high": one.high,
        "confidence": one.confidence,
        "seeds": one.seeds,
        "units": one.units,
        "reason": one.reason or None,
    }
    for part in one.parts:
        yield from _lines(part)


def _measured(reported: list[Reported], rows: MetricRows, configuration: str) -> list[Line]:
    lines: list[Line] = []
    present_configuration = "embedded" if configuration == "smoke" else configuration
    for number, reported_number in enumerate(reported):
        expression = reported_number.measured
        if expression is None or reported_number.scale != present_configuration:
            continue
        try:
            numbers = _numbers(single_row(evaluate(rows, expression)))[0] | {"reason": None}
        except NotEvaluable as reason:
            numbers = {**dict.fromkeys(("value", "ci_low", "ci_high")), "reason": str(reason)}
        lines.append({"number": number, **numbers})
    return lines


def _figures(figures: list[dict[str, Any]], rows: MetricRows) -> list[Line]:
    lines: list[Line] = []
    for number, content in enumerate(figures):
        figure = Figure.model_validate(content)
        open_columns = frozenset(filter(None, (figure.x, figure.colour)))
        try:
            points = evaluate(rows, figure.rows, open_columns=open_columns)
            across = evaluate(rows, figure.against, open_columns=open_columns) if figure.against else None
        except NotEvaluable:
            continue  # the page says that it has no points
        if across is not None:
            lines += _scatter_points(number, str(figure.colour), {ACROSS: across, UP: points})
            continue
        identities = points.identities
        x = identities[figure.x].cast(pl.String)
        colour = identities[figure.colour].cast(pl.String) if figure.colour else [None] * len(x)
        for index, numbers in enumerate(_numbers(points)):
            lines.append({"figure": number, "colour": colour[index], "x": x[index], **numbers})
    return lines


def _scatter_points(number: int, colour: str, sides: dict[str, MetricRows]) -> list[Line]:
    """Two points per colour that both sides have: one along the axis, one across."""
    names = [set(side.identities[colour].cast(pl.String)) for side in sides.values()]
    return [
        {"figure": number, "colour": name, "x": axis, **numbers}
        for axis, side in sides.items()
        for name, numbers in zip(side.identities[colour].cast(pl.String), _numbers(side), strict=True)
        if name in names[0] & names[1]
    ]


def _numbers(rows: MetricRows) -> list[Line]:
    """Value and 95% interval of each row."""
    low, high = rows.intervals
    return [
        {
            name: None if np.isnan(number) else float(number)
            for name, number in zip(("value", "ci_low", "ci_high"), numbers, strict=True)
        }
        for numbers in zip(rows.values[:, 0], low, high, strict=True)
    ]


def claims_of(root: Path, slug: str) -> pa.Table:
    """The verdicts of a system that was run, format CLAIMS."""
    return schema.read(root / Ref("claims", slug).path, form=claim_formats.CLAIMS)
