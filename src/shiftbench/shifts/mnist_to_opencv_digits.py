"""MNIST to OpenCV's digits: the ten digits in other hands, at another size.

Domain shift between digit sets as in Ganin & Lempitsky 2015, https://arxiv.org/abs/1409.7495 (there MNIST
to SVHN and others). The 5,000 digits are the sample picture `digits.png` of OpenCV. The clean
partner is MNIST's test split.
"""

from __future__ import annotations

DOMAIN = {"dataset": "opencv_digits", "clean": "mnist", "split": "test"}
PARAMS: dict[str, object] = {}
