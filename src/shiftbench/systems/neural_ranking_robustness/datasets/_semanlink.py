"""Semanlink: bookmarks of one curator as documents, tags as queries, what is tagged as relevant.

A document is searched by its title, comment and arXiv summary, joined by ". ", and kept where these have more than 40
characters: 6,022 of 7,300. Fields that name its tags are not read. A tag is a query where 5 to 200 documents have it:
734; it is of kind `arxiv` where three tenths of these are arXiv papers at least (84), else `web`. Judgements are
incomplete (what nobody tagged counts as not relevant), and by one person; texts are English and French. No two
documents have the same title and address; some have the same text.

Source: the collection in the package cherche, https://github.com/raphaelsty/cherche; the rules are ours.
"""

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from shiftbench.data import splits
from shiftbench.plugins.datasets._collections import Document, Query

SOURCE = "semanlink"
LICENCE = "unknown (the package is MIT; it states none for the data)"
CITATION = (
    "Servant, Semanlink, http://www.semanlink.net; Sourty et al., CHERCHE: A New Tool to Rapidly Implement "
    "Pipelines in Information Retrieval, SIGIR 2022, doi:10.1145/3477495.3531695"
)
Share = Annotated[
    float, Field(gt=0, le=1, description="share of the documents that are kept, by the hash of their ids")
]
SHORTEST, FEWEST, MOST, PAPERS = 41, 5, 200, 0.3


def documents(folder: Path, share: float) -> list[Document]:
    """The documents that have text enough, in the order of the original; `id` is their place there.

    Args:
        folder: of the original.
        share: of the documents, by the hash of their ids; 1: all.
    """
    return [document for document, _ in _read(folder, share)]


def queries(folder: Path, share: float) -> Iterator[tuple[str, Query]]:
    """Yield (tag's address, query) in the order of the addresses.

    Where only a share of the documents is there, a tag is a query where as small a share of `FEWEST` have it, two at
    least.
    """
    fewest = max(min(2, FEWEST), round(FEWEST * share))
    tagged: dict[str, list[tuple[str, bool]]] = {}
    for document, entry in _read(folder, share):
        for tag in sorted(set(entry["tag"])):
            tagged.setdefault(tag, []).append((document.id, bool(entry["arxiv_num"])))
    tags = _content(folder / "tags.json")
    for address in sorted(tagged.keys() & tags.keys()):
        documents = tagged[address]
        if fewest <= len(documents) <= MOST:
            papers = sum(paper for _, paper in documents) / len(documents)
            yield (
                address,
                Query(
                    id=re.sub(r"[^a-z0-9_-]", "_", address.rpartition("/")[2].lower()),
                    text=tags[address]["prefLabel"][0],
                    judged={document: 1 for document, _ in documents},
                    group="arxiv" if papers >= PAPERS else "web",
                ),
            )


def _read(folder: Path, share: float) -> list[tuple[Document, dict[str, Any]]]:
    entries = []
    for number, entry in enumerate(_content(folder / "docs.json")):
        text = f"{entry['comment']}. {entry['arxiv_summary']}"
        document = Document(f"d{number:04d}", entry["title"], text)
        if share < 1 and splits.unit("share", document.id) >= share:
            continue
        if len(f"{entry['title']}. {text}") >= SHORTEST:
            entries.append((document, entry))
    return entries


@lru_cache(maxsize=2)
def _content(file: Path) -> Any:
    return json.loads(file.read_text())
