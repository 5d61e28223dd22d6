"""Stage report, before the page: completions behind a benchmark's numbers, chosen from records, with their prompts.

`results/samples/BENCHMARK.json` is what the page of completions shows, where records hold texts, no classes: what was
written to prompts, or queries and answers to claims about tables. Of what may not be passed on nothing but counts is
told. The same records and shards give the same bytes.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from shiftbench.base.files import scratch
from shiftbench.base.refs import Ref
from shiftbench.data import schema, shards
from shiftbench.provenance.recipe import Artifact, Run
from shiftbench.report import completions, queries
from shiftbench.report.completions import At, Rows

KINDS: dict[str, ModuleType] = {"completions": completions, "queries": queries}
"""Form of the page -> the module with its columns of records and its readers of rows and samples."""


def run(run: Run, artifact: Artifact) -> None:
    """Choose the completions of one benchmark."""
    paths = run.inputs(artifact)
    plain = {row["method"] for row in artifact.recipe["rows"]} == {"plain"}
    kind = KINDS[artifact.recipe["shows"]]
    rows = [
        _rows(paths, row, kind, _label(row, artifact.recipe["clean"], plain=plain)) for row in artifact.recipe["rows"]
    ]
    content = completions.content(rows, _prompts(paths, rows, kind))
    output = run.path(artifact.ref)
    with scratch(output) as temporary:
        temporary.write_text(json.dumps(content, separators=(",", ":"), allow_nan=False) + "\n")
        run.commit(artifact, {output.name: temporary})


def _label(row: Mapping[str, Any], dataset: str, *, plain: bool) -> str:
    """The name of a model with its method, as in the report."""
    name = str(row["model"]).removeprefix(f"{dataset}/")
    return name if plain else f"{name} + {row['method']}"


def _rows(paths: Mapping[Ref, Path], row: Mapping[str, Any], kind: ModuleType, who: str) -> Rows:
    records = Ref("records", row["records"])
    table = schema.read(paths[records], kind.COLUMNS)
    counts, chosen_rows = completions.pick(kind.of(record) for record in table.to_pylist())
    condition = (row["dataset"], row["split"], row["shift"], row["severity"])
    return Rows(who, condition, records.path, row["shards"], counts, {} if row["private"] else chosen_rows)


def _prompts(paths: Mapping[Ref, Path], rows: list[Rows], kind: ModuleType) -> dict[At, dict[str, Any]]:
    """The prompts of the chosen rows; each folder of shards is read once."""
    keys: dict[str, set[str]] = {}
    for name, key in completions.places(rows):
        if name:
            keys.setdefault(name, set()).add(key)
    return {
        (name, sample.key): kind.asked(sample)
        for name, keys_of_shards in keys.items()
        for sample in shards.read(paths[Ref("shards", name)].parent, kind.FIELDS, keys_of_shards)
    }
