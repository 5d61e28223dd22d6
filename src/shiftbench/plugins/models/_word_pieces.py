"""Uncased BERT's tokens: words are cut into the longest pieces that the vocabulary has.

Source: Devlin et al., "BERT", NAACL 2019; the steps of its `BasicTokenizer` and `WordpieceTokenizer`, as the tokenizers
library has them (equal on a test's sentences). Special tokens that are spelled in a text are plain text here.
"""

import functools
import unicodedata
from collections.abc import Iterator, Mapping
from itertools import islice

LONGEST = 100  # characters of a word; a longer one is unknown
_CJK = (
    (0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F), (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F),
)  # fmt: skip


def tokens(text: str, vocabulary: Mapping[str, int], length: int) -> list[int]:
    """The ids of a text between [CLS] and [SEP], at most `length` of them."""
    ids = (vocabulary[piece] for word in words(text) for piece in pieces(word, vocabulary))
    return [vocabulary["[CLS]"], *islice(ids, length - 2), vocabulary["[SEP]"]]


def words(text: str) -> Iterator[str]:
    """Yield words without accents and capitals; a punctuation mark or a CJK character is a word."""
    plain = unicodedata.normalize("NFD", text.lower())
    word = ""
    for character in plain:
        kind = _kind(character)
        if kind == "space":
            yield from [word] if word else []
            word = ""
        elif kind == "mark":
            yield from [word, character] if word else [character]
            word = ""
        elif kind == "letter":
            word += character
    if word:
        yield word


def pieces(word: str, vocabulary: Mapping[str, int]) -> list[str]:
    """The pieces of a word: each is the longest from the left; `[UNK]` where there is none."""
    parts: list[str] = []
    start = 0
    while start < len(word) <= LONGEST:
        prefix = "##" if start else ""
        ends = (end for end in range(len(word), start, -1) if prefix + word[start:end] in vocabulary)
        end = next(ends, None)
        if end is None:
            return ["[UNK]"]
        parts.append(prefix + word[start:end])
        start = end
    return parts if start else ["[UNK]"]


@functools.cache
def _kind(character: str) -> str:
    """How a character is read: as a space, a mark of its own, a letter, or not at all."""
    category = unicodedata.category(character)
    if character in "\t\n\r" or category == "Zs":
        return "space"
    if category in ("Mn", "Cc", "Cf", "Co", "Cs", "Cn"):
        return "nothing"
    return "mark" if _alone(ord(character), category) else "letter"


def _alone(code: int, category: str) -> bool:
    ascii_mark = 33 <= code <= 47 or 58 <= code <= 64 or 91 <= code <= 96 or 123 <= code <= 126
    return ascii_mark or category[0] == "P" or any(low <= code <= high for low, high in _CJK)
