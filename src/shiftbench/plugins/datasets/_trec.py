"""Collections in TREC's layout: a folder of the user's own, or an id of ir_datasets.

    documents.tsv | documents.jsonl      the collection
    test/queries.tsv | queries.jsonl     likewise below train/ and val/
    test/qrels.txt                       `query iteration document grade`
    test/candidates.run                  a first stage's run; without: BM25's first hundred

`limit` takes queries by the hash of their ids, and reads the candidates of these alone. `types` is for example
MS MARCO's `query_type`; the type becomes the query's group.

A line of a TSV file is `id <tab> text` or `id <tab> title <tab> text`, of a JSONL file an object with `id` (or `_id`,
`docid`, `doc_id`, `query_id`) and `text` (or `contents`, `body`), perhaps `title`.

Source: TREC's formats as trec_eval, BEIR and ir_datasets (MacAvaney et al., SIGIR 2021) have them.
"""

import json
import re
from collections.abc import Container, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from shiftbench.base.errors import DataError, ParamsError
from shiftbench.data import splits, trec
from shiftbench.plugins.datasets._collections import FIRST_STAGE, Document, Query

_ID = ("id", "_id", "docid", "doc_id", "query_id")
_TEXT = ("text", "contents", "body")


def documents(params: Mapping[str, Any]) -> Iterator[Document]:
    """Yield the documents of `path`, or of the first of `ids`.

    Raises:
        ParamsError: neither is given.
        DataError: no such file, or a line of another form.
    """
    if params["ids"]:
        for one in _ir(next(iter(params["ids"].values()))).docs_iter():
            title = getattr(one, "title", "")
            text = getattr(one, "text", None) or getattr(one, "body", None) or one.default_text()
            yield Document(one.doc_id, title, text)
        return
    yield from _lines(_folder(params) / "documents")


def queries(split: str, params: Mapping[str, Any]) -> Iterator[Query]:
    """Yield the queries of a split with their judgements and candidates.

    Raises:
        ParamsError: neither `path` nor an id for this split is given.
        DataError: no such file, a line of another form, or qrels of a query that there is not.
    """
    chosen, qrels = _ir_split(split, params) if params["ids"] else _own_split(split, params)
    unknown = sorted(set(qrels) - {query.id for query in chosen})
    if unknown:
        raise DataError(f"qrels of {split} judge query {unknown[0]!r}, which its queries do not have")
    kept = _kept(chosen, params)
    run = (_ir_run if params["ids"] else _own_run)(split, params, {query.id for query in kept})
    for query in kept:
        ranked = [document for document, _ in run.get(query.id, ())][:FIRST_STAGE]
        yield replace(
            query,
            id=re.sub(r"[^A-Za-z0-9_-]", "_", query.id),
            judged=qrels.get(query.id, {}),
            candidates=ranked or None,
        )


def _kept(rows: list[Query], params: Mapping[str, Any]) -> list[Query]:
    """The queries of the chosen type, with it as their group, at most `limit`, in their order."""
    if params["types"]:
        types = _types(Path(params["types"]))
        rows = [replace(query, group=types.get(query.id)) for query in rows]
    elif params["kind"] or params["without"]:
        raise ParamsError("kind and without need `types`: a file of lines `query <tab> type`")
    kind, other = params["kind"], params["without"]
    rows = [one for one in rows if kind in ("", one.group) and (not other or one.group != other)]
    if not rows:
        raise DataError(f"no query is of the type {kind or f'not {other}'!r} ({params['types']})")
    first = sorted(rows, key=lambda query: splits.unit("limit", query.id))
    chosen = {query.id for query in first[: params["limit"] or None]}
    return [query for query in rows if query.id in chosen]


def _types(file: Path) -> dict[str, str]:
    if not file.is_file():
        raise DataError(f"{file} does not exist; expected lines `query <tab> type`")
    lines = file.read_text(encoding="utf-8").splitlines()
    pairs = [line.split("\t") for line in lines if line]
    if any(len(pair) != 2 for pair in pairs):
        wrong = next(pair for pair in pairs if len(pair) != 2)
        raise DataError(f"{file}: expected lines `query <tab> type`, found {wrong}")
    return {pair[0]: pair[1] for pair in pairs}


def wants(split: str, params: Mapping[str, Any]) -> dict[str, str]:
    """The files that the user must bring."""
    descriptions = {str(params["types"]): "the type of each query"} if params.get("types") else {}
    if not params["ids"] and params["path"]:
        descriptions[str(_folder(params))] = "documents, and queries and qrels of each split"
    return descriptions


def _folder(params: Mapping[str, Any]) -> Path:
    if not params["path"]:
        raise ParamsError("name a folder (`path`), or ids of ir_datasets (`ids: {test: ...}`)")
    return Path(params["path"])


def _own_split(split: str, params: Mapping[str, Any]) -> tuple[list[Query], trec.Qrels]:
    folder = _folder(params) / split
    rows = [Query(one.id, one.text, {}) for one in _lines(folder / "queries")]
    return rows, trec.read_qrels(folder / "qrels.txt")


def _own_run(split: str, params: Mapping[str, Any], names: Container[str]) -> trec.Run:
    file = _folder(params) / split / "candidates.run"
    run = trec.read_run(file) if file.is_file() else {}
    return {name: ranked for name, ranked in run.items() if name in names}


def _ir_split(split: str, params: Mapping[str, Any]) -> tuple[list[Query], trec.Qrels]:
    if split not in params["ids"]:
        known = ", ".join(params["ids"])
        raise ParamsError(f"no id of ir_datasets for split {split!r}; there are ids for {known}")
    source = _ir(params["ids"][split])
    qrels: trec.Qrels = {}
    for one in source.qrels_iter():
        qrels.setdefault(one.query_id, {})[one.doc_id] = int(one.relevance)
    texts = ((one.query_id, one.default_text()) for one in source.queries_iter())
    # Collections have more queries than judged ones; those would be refused.
    return [Query(name, text, {}) for name, text in texts if name in qrels], qrels


def _ir_run(split: str, params: Mapping[str, Any], names: Container[str]) -> trec.Run:
    source = _ir(params["ids"][split])
    run: dict[str, list[tuple[str, float]]] = {}
    for one in source.scoreddocs_iter() if source.has_scoreddocs() else ():
        if one.query_id in names:  # MS MARCO scores a thousand documents for each of half a million queries
            run.setdefault(one.query_id, []).append((one.doc_id, float(one.score)))
    for ranked in run.values():
        ranked.sort(key=lambda one: (-one[1], one[0]))
    return run


def _ir(name: str) -> Any:
    import ir_datasets  # type: ignore[import-untyped]  # its registry takes a second

    try:
        return ir_datasets.load(name)
    except KeyError:
        raise ParamsError(f"ir_datasets has no {name!r}; see https://ir-datasets.com") from None


def _lines(stem: Path) -> Iterator[Document]:
    """Yield the rows of a TSV or JSONL file."""
    for file in (stem.with_suffix(".tsv"), stem.with_suffix(".jsonl")):
        if file.is_file():
            with file.open(encoding="utf-8") as stream:
                for number, line in enumerate(stream, 1):
                    if line.strip():
                        yield _parsed(line.rstrip("\r\n"), f"{file}, line {number}", file.suffix)
            return
    raise DataError(f"{stem}.tsv does not exist, nor {stem.name}.jsonl")


def _parsed(line: str, where: str, suffix: str) -> Document:
    if suffix == ".tsv":
        parts = line.split("\t")
        if len(parts) not in (2, 3) or not parts[0]:
            raise DataError(f"{where}: expected `id <tab> text` or `id <tab> title <tab> text`, found {line[:60]!r}")
        return Document(parts[0], parts[1] if len(parts) == 3 else "", parts[-1])
    try:
        entry = json.loads(line)
        name = str(next(entry[key] for key in _ID if key in entry))
        return Document(name, entry.get("title") or "", next(entry[key] for key in _TEXT if key in entry))
    except (json.JSONDecodeError, StopIteration, AttributeError):
        raise DataError(f"{where}: expected an object with `id` and `text`, found {line[:60]!r}") from None
