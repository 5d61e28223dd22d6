"""Weights are tensors and nothing else, and are those that their receipt and their training data name.

Pass rule: the file is safetensors (anything else, a pickle for example, is not opened, since loading it could run
code); its metadata hold the name and the fingerprint of the receipt, and the classes of the shards that were learnt
from, in their order; every tensor is finite; the log beside it is a readable table. Its digest is checked by
`digests`. Weights of black boxes (`predictions`, `callable`, ONNX) hold the sha256 of the user's file, which
`digests` checks as a pinned file. Limits: that training gives these tensors is asked at level 4.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from shiftbench.audit.case import Case
from shiftbench.audit.evidence import shard_folders, table_files, weight_files
from shiftbench.audit.finding import Finding, Note, some
from shiftbench.errors import DataError
from shiftbench.provenance.recipe import Artifact
from shiftbench.refs import Ref

NUMBER, LEVEL = "A16", 1


def check(case: Case) -> Iterator[Finding | Note]:
    """Open each file as tensors."""
    files = tensors = unmatched = 0
    for ref, artifact, receipt in case.of("weights"):
        files += 1
        file = case.root / ref.path
        try:
            weight_files.header(file)
            stated = weight_files.metadata(file)
            yield from _stated(case, ref, receipt, stated)
            classes = _classes(case, ref, artifact)
            unmatched += classes is None
            yield from _learnt(case, ref, stated, classes)
            broken, count = _broken(file)
            tensors += count
        except (DataError, SafetensorError) as error:
            yield case.failed(ref, f"it is not opened: {error}")
            continue
        if broken:
            yield case.failed(ref, f"tensor {broken} is not finite")
        yield from _log(case, ref)
    without = (
        f"; of {unmatched} no shards with their classes are here or were learnt from"
        if unmatched
        else ""
    )
    yield Note(f"{files} weight files with {tensors} tensors{without}")


def _stated(
    case: Case, ref: Ref, receipt: dict[str, Any], stated: dict[str, str]
) -> Iterator[Finding]:
    for name, expected in (("name", ref.name), ("fingerprint", receipt["fingerprint"])):
        why = f"the weights are others': their {name} is not that of the receipt"
        yield from case.expect(ref, why, expected, stated.get(name))


def _classes(case: Case, ref: Ref, artifact: Artifact) -> list[str] | None:
    """Return the classes of the shards that the weights learnt from; None where there are none here."""
    for need in artifact.inputs:
        if need.kind == "shards" and need.parts[0] == ref.parts[0] and need in case.complete:
            manifest = shard_folders.manifest(case, need)
            return list(manifest["classes"]) if manifest else None
    return None


def _learnt(
    case: Case, ref: Ref, stated: dict[str, str], classes: list[str] | None
) -> Iterator[Finding]:
    try:
        found = json.loads(stated["classes"])
    except (KeyError, ValueError):
        yield case.failed(
            ref, "the weights do not state their classes", found=str(stated.get("classes"))
        )
        return
    if classes is not None and found != classes:
        why = "the weights' classes are not those of their training data, or in another order"
        yield case.failed(ref, why, expected=some(classes, 12), found=some(found, 12))


def _broken(file: Path) -> tuple[str | None, int]:
    """Return the name of the first tensor that is not finite, and how many there are."""
    with safe_open(file, framework="np") as opened:
        opened.keys()  # the library looks whether offsets and shapes agree
    tensors = list(weight_files.finite(file))
    return next((name for name, whole in tensors if not whole), None), len(tensors)


def _log(case: Case, ref: Ref) -> Iterator[Finding]:
    file = case.root / f"{ref.path}.log.parquet"
    found = (
        table_files.safe_read(file, "weights")
        if file.is_file()
        else "the log of the training is not here"
    )
    if isinstance(found, str):
        yield case.failed(ref, found, file=f"{ref.path}.log.parquet")
