"""Stage score, overlaps: the samples that two sets of a benchmark share, by key and by content.

ID and OOD sets must not share samples. Tested sets must not share samples with the sets on which options are searched
or methods adapt. Otherwise every detection metric is wrong. Content is the digest of the decoded image or text, which
also finds a copy under another name or label.
"""

import itertools
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from shiftbench.base import registry
from shiftbench.base.errors import DataError
from shiftbench.base.files import scratch
from shiftbench.data import codecs, formats, schema, shards
from shiftbench.provenance.recipe import Artifact, Run


def run(run: Run, artifact: Artifact) -> None:
    """Compare the sets of one benchmark."""
    folders = {ref.name: run.path(ref).parent for ref in artifact.inputs}
    table = compared([(role, name, folders[name]) for role, name in artifact.recipe["sets"]])
    output = run.path(artifact.ref)
    with scratch(output) as temporary:
        schema.write(table, temporary, artifact.fingerprint, formats.OVERLAPS)
        run.commit(artifact, {output.name: temporary})


def compared(sets: list[tuple[str, str, Path]]) -> pa.Table:
    """One row per pair of sets, of format OVERLAPS.

    Args:
        sets: role (`id`, `val_ood`, `support`, or a group of OOD sets), name and folder of shards.

    Raises:
        DataError: two sets that must be disjoint share a sample; the message names both and the first shared sample.
    """
    indices = [(role, name, _contents(folder)) for role, name, folder in sets]
    rows = []
    for first, second in itertools.combinations(indices, 2):
        row = _pair(first, second)
        if row["disjoint"] and (row["shared_keys"] or row["shared_contents"]):
            raise DataError(_message(first, second))
        rows.append(row)
    return schema.table(rows, formats.OVERLAPS)


def _contents(folder: Path) -> pa.Table:
    """Keys and content digests, without labels: a copy with another label is the same sample."""
    field = registry.find("tasks", shards.manifest(folder)["task"]).REQUIRED[0]
    pairs = [(sample.key, codecs.pixel_digest(sample.fields[field])) for sample in shards.read(folder, [field])]
    return pa.table(
        {"key": [key for key, _ in pairs], "content": [digest for _, digest in pairs]},
        schema=pa.schema([("key", pa.string()), ("content", pa.string())]),
    )


def _pair(one: tuple[str, str, pa.Table], two: tuple[str, str, pa.Table]) -> dict[str, Any]:
    (role_a, name_a, a), (role_b, name_b, b) = one, two
    return {
        "set_a": name_a,
        "set_b": name_b,
        "role_a": role_a,
        "role_b": role_b,
        "n_a": len(a),
        "n_b": len(b),
        "shared_keys": len(_shared(a, b, "key")),
        "shared_contents": len(_shared(a, b, "content")),
        "disjoint": _must_differ(role_a, role_b),
    }


def _must_differ(role_a: str, role_b: str) -> bool:
    """Whether two roles must not share samples; among ID splits, and among OOD sets, overlaps are only reported."""
    return role_a != role_b and not {"id", "val_ood", "support"}.isdisjoint((role_a, role_b))


def _shared(a: pa.Table, b: pa.Table, column: str) -> pa.Table:
    return b.filter(pc.is_in(b.column(column), value_set=a.column(column).combine_chunks()))


def _message(one: tuple[str, str, pa.Table], two: tuple[str, str, pa.Table]) -> str:
    (role_a, name_a, a), (role_b, name_b, b) = one, two
    for column, word in (("key", "key"), ("content", "content")):
        shared = _shared(a, b, column)
        if len(shared):
            key = shared.column("key")[0].as_py()
            duplicate = a.filter(pc.equal(a.column(column), shared.column(column)[0])).column("key")[0].as_py()
            copy = "" if key == duplicate else f" is sample {duplicate!r} of it and"
            return (
                f"{name_b} ({role_b}) and {name_a} ({role_a}) share {len(shared)} sample(s) by {word}: {key!r}{copy} "
                "is in both; such numbers would be worthless. Take the sample out of one set, or choose other sets"
            )
    raise AssertionError("nothing is shared")
