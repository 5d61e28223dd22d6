"""Two small corpora that gensim ships, as collections: Lee's news and a sample of 20 Newsgroups.

Lee et al. 2005 let people say how similar 50 pieces of news are (mean, 0 to 1). A piece is a query for the other 49;
those of similarity 0.5 at least are relevant, with ten times the similarity as grade. Pieces without any are no
queries.

The sample of 20 Newsgroups (Lang 1995) has two groups of a hundred articles, so that the names of the groups would
be two queries: a query here is a thread's subject, and relevant is what is of its group. Headers are cut off. The
file is a Python 2 pickle, which is read with a list of the only names that it may use.
"""

import copyreg
import io
import pickle
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from shiftbench.base.errors import DataError
from shiftbench.plugins.datasets._collections import Document, Query

SOURCE = "gensim_corpora"
LICENCE = "unknown (the package is LGPL-2.1; Lee's data are for research)"
CITATION = (
    "Lee, Pincombe and Welsh, An empirical evaluation of models of text document similarity, CogSci 2005; "
    "Lang, NewsWeeder, ICML 1995"
)
SIMILAR = 0.5


def lee_documents(folder: Path) -> list[Document]:
    """Return the 50 pieces, `id` being their line."""
    lines = (folder / "lee.cor").read_text(encoding="latin-1").splitlines()
    return [Document(f"l{number:02d}", "", line.strip()) for number, line in enumerate(lines)]


def lee_queries(folder: Path) -> list[Query]:
    """Return the pieces that another one is similar to."""
    upper = np.loadtxt(folder / "similarities0-1.txt")
    likeness = np.maximum(upper, upper.T)
    known = lee_documents(folder)
    if likeness.shape != (len(known), len(known)):
        raise DataError(f"{folder}: {len(known)} texts and similarities of shape {likeness.shape}")
    found = []
    for number, document in enumerate(known):
        judged = {
            other.id: round(10 * value) if value >= SIMILAR else 0
            for other, value in zip(known, likeness[number], strict=True)
            if other is not document
        }
        if any(judged.values()):
            found.append(Query(document.id, document.text, judged, without=document.id))
    return found


class _Bunch(dict[str, Any]):
    """What scikit-learn's `Bunch` was when the file was written."""

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
        """Return what a name stands for.

        Raises:
            DataError: it is none of those known.
        """
        if (module, name) not in _KNOWN:
            raise DataError(f"the pickle asks for {module}.{name}, which it may not use")
        return _KNOWN[module, name]


def articles(raw: bytes) -> dict[str, Any]:
    """Return `data` (texts), `target` (their groups) and `target_names` of a packed pickle.

    Raises:
        DataError: it asks for a name that it may not use.
    """
    found: dict[str, Any] = _Restricted(io.BytesIO(zlib.decompress(raw)), encoding="latin-1").load()
    return found


def newsgroups(folder: Path, first: int) -> tuple[list[Document], list[Query]]:
    """Return the first articles, which have no title, and a query for each of their subjects."""
    read = articles((folder / "mini_newsgroup").read_bytes())
    known: list[Document] = []
    groups: list[int] = []
    subjects: dict[str, tuple[str, int]] = {}
    for number, text in enumerate(read["data"][:first]):
        head, _, body = text.partition("\n\n")
        line = re.search(r"^Subject:[ \t]*(.*)$", head, re.MULTILINE)
        subject = re.sub(r"^((re|fwd?)[:\s]+)+", "", line[1] if line else "", flags=re.I).strip()
        group = int(read["target"][number])
        known.append(Document(f"n{number:03d}", "", body.strip() or subject))
        groups.append(group)
        if subject:
            subjects.setdefault(subject.lower(), (subject, group))
    found = []
    for number, (subject, group) in enumerate(subjects.values()):
        judged = {one.id: int(own == group) for one, own in zip(known, groups, strict=True)}
        found.append(Query(f"s{number:03d}", subject, judged, read["target_names"][group]))
    return known, found
