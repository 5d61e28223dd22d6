"""Checkpoints contain tensors only, and belong to their receipt and their training data.

Pass rule: the file is safetensors. Anything else, for example a pickle, is not opened, since loading it could run code.
The metadata have the name and the fingerprint of the receipt, and the classes of the training shards in their order.
Every tensor is finite. Models that were trained here from different seeds have different tensors. The training log is a
readable table. Its last `val_accuracy` is within 5 points of that of the records of the validation split, if these are
kept and the trainer measures it by the model's own predictions. The checkpoint of a black box (`predictions`,
`callable`, ONNX) has the sha256 of the user's file. `digests` checks the digests of checkpoints and of pinned files.

Limits: `training` checks for a drawn model that training gives these tensors, level 4 for all models.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from shiftbench.audit.case import Case
from shiftbench.audit.evidence import checkpoint_files, shard_folders, training_logs
from shiftbench.audit.finding import Finding, Note, some
from shiftbench.base.errors import DataError
from shiftbench.base.refs import Ref
from shiftbench.data import training_log
from shiftbench.provenance.recipe import Artifact

NUMBER, LEVEL = "A16", 1


def check(case: Case) -> Iterator[Finding | Note]:
    """Open each file as tensors."""
    files = tensors = unmatched = 0
    contents: dict[str, tuple[Ref, Artifact]] = {}
    for ref, artifact, receipt in case.outputs("checkpoints"):
        files += 1
        file = case.root / ref.path
        try:
            checkpoint_files.header(file)
            stated = checkpoint_files.metadata(file)
            yield from _metadata(case, ref, receipt, stated)
            classes = _classes(case, ref, artifact)
            unmatched += classes is None
            yield from _classes_agree(case, ref, stated, classes)
            broken, count = _infinite_tensor(file)
            tensors += count
            yield from _copied(case, ref, artifact, contents)
        except (DataError, SafetensorError) as error:
            yield case.failed(ref, f"it is not opened: {error}")
            continue
        if broken:
            yield case.failed(ref, f"tensor {broken} is not finite")
        yield from _log(case, ref, artifact)
    without = f"; for {unmatched}, no training shards with their classes are here" if unmatched else ""
    yield Note(f"{files} checkpoints with {tensors} tensors{without}")


def _copied(case: Case, ref: Ref, artifact: Artifact, contents: dict[str, tuple[Ref, Artifact]]) -> Iterator[Finding]:
    """Yield a finding if a model has the tensors of one that was trained from another seed."""
    if not any(need.kind == "shards" for need in artifact.inputs):
        return  # it was not trained here
    first, other = contents.setdefault(checkpoint_files.content(case.root / ref.path), (ref, artifact))
    if artifact.recipe.get("seed") != other.recipe.get("seed"):
        why = f"its tensors are those of {first.name}, which has another seed: one is a copy; train both again"
        details = {"expected": "other tensors", "found": "equal tensors"}
        yield case.failed(ref, why, **details)


def _metadata(case: Case, ref: Ref, receipt: dict[str, Any], stated: dict[str, str]) -> Iterator[Finding]:
    for name, expected in (("name", ref.name), ("fingerprint", receipt["fingerprint"])):
        why = f"this is another checkpoint: its {name} is not that of the receipt; pull or train it again"
        yield from case.expect(ref, why, expected, stated.get(name))


def _classes(case: Case, ref: Ref, artifact: Artifact) -> list[str] | None:
    """Classes of the shards that a model was trained on; None if these are not here."""
    for need in artifact.inputs:
        if need.kind == "shards" and need.parts[0] == ref.parts[0] and need in case.complete:
            manifest = shard_folders.manifest(case, need)
            return list(manifest["classes"]) if manifest else None
    return None


def _classes_agree(case: Case, ref: Ref, stated: dict[str, str], classes: list[str] | None) -> Iterator[Finding]:
    try:
        classes_here = json.loads(stated["classes"])
    except (KeyError, ValueError):
        why = "the checkpoint does not state its classes; train it again"
        yield case.failed(ref, why, found=str(stated.get("classes")))
        return
    if classes is not None and classes_here != classes:
        why = "the checkpoint's classes differ from those of its training data, or in their order; train it again"
        yield case.failed(ref, why, expected=some(classes, 12), found=some(classes_here, 12))


def _infinite_tensor(file: Path) -> tuple[str | None, int]:
    """Name of the first tensor that is not finite, and how many there are."""
    with safe_open(file, framework="np") as opened:
        opened.keys()  # the library looks whether offsets and shapes agree
    tensors = list(checkpoint_files.finite(file))
    return next((name for name, whole in tensors if not whole), None), len(tensors)


def _log(case: Case, ref: Ref, artifact: Artifact) -> Iterator[Finding]:
    file = training_log.log_path(case.root / ref.path)
    log = training_logs.read(file)
    place = f"{ref.path}.log.parquet"
    if isinstance(log, str):
        yield case.failed(ref, log, file=place)
        return
    last, known = training_logs.last_accuracy(log), training_logs.recorded_accuracy(case, ref, artifact)
    if last is not None and known is not None and abs(last - known[0]) > training_logs.POINTS:
        why = "the last accuracy in the log of the training is not that of the records of the validation split"
        yield case.failed(ref, why, file=place, expected=f"{known[0]:.4f}", found=f"{last:.4f}")
