"""Each set has exactly the samples, classes and cells that are planned: none twice, none missing, none besides.

Pass rule: the manifest of shards is of the dataset, split, shift and severity of its path, its classes are the
dataset's in their order, and its count is that of the index and at most the subset that params ask for, with those
that were skipped; keys are unique; shifted shards have the keys of their clean partner; records, features and scores
have the keys of the shards that they are about; weights name the classes of what they learnt from. Each table has a
row for every planned weights, method, position and sample or detection metric, and no row of anything else. Indexes
and key columns are read, no sample: whether a picture is the right one is asked at deeper levels, and whether a
dataset that is smaller than the subset lost a sample, by `rebuild`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from shiftbench import plugins, refs
from shiftbench.audit import _indexes, _rows
from shiftbench.audit._case import Case
from shiftbench.audit._finding import Finding, Note
from shiftbench.errors import ParamsError
from shiftbench.refs import Ref, ShardsName

NUMBER, LEVEL = "A9", 0
_CURE = "make it again, or pull it"


def check(case: Case) -> Iterator[Finding | Note]:
    """Compare what is there with what is planned."""
    seen = dict.fromkeys(("shards", "records", "features", "scores", "weights", "tables"), 0)
    of = {"shards": _shards, "weights": _weights, "tables": _table}
    for ref, _, receipt in case.of(*seen):
        seen[ref.kind] += 1
        try:
            yield from of.get(ref.kind, _samples)(case, ref, receipt["recipe"])
        except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
            why = f"its keys or facts cannot be read ({type(error).__name__}: {error}); {_CURE}"
            yield case.failed(ref, why)
    yield Note(", ".join(f"{number} {kind}" for kind, number in seen.items()) + " were looked at")
    yield from _fewer(case)


# ------------------------------------------------------------------------------------- shards


def _shards(case: Case, ref: Ref, content: dict[str, Any]) -> Iterator[Finding]:
    about = _indexes.manifest(case, ref)
    dataset, split, shift, _ = planned = ShardsName.of(ref)
    for name, value in planned._asdict().items():
        if about.get(name) != value:
            why = f"the manifest is of another {name}"
            yield case.failed(ref, why, expected=str(value), found=str(about.get(name)))
    yield from _classes(case, ref, about)
    clean = refs.shards(dataset, split)
    if shift == "identity":
        own = _indexes.index(case, ref).column("key").combine_chunks()
        yield from _subset(case, ref, about, content.get("subset"))
    else:
        own = _indexes.keys(case.folder(ref) / "index.parquet")
        yield from _partner(case, ref, own, case.plan.want(clean))
    yield from _count(case, ref, about, own)


def _classes(case: Case, ref: Ref, about: dict[str, Any]) -> Iterator[Finding]:
    """Compare classes with the dataset's, where its file or its options alone name them."""
    dataset = ref.parts[0]
    module = plugins.find("datasets", case.plan.params.use("datasets", dataset))
    known = None if hasattr(module, "classes") else getattr(module, "CLASSES", None)
    if known is None:
        clean = case.plan.want(refs.shards(dataset, ref.parts[1]))
        known = _indexes.manifest(case, clean).get("classes") if clean in case.whole else None
    if known is not None and about.get("classes") != list(known):
        why = "the classes, or their order, are not the dataset's"
        yield case.failed(ref, why, expected=_short(known), found=_short(about.get("classes")))


def _subset(case: Case, ref: Ref, about: dict[str, Any], asked: object) -> Iterator[Finding]:
    kept = about.get("samples", 0) + len(about.get("skipped", ()))
    if isinstance(asked, int) and kept > asked:
        yield case.failed(
            ref, "more samples than params ask for", expected=str(asked), found=str(kept)
        )


def _partner(case: Case, ref: Ref, own: pa.Array, clean: Ref) -> Iterator[Finding]:
    if clean in case.whole:
        theirs = _indexes.index(case, clean).column("key").combine_chunks()
        yield from _same(case, ref, own, theirs, f"its clean partner {clean.name}")


def _count(case: Case, ref: Ref, about: dict[str, Any], own: pa.Array) -> Iterator[Finding]:
    again = _indexes.twice(own)
    if again is not None:
        yield case.failed(ref, "two samples have one key", sample=again, file=_index_of(ref))
    in_tars = sum(tar["samples"] for tar in about["tars"].values())
    if {about["samples"], in_tars} != {len(own)}:
        why = "manifest, tars and index do not count the same samples"
        found = f"{about['samples']} in the manifest, {in_tars} in tars"
        yield case.failed(ref, why, expected=f"{len(own)} in the index", found=found)


def _index_of(ref: Ref) -> str:
    return Path(ref.path).with_name("index.parquet").as_posix()


def _fewer(case: Case) -> Iterator[Note]:
    """Note the datasets that have fewer samples than the subset: whether all of them, only a rebuild can tell."""
    for ref, _, receipt in case.of("shards"):
        asked, about = receipt["recipe"].get("subset"), _indexes.manifest(case, ref)
        skipped = len(about.get("skipped", ()))
        kept = about.get("samples", 0) + skipped
        if isinstance(asked, int) and kept < asked:
            yield Note(f"{ref.name} has {kept} samples where params ask for up to {asked}")
        if skipped:
            yield Note(
                f"{ref.name}: {skipped} samples could not be read and were skipped, as params allow"
            )


# -------------------------------------------------------------------- records, features, scores


def _samples(case: Case, ref: Ref, content: dict[str, Any]) -> Iterator[Finding]:
    """Compare the rows of an output with the samples that it is about."""
    name, wanted = _wanted(case, ref, content)
    if wanted is None:
        return  # `chain` tells what is not here
    file = case.root / ref.path
    if ref.kind == "features":
        rows = int(np.load(file, mmap_mode="r").shape[0])
        if rows != len(wanted):
            why = f"it has other samples than {name}"
            yield case.failed(ref, why, expected=f"{len(wanted)} rows", found=str(rows))
        return
    yield from _same(case, ref, _indexes.keys(file), wanted, name)


def _wanted(case: Case, ref: Ref, content: dict[str, Any]) -> tuple[str, pa.Array | None]:
    """Return what an output is about, and the keys there; None where that is not here."""
    if ref.kind == "scores":
        of = refs.records_of(ref)
        return f"the records {of.name}", _indexes.keys(
            case.root / of.path
        ) if of in case.whole else None
    dataset, split, *_ = content["data"].split("/")
    data = next(
        need
        for need in case.plan.cells[ref].inputs
        if need.kind == "shards" and need.name == content["data"]
    )
    # Shifted shards have the keys of clean ones, which are compared above and read once.
    clean = case.plan.want(refs.shards(dataset, split))
    place = clean if clean in case.whole else data
    found = _indexes.index(case, place) if place in case.whole else None
    return f"the shards {data.name}", None if found is None else found.column(
        "key"
    ).combine_chunks()


def _same(case: Case, ref: Ref, own: pa.Array, wanted: pa.Array, name: str) -> Iterator[Finding]:
    """Compare keys, first in order, which is quick, then as sets."""
    if own.equals(wanted):
        return
    again = _indexes.twice(own)
    if again is not None:
        yield case.failed(ref, "two rows have one key", sample=again)
    missing, extra = _indexes.lacking(wanted, own), _indexes.lacking(own, wanted)
    for keys, what in ((missing, "lacks samples of"), (extra, "has samples that are not in")):
        if len(keys):
            why = f"it {what} {name}; {_CURE}"
            expected, found = f"{len(wanted)} samples", f"{len(own)}; {len(keys)} differ"
            yield case.failed(ref, why, sample=keys[0].as_py(), expected=expected, found=found)


# ------------------------------------------------------------------------------ weights, tables


def _weights(case: Case, ref: Ref, _: dict[str, Any]) -> Iterator[Finding]:
    """Compare the classes that weights name with those of what they learnt from, order included."""
    with (case.root / ref.path).open("rb") as stream:
        header = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
    found = json.loads(header["__metadata__"]["classes"])
    dataset = ref.parts[0]
    learnt = [
        need
        for need in case.plan.cells[ref].inputs
        if need.kind == "shards" and need.parts[0] == dataset
    ]
    here = next((need for need in learnt if need in case.whole), None)
    if here is not None:
        known = _indexes.manifest(case, here).get("classes")
    else:
        try:
            module = plugins.find("datasets", case.plan.params.use("datasets", dataset))
        except ParamsError:
            return
        known = None if hasattr(module, "classes") else list(module.CLASSES)
    if known is not None and found != known:
        why = f"its classes, or their order, are not those of {dataset}"
        yield case.failed(ref, why, expected=_short(known), found=_short(found))


def _table(case: Case, ref: Ref, _: dict[str, Any]) -> Iterator[Finding]:
    columns = pq.read_table(
        case.root / ref.path, columns=[*_rows.COLUMNS, "group"], use_threads=False
    )
    lists = columns.to_pydict()
    rows = list(zip(*(lists[name] for name in _rows.COLUMNS), strict=True))
    whole = {row for row, group in zip(rows, lists["group"], strict=True) if group is None}
    missing = _rows.required(case.plan, ref.name) - whole
    extra = set(_rows.foreign(case.plan, ref.name, set(rows), case.observed(ref.name, "metric")))
    for places, why in (
        (missing, "the table lacks planned rows"),
        (extra, "the table has rows that nothing planned gives"),
    ):
        if places:
            first = sorted(map(_rows.spell, places))
            more = f" and {len(first) - 3} more" if len(first) > 3 else ""
            yield case.failed(
                ref, f"{why}: {'; '.join(first[:3])}{more}", found=f"{len(rows)} rows"
            )


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else text[:77] + "..."
