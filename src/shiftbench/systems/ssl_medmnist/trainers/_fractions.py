"""Which training samples keep their label: a share of each class.

    n_c = max(1, int(int(f N) N_c / N))

Source: `sample_balanced_data` of src/downstream/semisupervised.py (KarahanS/Self-Supervised-Learning-for-Medical-Image-
Analysis), which is stratified, whatever its name says. Differs: it leaves a rare class without a sample, where n_c
rounds down to 0; one is kept here. Its draws are of a seed that is the clock's.
"""

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.errors import ParamsError
from shiftbench.base.rng import RandomStream


def counts(labels: NDArray[np.int64], fraction: float) -> dict[int, int]:
    """Return how many samples of each class keep their label.

    Raises:
        ParamsError: `fraction` is no share above 0.
    """
    if not 0 < fraction <= 1:
        raise ParamsError(f"fraction is {fraction:g}; expected above 0, and 1 at most")
    total = int(len(labels) * fraction)
    known, found = np.unique(labels, return_counts=True)
    return {int(label): max(1, int(total * (count / len(labels)))) for label, count in zip(known, found, strict=True)}


def rows(labels: NDArray[np.int64], fraction: float, words: tuple[int, str, str]) -> NDArray[np.int64]:
    """Return the rows of the samples that keep their label, ascending; all of them at a fraction of 1.

    Args:
        labels: int (n,).
        fraction: of the samples, in (0, 1].
        words: seed, purpose and dataset, by which the draw of each class is keyed; a smaller fraction's samples are
            among a larger one's.
    """
    kept = counts(labels, fraction)
    if fraction == 1:
        return np.arange(len(labels))
    drawn = []
    for label, count in kept.items():
        own = np.flatnonzero(labels == label)
        drawn.append(own[RandomStream(*words, f"{label}").choice(len(own))[:count]])
    return np.sort(np.concatenate(drawn))
