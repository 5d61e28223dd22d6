"""Stage report: tables and previews -> one static web page, and small files for `dvc metrics` and `dvc plots`.

The page contains its styles, scripts, numbers and images. Its content security policy allows only the scripts whose
digests it names, and no request. The same tables give the same bytes.

| file            | contains                                                                |
| --------------- | ----------------------------------------------------------------------- |
| index.html      | the page                                                                |
| metrics.json    | the leaderboards' means: benchmark, model, column -> value              |
| metrics/        | a file for each row of a leaderboard, a row of `dvc metrics show`       |
| leaderboard.csv | the values with intervals, n and seeds, one row per value               |
| curves.csv      | the leading metric over severity, one row per model, shift, severity    |
| findings.txt    | the finding of each benchmark, one line each                            |
"""

import csv
import io
import json
import re
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
from markupsafe import Markup

from shiftbench import __version__
from shiftbench.base.files import scratch
from shiftbench.base.refs import Ref
from shiftbench.data import claim_formats, formats, schema, skipped
from shiftbench.data.skipped import Skipped
from shiftbench.provenance import recipe
from shiftbench.provenance.recipe import Artifact, Run
from shiftbench.report import gallery, html
from shiftbench.report.chapters import Chapter
from shiftbench.report.corruptions import corruptions, heat
from shiftbench.report.detector_panels import detector_panels
from shiftbench.report.findings import finding
from shiftbench.report.leaderboard import Tables
from shiftbench.report.measures import Measure
from shiftbench.report.panels import first_figure, forest, panels
from shiftbench.report.system import System
from shiftbench.report.titles import Titles
from shiftbench.statistics.failure_prediction import RISK_COVERAGE
from shiftbench.statistics.reliability import RELIABILITY
from shiftbench.statistics.score_curves import ROC
from shiftbench.statistics.search_tables import SEARCHED

ASSETS = (
    "../../report/templates/page.html",
    "../../report/templates/report/index.html",
    "../../report/templates/report/benchmark.html",
    "../../report/templates/report/ood.html",
    "../../report/templates/report/gallery.css",
    "../../report/templates/report/gallery.html",
    "../../report/templates/report/parts.html",
    "../../report/templates/report/system.html",
    "../../report/templates/report/style.css",
    "../../report/templates/report/corruptions.html",
    "../../report/templates/report/page.js",
)
_TABLES = {  # files that aggregate makes, without .parquet
    "metrics": formats.METRICS,
    "replicates": formats.REPLICATES,
    "differences": formats.DIFFERENCES,
    "reliability": RELIABILITY,
    "comparisons": formats.COMPARISONS,
    "risk_coverage": RISK_COVERAGE,
    "searches": SEARCHED,
    "roc": ROC,
}


def run(run: Run, todo: list[Artifact]) -> None:
    """Write the page and the files for programs."""
    for artifact in todo:
        chapters = [_chapter(run, artifact, ref) for ref in artifact.inputs if ref.kind == "tables"]
        previews = {ref: run.path(ref) for ref in _previews_of_split(artifact)}
        texts = {
            f"{artifact.ref.name}.html": page(
                artifact, chapters, gallery.boards(previews), _system(run, artifact), _skipped(run, artifact)
            ),
            "metrics.json": _summary(chapters),
            "leaderboard.csv": _csv(_leaderboard(chapters)),
            "curves.csv": _csv(_curves(chapters)),
            "findings.txt": _findings(chapters),
            **_rows(chapters),
        }
        output = run.path(artifact.ref)
        with ExitStack() as stack:
            files = {name: stack.enter_context(scratch(output.with_name(name.replace("/", "-")))) for name in texts}
            for name, text in texts.items():
                files[name].write_bytes(text.encode())
            run.commit(artifact, files)
        earlier_files = [*output.parent.glob("audit.*"), *output.parent.glob("metrics/*/*.json")]
        for file in earlier_files:  # files of the previous report
            if file.relative_to(output.parent).as_posix() not in texts:
                file.unlink()


def _previews_of_split(artifact: Artifact) -> list[Ref]:
    """The previews of evaluated splits; a split with features only has none."""
    splits = {benchmark["split"] for benchmark in artifact.recipe["benchmarks"].values()}
    return [ref for ref in artifact.inputs if ref.kind == "previews" and ref.parts[1] in splits]


def _skipped(run: Run, artifact: Artifact) -> list[Skipped]:
    """The samples that were left out; for data that may not be redistributed only their number."""
    files = {run.path(ref): ref for ref in artifact.inputs if ref.kind == "shards"}
    return [
        replace(sample, file=Path(files[sample.file].path), private=files[sample.file].local)
        for sample in skipped.find_skipped(files)
    ]


def _chapter(run: Run, artifact: Artifact, ref: Ref) -> Chapter:
    about = artifact.recipe.get("metrics", {})
    return Chapter(
        ref.name,
        artifact.recipe["benchmarks"][ref.name],
        _tables(run, artifact, ref),
        about,
        ref.name in artifact.recipe.get("samples", ()),
        Titles(artifact.recipe.get("titles", {})),
    )


def _system(run: Run, artifact: Artifact) -> System | None:
    """The system of the run with its tables, if it has one."""
    claims_refs = [ref for ref in artifact.inputs if ref.kind == "claims"]
    if not claims_refs:
        return None
    folder = run.path(claims_refs[0]).parent
    claims, measured, points = (
        _frame(folder / f"{form.name}.parquet", form)
        for form in (claim_formats.CLAIMS, claim_formats.MEASURED, claim_formats.FIGURES)
    )
    tables = [run.path(ref) for ref in artifact.inputs if ref.kind == "tables"]
    rows = [_frame(file, formats.METRICS).select(*formats.METRICS.key, "seed") for file in tables]
    seeds = {"rows": pl.concat(rows)} if rows else {}
    return System(artifact.recipe["system"], claims, measured, points, artifact.recipe["metrics"], **seeds)


def _tables(run: Run, artifact: Artifact, ref: Ref) -> Tables:
    folder = run.path(ref).parent
    file_digests = (recipe.receipt(run.root, ref) or {}).get("made", {})
    tables = {
        name: _frame(folder / f"{name}.parquet", form)
        for name, form in _TABLES.items()
        if f"{name}.parquet" in file_digests
    }
    metrics = list(artifact.recipe.get("metrics", {}))
    for name in ("metrics", "replicates", "differences"):  # what analyses measured has no leaderboard
        if metrics:
            tables[name] = tables[name].filter(pl.col("metric").is_in(metrics))
    overlaps = Ref("overlaps", ref.name)
    if overlaps in artifact.inputs:
        tables["overlaps"] = _frame(run.path(overlaps), formats.OVERLAPS)
    return Tables(**tables)


def _frame(file: Path, form: formats.Format) -> pl.DataFrame:
    frame = pl.from_arrow(schema.read(file, form=form))
    assert isinstance(frame, pl.DataFrame)  # noqa: S101 - for mypy: a table becomes a frame
    return frame


# ---------------------------------------------------------------------------------------- the page


def page(
    artifact: Artifact,
    chapters: list[Chapter],
    boards: list[gallery.Board],
    system: System | None = None,
    left_out: Sequence[Skipped] = (),
) -> str:
    """The page's HTML.

    Args:
        artifact: the report; its recipe states what was run and what was left out.
        chapters: one per benchmark.
        boards: samples of the gallery.
        system: the system of the run, if it has one.
        left_out: samples that could not be read and that `on_error: skip` leaves out.
    """
    scripts = [Markup((html.TEMPLATES / "report" / name).read_text()) for name in ("page.js",)]
    return (
        html.environment("report")
        .get_template("index.html")
        .render(
            chapters=chapters,
            system=system,
            findings={chapter.name: finding(chapter) for chapter in chapters},
            first={chapter.name: first_figure(chapter) for chapter in chapters},
            forests={chapter.name: forest(chapter) for chapter in chapters},
            heats={chapter.name: heat(chapter) for chapter in chapters},
            panels={chapter.name: panels(chapter) for chapter in chapters},
            detectors={chapter.name: detector_panels(chapter) for chapter in chapters},
            corrupted={chapter.name: corruptions(chapter) for chapter in chapters},
            boards=boards,
            titles=Titles(artifact.recipe.get("titles", {})),
            skipped=left_out,
            measures=_measures(chapters),
            datasets=artifact.recipe["datasets"],
            field=artifact.recipe.get("field", False),
            unavailable_sources=artifact.recipe.get("unavailable", []),
            fingerprint=artifact.fingerprint,
            version=__version__,
            style=html.style(),
            scripts=scripts,
            policy=html.policy(scripts),
        )
    )


def _measures(chapters: list[Chapter]) -> list[Measure]:
    """Each metric of the page, once."""
    measures = {
        measure.name: measure
        for chapter in chapters
        for measure in (*(c.measure for c in chapter.columns), *(v.measure for v in chapter.detection.views))
    }
    return [measures[name] for name in sorted(measures)]


# ------------------------------------------------------------------------------- files for programs


def _summary(chapters: list[Chapter]) -> str:
    content = {
        chapter.name: {
            row.label: {c.key: c.entries[row.who].value for c in chapter.columns if row.who in c.entries}
            for row in chapter.rows
        }
        for chapter in chapters
    }
    return json.dumps(content, sort_keys=True, indent=1, allow_nan=False) + "\n"


def _findings(chapters: list[Chapter]) -> str:
    found = {chapter.title: finding(chapter) for chapter in chapters}
    return "".join(f"{title}: {one.text}\n" for title, one in found.items() if one)


def _rows(chapters: list[Chapter]) -> dict[str, str]:
    """A small file for each row of a leaderboard, without training seeds: few enough values for a terminal."""
    files = {}
    for chapter in chapters:
        groups = {column.group: column for column in reversed(chapter.columns)}
        columns = [c for c in chapter.columns if c is groups[c.group] or c.measure.name == "mce"]
        for row in chapter.rows:
            values = {c.key: c.entries[row.who].value for c in columns if row.who in c.entries}
            name = re.sub(r"[^\w.+-]+", "-", row.label)
            files[f"metrics/{chapter.name}/{name}.json"] = json.dumps(values, indent=1) + "\n"
    return files


def _leaderboard(chapters: list[Chapter]) -> list[dict[str, Any]]:
    return [
        {
            "benchmark": chapter.name,
            "model": model,
            "method": method,
            "column": column.key,
            "value": entry.value,
            "ci_low": entry.low,
            "ci_high": entry.high,
            "n": entry.n,
            "seeds": entry.seeds,
            "seed_low": entry.seed_low,
            "seed_high": entry.seed_high,
        }
        for chapter in chapters
        for column in chapter.columns
        for (model, method), entry in sorted(column.entries.items())
    ]


def _curves(chapters: list[Chapter]) -> list[dict[str, Any]]:
    """The leading metric over severity; each shift's curve begins at the clean set."""
    names = ("model", "method", "shift", "severity", "ci_low", "ci_high", "n")
    rows = []
    for chapter in chapters:
        means = pl.col("metric").is_in(chapter.places.metrics[:1]) & pl.col("seed").is_null()
        levels, clean = chapter.places.levels.filter(means), chapter.places.clean.filter(means)
        shifts = levels.select("shift").unique()
        starts = clean.drop("shift").join(shifts, how="cross").select(levels.columns).with_columns(severity=pl.lit(0.0))
        curves = pl.concat([starts, levels]).sort("model", "method", "shift", "severity")
        for row in curves.iter_rows(named=True):
            values = {name: row[name] for name in names}
            rows.append({"benchmark": chapter.name, **values, row["metric"]: row["value"]})
    return rows


def _csv(rows: list[dict[str, Any]]) -> str:
    """CSV with the columns of all rows; a missing value is empty."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
