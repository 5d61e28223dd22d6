"""Stage report, beside the page: the samples behind a campaign's numbers, on a page of their own.

`results/report/samples/CAMPAIGN/index.html` is opened by a click on a number. It is made where records and shards are
at hand and holds all that it shows, so that the report needs neither, and a checkout without shards has both. What may
not be passed on is neither shown nor named. The same records and shards give the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from shiftbench.data import schema, shards
from shiftbench.files import scratch
from shiftbench.inference import nets
from shiftbench.page import html, samples
from shiftbench.page.samples import At, Rows
from shiftbench.provenance.recipe import Artifact, Run
from shiftbench.refs import Ref

ASSETS = (
    "../templates/page.html",
    "../templates/samples/index.html",
    "../templates/samples/samples.js",
    "../templates/report/style.css",
)
_TEMPLATES = Path(__file__).parents[1] / "templates"


def run(run: Run, artifact: Artifact) -> None:
    """Make the page of one campaign."""
    paths = run.inputs(artifact)
    rows = [_rows(paths, row) for row in artifact.recipe["rows"]]
    dataset = artifact.recipe["clean"]
    methods = {row.method for row in rows}
    labels = {
        (row.weights, row.method): row.weights.removeprefix(f"{dataset}/")
        + (f" + {row.method}" if methods != {"plain"} else "")
        for row in rows
    }
    text = page(artifact, samples.content(rows, _drawn(paths, rows), labels))
    output = run.path(artifact.ref)
    with scratch(output) as temporary:
        temporary.write_bytes(text.encode())
        run.commit(artifact, {output.name: temporary})


def _rows(paths: Mapping[Ref, Path], row: Mapping[str, Any]) -> Rows:
    records = Ref("records", row["records"])
    table = schema.read(paths[records], samples.COLUMNS)
    columns = [table.column(name).to_pylist() for name in samples.COLUMNS]
    counts, picked = samples.pick(zip(*columns, strict=True))
    if row["private"]:
        picked = samples.unnamed(picked)
    return Rows(
        row["weights"],
        row["method"],
        (row["dataset"], row["split"], row["shift"], row["severity"]),
        records.path,
        row["shards"],
        nets.classes_of(paths[Ref("weights", row["weights"])]),
        counts,
        picked,
    )


def _drawn(paths: Mapping[Ref, Path], rows: list[Rows]) -> dict[At, dict[str, str]]:
    """Draw the chosen samples, each folder of shards read once."""
    keys: dict[str, set[str]] = {}
    for name, key in samples.wanted(rows):
        if name:
            keys.setdefault(name, set()).add(key)
    return {
        (name, sample.key): samples.drawn(sample)
        for name, own in keys.items()
        for sample in shards.read(paths[Ref("shards", name)].parent, ("image", "text"), own)
    }


def page(artifact: Artifact, content: object) -> str:
    """Return the page's HTML; `content`: what its script reads, see `samples.content`."""
    script = Markup((_TEMPLATES / "samples/samples.js").read_text())
    template = html.environment(_TEMPLATES / "samples").get_template("index.html")
    return template.render(
        campaign=artifact.ref.parts[1],
        dataset=artifact.recipe["clean"],
        style=Markup((_TEMPLATES / "report/style.css").read_text()),
        script=script,
        policy=html.policy([script]),
        content=html.embedded(content),
    )
