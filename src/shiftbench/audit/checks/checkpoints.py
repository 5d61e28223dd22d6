"""Weights are tensors and nothing else, and are those that their receipt and their training data name.

Pass rule: the file is safetensors (anything else, a pickle for example, is not opened, since loading it could run
code); its metadata hold the name and the fingerprint of the receipt, and the classes of the shards that were learnt
from, in their order; every tensor is finite; nets that were trained here from different seeds have different tensors;
the log beside it is a readable table, whose last `val_accuracy` is that of the records of the validation split, where
these are kept, within 5 points (not of trainers that measure it by something else than the net's own predictions).
Its digest is checked by `digests`. Weights of black boxes (`predictions`, `callable`, ONNX) hold the sha256 of the
user's file, which `digests` checks as a pinned file. Limits: that training gives these tensors is asked by `training`
of a drawn net, at level 4 of all.
"""

import ast
import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
from safetensors import SafetensorError, safe_open

from shiftbench.audit.case import Case
from shiftbench.audit.evidence import shard_folders, table_files, weight_files
from shiftbench.audit.finding import Finding, Note, some
from shiftbench.base import registry
from shiftbench.base.errors import DataError
from shiftbench.base.refs import Ref
from shiftbench.data import training_log
from shiftbench.provenance.recipe import Artifact

NUMBER, LEVEL = "A16", 1
_LOGGED, _POINTS = "val_accuracy", 0.05


def check(case: Case) -> Iterator[Finding | Note]:
    """Open each file as tensors."""
    files = tensors = unmatched = 0
    contents: dict[str, tuple[Ref, Artifact]] = {}
    for ref, artifact, receipt in case.of("checkpoints"):
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
            yield from _copied(case, ref, artifact, contents)
        except (DataError, SafetensorError) as error:
            yield case.failed(ref, f"it is not opened: {error}")
            continue
        if broken:
            yield case.failed(ref, f"tensor {broken} is not finite")
        yield from _log(case, ref, artifact)
    without = f"; of {unmatched} no shards with their classes are here or were learnt from" if unmatched else ""
    yield Note(f"{files} weight files with {tensors} tensors{without}")


def _copied(case: Case, ref: Ref, artifact: Artifact, contents: dict[str, tuple[Ref, Artifact]]) -> Iterator[Finding]:
    """Yield that a net has the tensors of one that was trained from another seed."""
    if not any(need.kind == "shards" for need in artifact.inputs):
        return  # it was not trained here
    first, other = contents.setdefault(weight_files.content(case.root / ref.path), (ref, artifact))
    if artifact.recipe.get("seed") != other.recipe.get("seed"):
        why = f"its tensors are those of {first.name}, which was trained from another seed: one is a copy of the other"
        told = {"expected": "other tensors", "found": "equal tensors"}
        yield case.failed(ref, why, **told)


def _stated(case: Case, ref: Ref, receipt: dict[str, Any], stated: dict[str, str]) -> Iterator[Finding]:
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


def _learnt(case: Case, ref: Ref, stated: dict[str, str], classes: list[str] | None) -> Iterator[Finding]:
    try:
        found = json.loads(stated["classes"])
    except (KeyError, ValueError):
        yield case.failed(ref, "the weights do not state their classes", found=str(stated.get("classes")))
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


def _log(case: Case, ref: Ref, artifact: Artifact) -> Iterator[Finding]:
    file = training_log.log_path(case.root / ref.path)
    found = _read(file)
    place = f"{ref.path}.log.parquet"
    if isinstance(found, str):
        yield case.failed(ref, found, file=place)
        return
    last, known = _last(found[0]), seen(case, ref, artifact)
    if last is not None and known is not None and abs(last - known[0]) > _POINTS:
        why = "the last accuracy in the log of the training is not that of the records of the validation split"
        yield case.failed(ref, why, file=place, expected=f"{known[0]:.4f}", found=f"{last:.4f}")


def _read(file: Path) -> Any:
    if not file.is_file():
        return "the log of the training is not here"
    return table_files.safe_read(file, "checkpoints")


def logged(file: Path) -> float | None:
    """Return the last `val_accuracy` of a log; None: the log cannot be read, or has none or several."""
    found = _read(file)
    return None if isinstance(found, str) else _last(found[0])


def _last(log: pa.Table) -> float | None:
    """Return the last `val_accuracy` of a log; None: it has none, or one for each of several tasks."""
    rows = [row for row in log.to_pylist() if str(row["name"]).startswith(_LOGGED)]
    if not rows or any(row["name"] != _LOGGED for row in rows):
        return None
    return float(max(rows, key=lambda row: row["step"])["value"])


def seen(case: Case, ref: Ref, artifact: Artifact) -> tuple[float, int] | None:
    """Return the accuracy of the records that the trainer validates on, and how many they are; None: there are none."""
    trainer = registry.file("trainers", artifact.recipe["trainer"]["use"])
    if any(isinstance(n, ast.keyword) and n.arg == "validate" for n in ast.walk(_parsed(trainer))):
        return None
    shift = artifact.recipe.get("train_on", "identity/0")
    dataset = ref.parts[0]
    records = Ref("records", f"{ref.name}/plain/{dataset}/val/{shift}")
    if records not in case.complete:
        return None
    found = table_files.safe_read(case.root / records.path, "records")
    if isinstance(found, str) or "correct" not in found[0].column_names:
        return None
    right = found[0].column("correct").drop_null().to_numpy(zero_copy_only=False)
    return (float(right.mean()), len(right)) if len(right) else None


@functools.cache
def _parsed(file: Path) -> ast.AST:
    return ast.parse(file.read_text(encoding="utf-8"))
