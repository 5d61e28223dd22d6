"""A miniature of the Brown corpus in its form: documents of every genre, out of few words with tags."""

from pathlib import Path

import numpy as np

WORDS = "the of and a to in that is was for it with as his on be at by I this had not are but from".split()
NOUNS = "check sum house river paper winter music letter".split()


def write(folder: Path, documents: int = 12, sentences: int = 40) -> Path:
    """Write so many documents of each of the fifteen genres; each genre has words of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    for genre in "abcdefghjklmnpr":
        for number in range(1, documents + 1):
            lines = [_sentence(random, genre) for _ in range(sentences)]
            (folder / f"c{genre}{number:02d}").write_text("\n\n\t" + "\n".join(lines) + "\n", "latin-1")
    return folder


def _sentence(random: np.random.Generator, genre: str) -> str:
    """Return a sentence of a first-order chain, so that generators have something to learn."""
    at, words = int(random.integers(len(WORDS))), []
    for _ in range(int(random.integers(6, 14))):
        at = (at * 7 + int(random.integers(4))) % len(WORDS)
        words.append(WORDS[at])
        if random.random() < 0.3:
            words.append(NOUNS[int(random.integers(len(NOUNS)))] + (genre if random.random() < 0.2 else ""))
    words[0] = words[0].capitalize()
    return " ".join(f"{word}/x" for word in words) + " ?/. ?/."
