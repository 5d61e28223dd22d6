"""Differences between two texts for pages: kept, gone and new pieces, within changed words by character."""

import difflib
import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

SIMILAR = 0.5
"""Words whose characters agree by less, as difflib's ratio, are replaced as wholes: a few equal letters say nothing."""
LONGEST = 1_000_000
"""Product of the numbers of characters up to which changed words are compared by character."""
CODES = 4
"""Characters outside ASCII up to which a new piece has their code points; more are another script, no disguise."""
Kind = Literal["kept", "gone", "new"]
_TOKEN = re.compile(r"\s+|(?<![\w.])-?\d+\.\d+(?!\w|\.\d)|\w+|[^\w\s]")


class Piece(NamedTuple):
    """A part of a text; a new one with characters that look like others, or like nothing, has their code points."""

    kind: Kind
    text: str
    codes: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


def pieces(before: str, after: str) -> tuple[Piece, ...]:
    """Pieces of two texts in order; kept and new ones make `after`, kept and gone ones `before`.

    Words, decimal numbers, marks and runs of white space are compared first. Changed words that are similar are then
    compared by character.

    Example:
        >>> [piece[:2] for piece in pieces("a red fox", "a redd fox")]
        [('kept', 'a red'), ('new', 'd'), ('kept', ' fox')]
        >>> [piece[:2] for piece in pieces("at -3.53, 1.2.3", "at -4.18, 1.2.4")][1:3]
        [('gone', '-3.53'), ('new', '-4.18')]
        >>> pieces("buy", "b" + chr(0x443) + "y")[2][2:]
        (('U+0443',), ('CYRILLIC SMALL LETTER U',))
    """
    found: list[Piece] = []
    for kind, text in _changes(_TOKEN.findall(before), _TOKEN.findall(after), deep=True):
        if found and found[-1].kind == kind:
            found[-1] = Piece(kind, found[-1].text + text)
        else:
            found.append(Piece(kind, text))
    gone = ["", *(piece.text if piece.kind == "gone" else "" for piece in found)]
    return tuple(_coded(piece, old) if piece.kind == "new" else piece for piece, old in zip(found, gone, strict=False))


def _changes(old: Sequence[str], new: Sequence[str], *, deep: bool) -> Iterator[tuple[Kind, str]]:
    """Yield the changes between two lists of tokens, or of characters; `deep`: compare similar words by character."""
    for kind, i, j, k, m in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        gone, added = "".join(old[i:j]), "".join(new[k:m])
        if kind == "equal":
            yield "kept", gone
        elif deep and kind == "replace" and _similar(gone, added):
            start = _shared(gone, added)  # equal ends first, so that the right one of doubled letters is marked
            end = _shared(gone[start:][::-1], added[start:][::-1])
            yield from (("kept", gone[:start]),) if start else ()
            yield from _changes(gone[start : len(gone) - end], added[start : len(added) - end], deep=False)
            yield from (("kept", gone[len(gone) - end :]),) if end else ()
        else:
            yield from (("gone", gone),) if gone else ()
            yield from (("new", added),) if added else ()


def _similar(gone: str, added: str) -> bool:
    if len(gone) * len(added) > LONGEST:
        return False
    return difflib.SequenceMatcher(None, gone, added, autojunk=False).ratio() >= SIMILAR


def _shared(one: str, other: str) -> int:
    """Number of equal characters at the beginning of two texts."""
    most = min(len(one), len(other))
    return next((at for at in range(most) if one[at] != other[at]), most)


def _coded(piece: Piece, gone: str) -> Piece:
    """A new piece with the code points of its characters outside ASCII, where it replaces ASCII or nothing."""
    letters = [letter for letter in piece.text if not letter.isascii()]
    if not gone.isascii() or len(letters) > CODES:
        return piece
    codes = tuple(f"U+{ord(letter):04X}" for letter in letters)
    return piece._replace(codes=codes, names=tuple(unicodedata.name(letter, "unnamed") for letter in letters))
