"""Stage report, samples: the samples behind a benchmark's numbers, for their page.

`results/samples/BENCHMARK.json` has the content of the page of samples. This job reads records and shards, so that the
page can be made again in a checkout without shards. Samples that may not be redistributed are neither shown nor named.
The same records and shards give the same bytes.
"""

import json
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any

from shiftbench.base.files import scratch
from shiftbench.base.refs import Ref
from shiftbench.base.refs import shards as shards_of
from shiftbench.data import schema, shards
from shiftbench.evaluation import nets
from shiftbench.provenance.recipe import Artifact, Run
from shiftbench.report import samples
from shiftbench.report.samples import At, Rows


def run(run: Run, artifact: Artifact) -> None:
    """Choose and encode the samples of one benchmark."""
    paths = run.inputs(artifact)
    stored = {row["shards"] for row in artifact.recipe["rows"]}
    rows = [_rows(paths, row, stored) for row in artifact.recipe["rows"]]
    dataset = artifact.recipe["clean"]
    methods = {row.method for row in rows}
    labels = {
        (row.model, row.method): row.model.removeprefix(f"{dataset}/")
        + (f" + {row.method}" if methods != {"plain"} else "")
        for row in rows
    }
    content = samples.content(rows, _encoded_samples(paths, rows), labels)
    output = run.path(artifact.ref)
    with scratch(output) as temporary:
        temporary.write_text(json.dumps(content, separators=(",", ":"), allow_nan=False) + "\n")
        run.commit(artifact, {output.name: temporary})


def _rows(paths: Mapping[Ref, Path], row: Mapping[str, Any], stored: Container[str | None]) -> Rows:
    records = Ref("records", row["records"])
    table = schema.read(paths[records], samples.COLUMNS)
    columns = [table.column(name).to_pylist() for name in samples.COLUMNS]
    counts, chosen_rows = samples.pick(zip(*columns, strict=True))
    if row["private"]:
        chosen_rows = samples.unnamed(chosen_rows)
    clean = shards_of(row["dataset"], row["split"]).name
    return Rows(
        row["model"],
        row["method"],
        (row["dataset"], row["split"], row["shift"], row["severity"]),
        records.path,
        row["shards"],
        nets.classes_of(paths[Ref("checkpoints", row["model"])]),
        counts,
        chosen_rows,
        clean if row["shards"] not in (None, clean) and clean in stored else None,
    )


def _encoded_samples(paths: Mapping[Ref, Path], rows: list[Rows]) -> dict[At, dict[str, str]]:
    """The chosen samples as the page shows them; each folder of shards is read once."""
    keys: dict[str, set[str]] = {}
    for name, key in samples.places(rows):
        if name:
            keys.setdefault(name, set()).add(key)
    return {
        (name, sample.key): samples.drawn(sample)
        for name, keys_of_shards in keys.items()
        for sample in shards.read(paths[Ref("shards", name)].parent, ("image", "text"), keys_of_shards)
    }
