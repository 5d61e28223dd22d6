"""Differences between two texts for pages, word by word: kept, gone, new."""

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
    old_tokens, new_tokens = _TOKEN.findall(before), _TOKEN.findall(after)
    pieces: list[Piece] = []
    for kind, i, j, k, m in difflib.SequenceMatcher(None, old_tokens, new_tokens, autojunk=False).get_opcodes():
        if kind == "equal":
            pieces.append(("kept", "".join(old_tokens[i:j])))
            continue
        pieces += [("gone", "".join(old_tokens[i:j]))] if i < j else []
        pieces += [("new", "".join(new_tokens[k:m]))] if k < m else []
    return tuple(pieces)
