"""Scikit-learn's 1,797 handwritten digits (8 x 8), three of the ten classes: a user's dataset for the tests.

Source: UCI "Optical Recognition of Handwritten Digits", as scikit-learn ships it.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from shiftbench.base.sample import Sample

TASK = "classification"
LICENCE = "CC BY 4.0"
CITATION = "Alpaydin and Kaynak 1998, UCI Machine Learning Repository"
REDISTRIBUTE = True
SOURCES = ()
NATIVE = ("all",)
ASSETS = ("classes.txt",)
PARAMS: dict[str, object] = {"first": 0}

CLASSES = tuple(Path(__file__).with_name("classes.txt").read_text().split())


def samples(split: str, sources: dict[str, Path], params: dict[str, object]) -> Iterator[Sample]:
    """Yield three digits from `first` on, called 0 to 2, enlarged to 32 x 32 by repeating pixels."""
    from sklearn.datasets import load_digits  # takes a second, and a plan reads no data

    digits = load_digits()
    for number, (image, digit) in enumerate(zip(digits.images, digits.target, strict=True)):
        label = int(digit) - int(str(params["first"]))
        if 0 <= label < len(CLASSES):
            large = np.kron((image * 15).astype(np.uint8), np.ones((4, 4), np.uint8))[2:30, 2:30]
            yield Sample(f"{params['name']}/all/{number:04d}", {"image": np.ascontiguousarray(large), "label": label})
