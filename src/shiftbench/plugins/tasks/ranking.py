"""A query is answered by a ranked list of the documents of a collection.

A sample is a query: `text`, `judged` (document -> grade, relevant from 1), `meta.collection` (the dataset that its
documents are), and perhaps `candidates` (documents of a first stage under the query as it was asked, best first)
and `documents` (document -> [title, text] that stands in its place for this query alone: what an attack on documents
changes). Shifts of queries change `text`, shifts of documents `documents`; judgements stay.

A collection is a dataset of the same task, whose samples are documents: `id`, `title`, `text`. A model's option
`collections` names those that it ranks.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from shiftbench.base.errors import DataError, ModelError
from shiftbench.base.sample import Sample
from shiftbench.data.formats import E9, Column, Format
from shiftbench.plugins.tasks import _ranked
from shiftbench.plugins.tasks._classes import LabelSpace

FIELDS = {
    "text": "txt",
    "judged": "judged.json",
    "candidates": "candidates.json",
    "documents": "documents.json",
    "id": "id.txt",
    "title": "title.txt",
    "meta": "json",
}
REQUIRED = ("text",)
METRICS = (
    *("mean_ap", "mean_ndcg10", "mean_rr10", "mean_bpref", "mean_judged10", "vnap", "vndcg10"),
    *("relative_change", "kendall_distance", "rank_biased_overlap", "top_change"),
    *("raised_share", "rank_gain", "boost10"),
)
MEASURES = ("ap", "ndcg10", "rr10", "bpref", "judged10")
DEPTHS = {"full": 100, "top20": 20}

RANKED = Format(
    "records/ranking/full",
    "One row per query of an evaluation artifact: the first 100 documents (`outputs: top20`: 20) and how good the list "
    "that the model gave is. Measures are those of trec_eval; see tasks/_ranked.py.",
    ("key",),
    (
        Column("key", pa.string(), "", "the query's key"),
        Column("relevant", pa.int32(), "document", "relevant documents", 1),
        *(
            Column(f"{name}_e9", pa.int64(), "1e-9", meaning, 0, E9)
            for name, meaning in zip(
                MEASURES,
                (
                    "average precision",
                    "nDCG of the first 10",
                    "1 / rank of the first relevant one, 0 beyond 10",
                    "bpref",
                    "judged share of the first 10",
                ),
                strict=True,
            )
        ),
        Column("documents", pa.list_(pa.string()), "", "documents, best first"),
        Column("scores", pa.list_(pa.float32()), "", "their scores, falling"),
        Column("targets", pa.list_(pa.string()), "", "documents that an attack changed", nullable=True),
        Column("ranks_before", pa.list_(pa.int32()), "rank", "their ranks as they were", nullable=True),
        Column("ranks_after", pa.list_(pa.int32()), "rank", "their ranks now", nullable=True),
        Column("attacked", pa.int32(), "document", "number of targets", 1, nullable=True),
        Column("raised", pa.int32(), "document", "targets whose rank is better now", 0, nullable=True),
        Column("gained", pa.int32(), "rank", "ranks that they gained in all", nullable=True),
        Column("entered", pa.int32(), "document", "targets that entered the first 10", 0, nullable=True),
        Column("group", pa.string(), "", "subgroup that metrics are also given for", nullable=True),
        Column("cluster", pa.string(), "", "what is resampled together; null: the query", nullable=True),
    ),
)
FORMATS = (RANKED,)


def check(sample: Sample, classes: list[str]) -> None:
    """Refuse what is neither a query with judgements nor a document."""
    if "id" in sample.fields:
        return
    judged = sample.fields.get("judged")
    if judged is None:
        raise DataError(f"{sample.key}: neither `judged` (a query) nor `id` (a document)")
    whole = all(isinstance(grade, int) and not isinstance(grade, bool) for grade in judged.values())
    if not judged or not whole or not _ranked.relevant(judged):
        raise DataError(
            f"{sample.key}: expected judgements (document -> whole number) with one above 0 at least, "
            f"found {len(judged)} without"
        )


def shown(sample: Sample) -> dict[str, Any]:
    """Preview: the query, with the documents that are changed for it, or a document."""
    changed = sample.fields.get("documents") or {}
    parts = [sample.fields.get("title", ""), sample.fields["text"]]
    parts += [". ".join(document) for document in changed.values()]
    return {"text": "\n".join(part for part in parts if part)}


def schema(classes: int, outputs: str) -> pa.Schema:
    """The record schema, the same for all `outputs`."""
    return RANKED.arrow


def rows(samples: list[Sample], outputs: dict[str, np.ndarray], space: LabelSpace, outputs_mode: str) -> pa.Table:
    """One record per query, in their order.

    `outputs`: object arrays (n,): `documents` (a list of str each, best first) and `scores` (as many numbers); of
    models that say where changed documents stood, `targets`, `before` and `after` (lists of equal length).
    """
    lacking = [name for name in ("documents", "scores") if name not in outputs]
    if lacking:
        known = ", ".join(sorted(outputs)) or "nothing"
        raise ModelError(f"the model gives no {lacking[0]} (it gives {known})")
    depth = DEPTHS[outputs_mode]
    made = [
        _row(sample, {name: values[at] for name, values in outputs.items()}, depth) for at, sample in enumerate(samples)
    ]
    return pa.Table.from_pylist(made, schema=RANKED.arrow)


def _row(sample: Sample, answer: Mapping[str, Any], depth: int) -> dict[str, Any]:
    judged = sample.fields.get("judged")
    if judged is None:
        raise DataError(f"{sample.key} is no query: it has no `judged`; evaluate on queries")
    ranked = [str(document) for document in answer["documents"]]
    scores = np.asarray(answer["scores"], dtype=np.float64)
    _refuse(sample.key, ranked, scores)
    measures = _ranked.measures(ranked, judged)
    meta = sample.fields.get("meta") or {}
    return {
        "key": sample.key,
        "relevant": _ranked.relevant(judged),
        **{f"{name}_e9": round(value * E9) for name, value in measures.items()},
        "documents": ranked[:depth],
        "scores": scores[:depth].astype(np.float32),
        **_attacked(answer),
        "group": meta.get("group"),
        "cluster": meta.get("cluster"),
    }


def _refuse(key: str, ranked: list[str], scores: np.ndarray) -> None:
    if not ranked:
        raise ModelError(f"query {key!r}: the model returns nothing; a ranked list has one document at least")
    if len(set(ranked)) < len(ranked):
        twice = next(one for at, one in enumerate(ranked) if one in ranked[:at])
        raise ModelError(f"query {key!r}: the model ranks document {twice!r} twice")
    if len(scores) != len(ranked) or not np.isfinite(scores).all():
        raise ModelError(f"query {key!r}: expected {len(ranked)} finite scores, one per document")
    if (np.diff(scores) > 1e-6 * np.maximum(1, np.abs(scores[1:]))).any():
        raise ModelError(f"query {key!r}: scores rise down the list; a list is sorted, best first")


def _attacked(answer: Mapping[str, Any]) -> dict[str, Any]:
    targets = list(answer.get("targets", ()))
    if not targets:
        return {}
    before, after = (np.asarray(answer[name], dtype=np.int64) for name in ("before", "after"))
    return {
        "targets": targets,
        "ranks_before": before,
        "ranks_after": after,
        "attacked": len(targets),
        "raised": int((after < before).sum()),
        "gained": int((before - after).sum()),
        "entered": int(((before > _ranked.DEPTH) & (after <= _ranked.DEPTH)).sum()),
    }
