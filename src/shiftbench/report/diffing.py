"""What differs between two texts, word by word, for the page: kept, taken out, put in."""

import difflib
import re
from typing import Literal

Piece = tuple[Literal["kept", "gone", "new"], str]
_TOKEN = re.compile(r"\s+|(?<![\w.])-?\d+\.\d+(?!\w|\.\d)|\w+|[^\w\s]")


def words(before: str, after: str) -> tuple[Piece, ...]:
    """Pieces of two texts in order; kept and new ones make `after`, kept and gone ones `before`.

    Words, decimal numbers, marks and runs of white space are compared as wholes.

    Example:
        >>> words("a red fox", "a rde fox")
        (('kept', 'a '), ('gone', 'red'), ('new', 'rde'), ('kept', ' fox'))
        >>> words("at -3.53, 1.2.3", "at -4.18, 1.2.4")[1:3]
        (('gone', '-3.53'), ('new', '-4.18'))
    """
    one, two = _TOKEN.findall(before), _TOKEN.findall(after)
    found: list[Piece] = []
    for kind, i, j, k, m in difflib.SequenceMatcher(None, one, two, autojunk=False).get_opcodes():
        if kind == "equal":
            found.append(("kept", "".join(one[i:j])))
            continue
        found += [("gone", "".join(one[i:j]))] if i < j else []
        found += [("new", "".join(two[k:m]))] if k < m else []
    return tuple(found)
