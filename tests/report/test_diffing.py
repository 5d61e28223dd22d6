"""Differences between texts: nothing is lost, and characters that look alike have their code points."""

import itertools
import random  # noqa: TID251 - of letters, and seeded
import unicodedata

from shiftbench.report import diffing

ALPHABET = "ab c.1-\n\u0430\u0443\u0301\u200b\u00e9\U0001f600<&"


def test_without_new_pieces_it_is_the_old_text_and_without_gone_ones_the_new_text() -> None:
    draw = random.Random(7)
    for _ in range(400):
        before, after = ("".join(draw.choices(ALPHABET, k=draw.randint(0, 30))) for _ in range(2))
        pieces = diffing.pieces(before, after)
        assert "".join(piece.text for piece in pieces if piece.kind != "new") == before
        assert "".join(piece.text for piece in pieces if piece.kind != "gone") == after
        assert all(piece.text for piece in pieces)
        assert all(one.kind != other.kind for one, other in itertools.pairwise(pieces))
        for piece in pieces:
            assert [chr(int(code[2:], 16)) for code in piece.codes] in ([], [c for c in piece.text if not c.isascii()])
            assert len(piece.names) == len(piece.codes)


def test_an_edit_of_one_character_marks_one_character() -> None:
    draw = random.Random(8)
    for _ in range(100):
        words = ["".join(draw.choices("abcdefgh", k=draw.randint(4, 9))) for _ in range(8)]
        before = " ".join(words)
        at = draw.choice([number for number, letter in enumerate(before) if letter != " "])
        pieces = diffing.pieces(before, before[:at] + "\u0443" + before[at + 1 :])
        assert [tuple(piece[:2]) for piece in pieces if piece.kind != "kept"] == [
            ("gone", before[at]),
            ("new", "\u0443"),
        ]
        (new,) = (piece for piece in pieces if piece.kind == "new")
        assert (new.codes, new.names) == (("U+0443",), (unicodedata.name("\u0443"),))


def test_other_words_and_other_scripts_are_replaced_as_wholes_without_codes() -> None:
    gone, new = diffing.pieces("night", "coldly")
    assert (gone.text, new.text) == ("night", "coldly")
    assert diffing.pieces("night", "\u043d\u043e\u0447\u044c\u044e")[1].codes == ()
    assert diffing.pieces("caf\u00e9", "caf\u00ea")[-1].codes == ()
