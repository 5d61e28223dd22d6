"""Check of coverage: each output has exactly the planned samples, classes and rows."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from shiftbench.audit.case import Case
from shiftbench.audit.check import check
from shiftbench.audit.evidence import checkpoint_files, planned_rows, shard_folders
from shiftbench.audit.finding import Finding, Note, some
from shiftbench.base import refs, registry
from shiftbench.base.errors import DataError, ParamsError
from shiftbench.base.refs import Ref, ShardsName

_CURE = "make it again, or pull it"


@check("A9", level=0)
def coverage(case: Case) -> Iterator[Finding | Note]:
    """Each output has exactly the planned samples, classes and rows.

    Pass rule: the manifest of shards has the dataset, split, shift and severity of its path. Its classes are those of
    the dataset, in their order. Its count is that of the index, and with the skipped samples at most the subset of
    params. Keys are unique. Shifted shards have the keys of their clean partner. Records, features and scores have the
    keys of their shards. Checkpoints name the classes of their training data. Each table has a row for every planned
    model, method, condition and sample or detection metric, and no other row.

    Limits: indexes and key columns are read, no samples; deeper levels check these. Only `rebuild` can tell whether a
    dataset that is smaller than the subset lost a sample.
    """
    seen = dict.fromkeys(("shards", "records", "features", "scores", "checkpoints", "tables"), 0)
    of = {"shards": _shards, "checkpoints": _checkpoint, "tables": _table}
    for ref, _, receipt in case.outputs(*seen):
        seen[ref.kind] += 1
        try:
            yield from of.get(ref.kind, _samples)(case, ref, receipt["recipe"])
        except (OSError, ValueError, KeyError, TypeError, pa.ArrowException, DataError) as error:
            why = f"its keys or facts cannot be read ({type(error).__name__}: {error}); {_CURE}"
            yield case.failed(ref, why)
    yield Note(", ".join(f"{number} {kind}" for kind, number in seen.items()) + " were checked")
    yield from _fewer(case)


# ------------------------------------------------------------------------------------- shards


def _shards(case: Case, ref: Ref, content: dict[str, Any]) -> Iterator[Finding]:
    about = shard_folders.raw_manifest(case, ref)
    dataset, split, shift, _ = planned = ShardsName.of(ref)
    for name, value in planned._asdict().items():
        yield from case.expect(ref, f"the manifest is of another {name}", value, about.get(name))
    yield from _classes(case, ref, about)
    clean = refs.shards(dataset, split)
    if shift == "identity":
        own = shard_folders.keys(case, ref)
        limit, kept = content.get("subset"), about.get("samples", 0) + len(about.get("skipped", ()))
        if isinstance(limit, int) and kept > limit:
            why = "there are more samples than params allow; make it again"
            yield case.failed(ref, why, expected=str(limit), found=str(kept))
    else:
        own, partner = shard_folders.keys_of(case.folder(ref) / "index.parquet"), case.plan.add(clean)
        if partner in case.complete:
            keys = shard_folders.keys(case, partner)
            yield from _same_keys(case, ref, own, keys, f"its clean partner {partner.name}")
    yield from _count(case, ref, about, own)


def _classes(case: Case, ref: Ref, about: dict[str, Any]) -> Iterator[Finding]:
    """Compare classes with those that the dataset's file declares, else with those of its clean shards."""
    declared = _declared_classes(case, ref.parts[0])
    clean = case.plan.add(refs.shards(ref.parts[0], ref.parts[1]))
    if declared is None and clean in case.complete:
        declared = shard_folders.raw_manifest(case, clean).get("classes")
    yield from _same_classes(case, ref, about.get("classes"), declared, "the dataset's")


def _declared_classes(case: Case, dataset: str) -> list[str] | None:
    """Classes that a dataset's file declares; None: it is no dataset, or its data give the classes (`classes`)."""
    try:
        module = registry.find("datasets", case.plan.params.use("datasets", dataset))
    except ParamsError:
        return None
    names = None if hasattr(module, "classes") else getattr(module, "CLASSES", None)
    return None if names is None else list(names)


def _same_classes(case: Case, ref: Ref, stated: object, expected: list[str] | None, owner: str) -> Iterator[Finding]:
    if expected is not None and stated != expected:
        why = f"the classes, or their order, are not {owner}"
        yield case.failed(ref, why, expected=_short(expected), found=_short(stated))


def _count(case: Case, ref: Ref, about: dict[str, Any], own: pa.Array) -> Iterator[Finding]:
    again = shard_folders.repeated_value(own)
    if again is not None:
        yield case.failed(
            ref, "two samples have one key", sample=again, file=Path(ref.path).with_name("index.parquet").as_posix()
        )
    in_tars = sum(tar["samples"] for tar in about["tars"].values())
    if {about["samples"], in_tars} != {len(own)}:
        why = "manifest, tars and index do not count the same samples"
        actual = f"{about['samples']} in the manifest, {in_tars} in tars"
        yield case.failed(ref, why, expected=f"{len(own)} in the index", found=actual)


def _fewer(case: Case) -> Iterator[Note]:
    """Note the datasets with fewer samples than the subset; only a rebuild can tell whether they are complete."""
    for ref, _, receipt in case.outputs("shards"):
        limit, about = receipt["recipe"].get("subset"), shard_folders.raw_manifest(case, ref)
        skipped = len(about.get("skipped", ()))
        kept = about.get("samples", 0) + skipped
        if isinstance(limit, int) and kept < limit:
            yield Note(f"{ref.name} has {kept} samples, and params allow up to {limit}")
        if skipped:
            yield Note(f"{ref.name}: {skipped} samples could not be read and were skipped, as params allow")


# -------------------------------------------------------------------- records, features, scores


def _samples(case: Case, ref: Ref, content: dict[str, Any]) -> Iterator[Finding]:
    """Compare the rows of an output with the samples that it is about."""
    name, expected = _expected_keys(case, ref, content)
    if expected is None:
        return  # `chain` tells what is not here
    file = case.root / ref.path
    if ref.kind == "features":
        rows = int(np.load(file, mmap_mode="r").shape[0])
        why = f"it has other samples than {name}"
        yield from case.expect(ref, why, f"{len(expected)} rows", f"{rows} rows")
        return
    yield from _same_keys(case, ref, shard_folders.keys_of(file), expected, name)


def _expected_keys(case: Case, ref: Ref, content: dict[str, Any]) -> tuple[str, pa.Array | None]:
    """Name of the samples that an output is about, and their keys; None if these are not here."""
    if ref.kind == "scores":
        of = refs.records_of(ref)
        return f"the records {of.name}", shard_folders.keys_of(case.root / of.path) if of in case.complete else None
    dataset, split, *_ = content["data"].split("/")
    data = next(
        need for need in case.plan.artifacts[ref].inputs if need.kind == "shards" and need.name == content["data"]
    )
    # Shifted shards have the keys of clean ones, which are compared above and read once.
    clean = case.plan.add(refs.shards(dataset, split))
    place = clean if clean in case.complete else data
    keys = shard_folders.keys(case, place) if place in case.complete else None
    return f"the shards {data.name}", keys


def _same_keys(case: Case, ref: Ref, keys: pa.Array, expected: pa.Array, name: str) -> Iterator[Finding]:
    """Compare keys, first in order, which is quick, then as sets."""
    if keys.equals(expected):
        return
    again = shard_folders.repeated_value(keys)
    if again is not None:
        yield case.failed(ref, "two rows have one key", sample=again)
    missing, extra = shard_folders.difference(expected, keys), shard_folders.difference(keys, expected)
    for differing, what in ((missing, "lacks samples of"), (extra, "has samples that are not in")):
        if len(differing):
            why = f"it {what} {name}; {_CURE}"
            sides = {"expected": f"{len(expected)} samples", "found": f"{len(keys)}; {len(differing)} differ"}
            yield case.failed(ref, why, sample=differing[0].as_py(), **sides)


# ------------------------------------------------------------------------------ checkpoints, tables


def _checkpoint(case: Case, ref: Ref, _: dict[str, Any]) -> Iterator[Finding]:
    """Compare the classes in a checkpoint with those of its training data, including their order."""
    stated = checkpoint_files.metadata(case.root / ref.path).get("classes")
    if stated is None:
        yield case.failed(ref, "the checkpoint does not state its classes; train it again")
        return
    dataset = ref.parts[0]
    inputs = case.plan.artifacts[ref].inputs
    training_sets = (need for need in inputs if need.kind == "shards" and need.parts[0] == dataset)
    here = next((need for need in training_sets if need in case.complete), None)
    expected = _declared_classes(case, dataset)
    if here is not None:
        expected = shard_folders.raw_manifest(case, here).get("classes")
    yield from _same_classes(case, ref, json.loads(stated), expected, f"those of {dataset}")


def _table(case: Case, ref: Ref, _: dict[str, Any]) -> Iterator[Finding]:
    columns = pq.read_table(case.root / ref.path, columns=[*planned_rows.COLUMNS, "group"], use_threads=False)
    lists = columns.to_pydict()
    rows = list(zip(*(lists[name] for name in planned_rows.COLUMNS), strict=True))
    whole = {row for row, group in zip(rows, lists["group"], strict=True) if group is None}
    missing = planned_rows.required(case.plan, ref.name) - whole
    extra = set(planned_rows.foreign(case.plan, ref.name, set(rows), case.observed(ref.name, "metric")))
    for places, why in (
        (missing, "the table lacks planned rows"),
        (extra, "the table has rows that nothing planned gives"),
    ):
        if places:
            first = some(sorted(map(planned_rows.spell, places)), separator="; ")
            yield case.failed(ref, f"{why}: {first}", found=f"{len(rows)} rows")


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else text[:77] + "..."
