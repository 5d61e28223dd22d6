"""MNIST to scikit-learn's digits: the ten digits in other hands, recorded at 8 px.

Domain shift between digit sets as in Ganin & Lempitsky 2015, https://arxiv.org/abs/1409.7495 (there MNIST
to SVHN and others). The digits are the UCI set of Alpaydin & Kaynak 1998,
https://doi.org/10.24432/C50P49, as scikit-learn ships it. The clean partner is MNIST's test split.
"""

from __future__ import annotations

DOMAIN = {"dataset": "digits", "clean": "mnist", "split": "test"}
PARAMS: dict[str, object] = {}
