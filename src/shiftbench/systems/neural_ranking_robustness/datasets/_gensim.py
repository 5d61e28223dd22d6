"""Two small corpora that gensim ships, as collections and their queries: Lee's news and a sample of 20 Newsgroups.

The options `corpus` and `part` are what the variants in `variants.yaml` differ by.

Lee et al. 2005 let people say how similar 50 pieces of news are (mean, 0 to 1). A piece is a query for the other 49;
those of similarity 0.5 at least are relevant, with ten times the similarity as grade (5 to 10). Pieces without any are
no queries.

The sample of 20 Newsgroups (Lang 1995) has two groups of a hundred articles, so that the names of the groups would be
two queries. Instead, a query is a thread's subject, and the articles of its group are relevant. Headers are cut off,
and the first articles are taken. The file is a Python 2 pickle, which is read with a list of the only names
that it may use.
"""

import copyreg
import io
import pickle
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from shiftbench.base.errors import DataError, ParamsError
from shiftbench.base.sample import Sample
from shiftbench.plugins import declare
from shiftbench.plugins.datasets import _collections
from shiftbench.plugins.datasets._collections import Document, Query

SOURCE = "gensim_corpora"
TASK = "ranking"
CLASSES: tuple[str, ...] = ()
NATIVE = ("test",)
SOURCES = (SOURCE,)
LICENCE = "unknown (the package is LGPL-2.1; Lee's data are for research)"
CITATION = (
    "Lee, Pincombe and Welsh, An empirical evaluation of models of text document similarity, CogSci 2005; "
    "Lang, NewsWeeder, ICML 1995"
)
REDISTRIBUTE = False
NAMES = {
    ("lee", "documents"): "lee_documents",
    ("lee", "queries"): "lee_news",
    ("newsgroups", "documents"): "newsgroup_documents",
    ("newsgroups", "queries"): "newsgroup_subjects",
}
"""Beginning of the keys."""
SIMILAR = 0.5


class Options(declare.Options):
    corpus: Literal["lee", "newsgroups"] = Field("lee", description="corpus that is read")
    part: Literal["documents", "queries"] = Field("documents", description="the collection, or the queries for it")
    collection: str = Field("", description="data set of the documents that queries search")
    first: int = Field(200, ge=1, description="articles of the newsgroups that are read")


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample]:
    """Yield documents (`id`, an empty `title`, `text`), or queries (`text`, `judged`, `candidates`, `meta`).

    Raises:
        ParamsError: another corpus or part.
    """
    corpus, part = params["corpus"], params["part"]
    if (corpus, part) not in NAMES:
        raise ParamsError(
            f"corpus is {corpus!r} and part {part!r}; expected `lee` or `newsgroups`, `documents` or `queries`"
        )
    folder, name = sources[SOURCE], NAMES[corpus, part]
    if corpus == "lee":
        documents, queries = lee_documents(folder), lee_queries(folder) if part == "queries" else []
    else:
        documents, queries = newsgroups(folder, params["first"])
    if part == "documents":
        yield from _collections.documents(name, documents)
    else:
        yield from _collections.queries(name, params["collection"], queries, documents)


def lee_documents(folder: Path) -> list[Document]:
    """The 50 pieces, `id` being their line."""
    lines = (folder / "lee.cor").read_text(encoding="latin-1").splitlines()
    return [Document(f"l{number:02d}", "", line.strip()) for number, line in enumerate(lines)]


def lee_queries(folder: Path) -> list[Query]:
    """The pieces that another one is similar to."""
    upper = np.loadtxt(folder / "similarities0-1.txt")
    likeness = np.maximum(upper, upper.T)
    documents = lee_documents(folder)
    if likeness.shape != (len(documents), len(documents)):
        raise DataError(f"{folder}: {len(documents)} texts and similarities of shape {likeness.shape}")
    queries = []
    for number, document in enumerate(documents):
        judged = {
            other.id: round(10 * value) if value >= SIMILAR else 0
            for other, value in zip(documents, likeness[number], strict=True)
            if other is not document
        }
        if any(judged.values()):
            queries.append(Query(document.id, document.text, judged, without=document.id))
    return queries


class _Bunch(dict[str, Any]):
    """scikit-learn's `Bunch` as it was when the file was written."""

    def __setstate__(self, state: object) -> None:
        """Keep the items alone."""


_KNOWN: dict[tuple[str, str], Any] = {
    ("copy_reg", "_reconstructor"): copyreg._reconstructor,  # type: ignore[attr-defined]
    ("sklearn.datasets.base", "Bunch"): _Bunch,
    ("__builtin__", "dict"): dict,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): np.zeros(0).__reduce__()[0],
}


class _Restricted(pickle.Unpickler):
    """Reads a pickle that uses the names above and no other."""

    def find_class(self, module: str, name: str) -> Any:
        """The class of an allowed name.

        Raises:
            DataError: it is none of those known.
        """
        if (module, name) not in _KNOWN:
            raise DataError(f"the pickle asks for {module}.{name}, which it may not use")
        return _KNOWN[module, name]


def articles(raw: bytes) -> dict[str, Any]:
    """`data` (texts), `target` (their groups) and `target_names` of a packed pickle.

    Raises:
        DataError: it asks for a name that it may not use.
    """
    data: dict[str, Any] = _Restricted(io.BytesIO(zlib.decompress(raw)), encoding="latin-1").load()
    return data


def newsgroups(folder: Path, first: int) -> tuple[list[Document], list[Query]]:
    """The first articles, which have no title, and a query for each of their subjects."""
    archive = articles((folder / "mini_newsgroup").read_bytes())
    documents: list[Document] = []
    groups: list[int] = []
    subjects: dict[str, tuple[str, int]] = {}
    for number, text in enumerate(archive["data"][:first]):
        head, _, body = text.partition("\n\n")
        line = re.search(r"^Subject:[ \t]*(.*)$", head, re.MULTILINE)
        subject = re.sub(r"^((re|fwd?)[:\s]+)+", "", line[1] if line else "", flags=re.I).strip()
        group = int(archive["target"][number])
        documents.append(Document(f"n{number:03d}", "", body.strip() or subject))
        groups.append(group)
        if subject:
            subjects.setdefault(subject.lower(), (subject, group))
    queries = []
    for number, (subject, group) in enumerate(subjects.values()):
        judged = {document.id: int(label == group) for document, label in zip(documents, groups, strict=True)}
        queries.append(Query(f"s{number:03d}", subject, judged, archive["target_names"][group]))
    return documents, queries
