"""Records judged a second time from their logits and the samples' labels, in NumPy.

The task's own code is not called: an error in it would repeat itself here.
"""

from __future__ import annotations

import itertools
import json
import mmap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shiftbench.audit.case import Case
from shiftbench.audit.evidence import shard_folders
from shiftbench.audit.evidence.tar_members import headers
from shiftbench.base.errors import DataError
from shiftbench.base.refs import Ref
from shiftbench.data.shards import Entry

UNKNOWN, UNIT, NLL_LIMIT = -1, 1_000_000_000, 1 << 49
TOLERANCE = 2
"""Billionths by which exp and log may differ between machines, rounding included."""
Flaw = tuple[str, str, str, str]
"""Key, column, expected value, actual value."""


# ------------------------------------------------------------------ samples


@dataclass(frozen=True, slots=True)
class Truth:
    """Labels and metadata of the samples in a folder of shards.

    Attributes:
        classes: of the dataset.
        keys: of the samples, in order.
        labels: indices into `classes`; None: the tars are not here.
        metas: of samples with a group or a cluster, by key; None: the tars are not here.
        has_labels: whether the samples have a field of labels.
    """

    classes: Sequence[str]
    keys: list[str]
    labels: list[int] | None
    metas: Mapping[str, dict[str, Any]] | None
    has_labels: bool = True


def truth(case: Case, ref: Ref) -> Truth | None:
    """Read the labels of a folder of shards, without decoding anything else; None: it cannot be read."""
    manifest, entries = shard_folders.manifest(case, ref), shard_folders.entries(case, ref)
    if manifest is None or entries is None:
        return None
    keys = [entry.key for entry in entries]
    folder = case.folder(ref)
    if not all((folder / tar).is_file() for tar in manifest["tars"]):
        return Truth(manifest["classes"], keys, None, None)
    extensions = {manifest["fields"].get(name) for name in ("label", "meta")}
    labels: list[int] = []
    metas: dict[str, dict[str, Any]] = {}
    for tar in manifest["tars"]:
        inside = [entry for entry in entries if entry.tar == tar]
        if not inside:
            continue
        with (folder / tar).open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            for entry in inside:
                fields = _fields(data, entry, extensions)
                labels.append(int(fields.get("cls", b"-1")))
                meta = json.loads(fields.get("json", b"null")) or {}
                if "group" in meta or "cluster" in meta:
                    metas[entry.key] = meta
    return Truth(manifest["classes"], keys, labels, metas, "label" in manifest["fields"])


def _fields(data: mmap.mmap, entry: Entry, extensions: set[str | None]) -> dict[str, bytes]:
    """Bytes of some fields of a sample by their extension."""
    members = (
        (header.name[len(entry.key) + 1 :], header) for header in headers(data, entry.offset, entry.offset + entry.size)
    )
    return {name: data[header.start : header.end] for name, header in members if name in extensions}


# ------------------------------------------------------------------ classes


@dataclass(frozen=True, slots=True)
class Space:
    """The classes of a dataset among those of a model.

    Attributes:
        places: index of each class of the dataset among the model's; -1: the model does not have it.
        allowed: indices of classes that may be predicted, sorted.
        classes: number of the model's classes.
    """

    places: NDArray[np.int64]
    allowed: NDArray[np.int64]
    classes: int

    @classmethod
    def of(cls, model: Sequence[str], dataset: Sequence[str]) -> Space:
        """Match classes by name; only a dataset's classes may be predicted if they are a part of the model's."""
        if len(set(model)) < len(model) or len(set(dataset)) < len(dataset):
            raise DataError("a class name occurs twice")
        at = {name: index for index, name in enumerate(model)}
        places = np.array([at.get(name, UNKNOWN) for name in dataset], dtype=np.int64)
        fewer = set(dataset) < set(model)
        allowed = np.sort(places) if fewer else np.arange(len(model))
        return cls(places, allowed, len(model))


# ------------------------------------------------------------------ judging


def judge(table: pa.Table, labels: NDArray[np.int64], logits: NDArray[np.float32], space: Space) -> Iterator[Flaw]:
    """Compare records with their logits and labels; yield the first row of each column that differs.

    Args:
        table: records.
        labels: the model's classes, int64 (n,); -1: none.
        logits: float32 (n, C).
        space: the classes.
    """
    shown = logits[:, space.allowed].astype(np.float64)
    each = np.arange(len(shown))
    shares, logsumexp = _softmax(shown)
    best = shown.argmax(axis=1)
    known = labels != UNKNOWN
    # The label's place among the allowed classes; any where there is none.
    place = np.zeros(len(labels), dtype=np.int64)
    place[known] = np.searchsorted(space.allowed, labels[known])
    target, nll = shares[each, place], logsumexp - shown[each, place]
    prediction = space.allowed[best]
    yield from _exact(table, "prediction", prediction, None)
    yield from _exact(table, "correct", prediction == labels, known)
    yield from _close(table, "confidence_e9", shares[each, best], None)
    yield from _close(table, "nll_e9", np.minimum(nll, NLL_LIMIT / UNIT), known)
    others = np.square(shares)
    others[each, place] = 0
    yield from _close(table, "brier_e9", others.sum(axis=1) + np.square(1 - target), known)


def _softmax(logits: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Softmax (n, C) and the log of the sum of exponentials (n,)."""
    highest = logits.max(axis=1, keepdims=True)
    powers = np.exp(logits - highest)
    total = powers.sum(axis=1, keepdims=True)
    return powers / total, np.log(total[:, 0]) + highest[:, 0]


def judge_top(table: pa.Table, labels: NDArray[np.int64], space: Space) -> Iterator[Flaw]:
    """As `judge`, for records with the largest logits only: without the Brier score."""
    width = len(table.column("top_classes")[0])
    tops = _flat(table, "top_classes").reshape(-1, width)
    logits = _flat(table, "top_logits").reshape(-1, width).astype(np.float64)
    rising: NDArray[np.bool_] = np.any(np.diff(logits, axis=1) > 0, axis=1)
    yield from _exact(table, "top_logits", ~rising, None, actual=np.ones(len(table), dtype=bool))
    if len(space.allowed) < space.classes:
        return  # the softmax runs over classes whose logits may not be here
    total = table.column("logsumexp").to_numpy()
    known = labels != UNKNOWN
    own = table.column("label_logit").fill_null(0).to_numpy().astype(np.float64)
    yield from _exact(table, "prediction", tops[:, 0], None)
    yield from _exact(table, "correct", tops[:, 0] == labels, known)
    yield from _close(table, "confidence_e9", np.exp(logits[:, 0] - total), None)
    yield from _close(table, "nll_e9", np.minimum(total - own, NLL_LIMIT / UNIT), known)
    inside = tops == labels[:, None]
    here = inside.any(axis=1)
    there = np.where(here, (logits * inside).sum(axis=1), own)
    yield from _exact(table, "label_logit", there, None, actual=np.where(known, own, there))


def _flat(table: pa.Table, name: str) -> NDArray[Any]:
    values: NDArray[Any] = table.column(name).combine_chunks().flatten().to_numpy()
    return values


def label_flaws(table: pa.Table, labels: NDArray[np.int64]) -> Iterator[Flaw]:
    """Yield the first row whose label is not the sample's."""
    yield from _exact(table, "label", labels, None)


def meta_flaws(table: pa.Table, metas: Mapping[str, dict[str, Any]]) -> Iterator[Flaw]:
    """Yield the first row whose group or cluster is not the sample's."""
    for name in ("group", "cluster"):
        column = table.column(name)
        if column.null_count == len(column) and not metas:
            continue
        for key, actual in zip(table.column("key").to_pylist(), column.to_pylist(), strict=True):
            expected = metas.get(key, {}).get(name)
            if expected != actual:
                yield key, name, str(expected), str(actual)
                break


def answer_flaws(table: pa.Table, metas: Mapping[str, dict[str, Any]]) -> Iterator[Flaw]:
    """Yield the first row whose label is not the sample's answer, and the first claim that is judged wrongly.

    The label of a claim is 1 or 0, true or false; a prediction is correct if it is the label. A question has label 2.
    """
    columns = (table.column(name).to_pylist() for name in ("key", "label", "prediction", "correct"))
    rows = list(zip(*columns, strict=True))
    truths = {key: metas.get(key, {}).get("answer") for key, *_ in rows}
    labels = {key: int(one) if isinstance(one, bool) else 2 for key, one in truths.items()}
    mislabelled = ((key, label) for key, label, _, _ in rows if label != labels[key])
    for key, label in itertools.islice(mislabelled, 1):
        yield key, "label", str(labels[key]), str(label)
    claims = (row for row in rows if isinstance(truths[row[0]], bool))
    misjudged = (row for row in claims if row[3] != (row[2] == labels[row[0]]))
    for key, _, prediction, right in itertools.islice(misjudged, 1):
        yield key, "correct", str(prediction == labels[key]), str(right)


def _exact(
    table: pa.Table,
    name: str,
    expected: NDArray[Any],
    known: NDArray[np.bool_] | None,
    actual: NDArray[Any] | None = None,
) -> Iterator[Flaw]:
    values, present = _column(table, name) if actual is None else (actual, np.ones(len(table), bool))
    yield from _first(table, name, expected, values, (values != expected), (present, known))


def _close(
    table: pa.Table, name: str, expected: NDArray[np.float64], known: NDArray[np.bool_] | None
) -> Iterator[Flaw]:
    values, present = _column(table, name)
    units = np.rint(expected * UNIT)
    differs = np.abs(values - units) > TOLERANCE  # both are finite
    yield from _first(table, name, units.astype(np.int64), values, differs, (present, known))


def _column(table: pa.Table, name: str) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    column = table.column(name)
    filled = column.fill_null(False if pa.types.is_boolean(column.type) else 0)
    return filled.to_numpy(), column.is_valid().to_numpy()


def _first(
    table: pa.Table,
    name: str,
    expected: NDArray[Any],
    values: NDArray[Any],
    differs: NDArray[np.bool_],
    nulls: tuple[NDArray[np.bool_], NDArray[np.bool_] | None],
) -> Iterator[Flaw]:
    """Yield the first row that differs, or that is null and should not be, or the reverse."""
    present, known = nulls
    known = np.ones(len(table), dtype=bool) if known is None else known
    bad = (differs & present & known) | (present != known)
    if bad.any():
        at = int(np.argmax(bad))
        more = f" (and {int(bad.sum()) - 1} more rows)" if bad.sum() > 1 else ""
        expected_text = str(expected[at]) if known[at] else "null"
        actual_text = str(values[at]) if present[at] else "null"
        yield table.column("key")[at].as_py(), name, expected_text, actual_text + more
