"""Stage report, before the page: completions behind a campaign's numbers, chosen from records, with their prompts.

`results/samples/CAMPAIGN.json` is what the page of completions shows, where records hold texts and no classes. Of what
may not be passed on nothing but counts is told. The same records and shards give the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shiftbench.data import schema, shards
from shiftbench.files import scratch
from shiftbench.page import completions
from shiftbench.page.completions import At, Rows, Written
from shiftbench.provenance.recipe import Artifact, Run
from shiftbench.refs import Ref


def run(run: Run, artifact: Artifact) -> None:
    """Choose the completions of one campaign."""
    paths = run.inputs(artifact)
    plain = {row["method"] for row in artifact.recipe["rows"]} == {"plain"}
    rows = [
        _rows(paths, row, _who(row, artifact.recipe["clean"], plain=plain))
        for row in artifact.recipe["rows"]
    ]
    content = completions.content(rows, _asked(paths, rows))
    output = run.path(artifact.ref)
    with scratch(output) as temporary:
        temporary.write_text(json.dumps(content, separators=(",", ":"), allow_nan=False) + "\n")
        run.commit(artifact, {output.name: temporary})


def _who(row: Mapping[str, Any], dataset: str, *, plain: bool) -> str:
    """Return how weights with their method are called, as in the report."""
    name = str(row["weights"]).removeprefix(f"{dataset}/")
    return name if plain else f"{name} + {row['method']}"


def _rows(paths: Mapping[Ref, Path], row: Mapping[str, Any], who: str) -> Rows:
    records = Ref("records", row["records"])
    table = schema.read(paths[records], completions.COLUMNS)
    counts, picked = completions.pick(Written.of(one) for one in table.to_pylist())
    cell = (row["dataset"], row["split"], row["shift"], row["severity"])
    return Rows(who, cell, records.path, row["shards"], counts, {} if row["private"] else picked)


def _asked(paths: Mapping[Ref, Path], rows: list[Rows]) -> dict[At, dict[str, str]]:
    """Read the chosen prompts, each folder of shards once."""
    keys: dict[str, set[str]] = {}
    for name, key in completions.wanted(rows):
        if name:
            keys.setdefault(name, set()).add(key)
    return {
        (name, sample.key): completions.asked(sample)
        for name, own in keys.items()
        for sample in shards.read(paths[Ref("shards", name)].parent, ("text", "meta"), own)
    }
