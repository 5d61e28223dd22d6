"""Sentences as vectors: the pieces that words are cut into, and the vectors of a library that is not needed here."""

import numpy as np
import pytest

from shiftbench.data import source_files
from shiftbench.plugins.models import _sentences, _word_pieces
from shiftbench.workflow.stages import fetch


def test_words_are_cut_into_the_longest_pieces() -> None:
    known = ["[CLS]", "[SEP]", "[UNK]", "tres", "un", "##bel", "##ie", "##va", "##bly", "##b", "!", "日"]
    vocabulary = {piece: number for number, piece in enumerate(known)}
    pieces = _word_pieces.tokens("Très unbelievably!日 \t zebra\u200d", vocabulary, 256)
    assert [known[piece] for piece in pieces] == [
        "[CLS]", "tres", "un", "##bel", "##ie", "##va", "##bly", "!", "日", "[UNK]", "[SEP]",
    ]  # fmt: skip
    assert len(_word_pieces.tokens("tres " * 300, vocabulary, 256)) == 256


@pytest.mark.network
def test_sentences_are_those_of_transformers() -> None:
    """First numbers as transformers 5.24 and tokenizers 0.23 give them for the same files."""
    fetch.keep(_sentences.SOURCE)
    folder = source_files.original_folder(_sentences.SOURCE)
    found = _sentences.embed(["a photo of a t shirt", "Très bien, Straße! 日本 unbelievably"], folder)
    assert found[:, :4].numpy() == pytest.approx(
        np.array(
            [[-0.04885168, 0.13713023, -0.03103703, -0.01706040], [0.06469052, 0.07363444, 0.04999622, -0.02230474]]
        ),
        abs=1e-5,
    )
