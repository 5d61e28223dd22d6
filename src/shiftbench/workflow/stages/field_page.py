"""Stage report, page Field: numbers of releases -> a static page of what others measured, and all its models as CSV.

The page is `results/report/field/index.html`; `models.csv` beside it has all rows of its table. The page makes no
request: links lead to the lines of the released files.
"""

import polars as pl
from markupsafe import Markup

from shiftbench import __version__
from shiftbench.base.files import scratch
from shiftbench.data import formats, schema
from shiftbench.provenance.recipe import Artifact, Run
from shiftbench.report import field_scatter, field_tables, field_text, html
from shiftbench.report.field import Field
from shiftbench.report.field_corruptions import against
from shiftbench.report.figures import SYMBOLS

ASSETS = (
    "../../report/templates/page.html",
    "../../report/templates/report/parts.html",
    "../../report/templates/report/page.js",
    "../../report/templates/report/style.css",
    "../../report/templates/field/corruptions.html",
    "../../report/templates/field/detection.html",
    "../../report/templates/field/field.css",
    "../../report/templates/field/field.js",
    "../../report/templates/field/index.html",
    "../../report/templates/field/models.html",
)


def run(run: Run, artifact: Artifact) -> None:
    """Write the page and the CSV of its models."""
    tables = {ref.name: _frame(run, artifact, ref.name) for ref in artifact.inputs}
    field = Field.of({name: tables[name] for name in artifact.recipe["order"]}, artifact.recipe["releases"])
    output = run.path(artifact.ref)
    texts = {output.name: page(artifact, field)}
    if field.models:
        texts["models.csv"] = field_tables.text(field.models, field.releases[field.models.release])
    with scratch(output) as page_file, scratch(output.with_name("models.csv")) as models_file:
        files = dict(zip(texts, (page_file, models_file), strict=False))
        for name, file in files.items():
            file.write_bytes(texts[name].encode())
        run.commit(artifact, files)


def _frame(run: Run, artifact: Artifact, name: str) -> pl.DataFrame:
    (file,) = (run.path(ref) for ref in artifact.inputs if ref.name == name)
    frame = pl.from_arrow(schema.read(file, form=formats.RELEASED))
    assert isinstance(frame, pl.DataFrame)  # noqa: S101 - for mypy: a table becomes a frame
    return frame


def page(artifact: Artifact, field: Field) -> str:
    """The page's HTML."""
    scripts = [Markup((html.TEMPLATES / file).read_text()) for file in ("report/page.js", "field/field.js")]
    models = field.models
    release = field.releases[models.release] if models else None
    return (
        html.environment("field", "report")
        .get_template("index.html")
        .render(
            field=field,
            release=release,
            scatters=[(shift, field_scatter.scatter(models, shift)) for shift in models.shifts] if models else [],
            styles=field_scatter.styles(models) if models else [],
            sizes=field_scatter.SIZES,
            rows=field_tables.rows(models, field_tables.SHOWN) if models else [],
            content=html.embedded(field_tables.compact(models, release)) if models and release else "",
            against=against(field.attacked) if field.attacked else None,
            text=field_text,
            symbols=SYMBOLS,
            fingerprint=artifact.fingerprint,
            version=__version__,
            style=html.style(),
            scripts=scripts,
            policy=html.policy(scripts),
        )
    )
