"""Every metric: what it declares, its range, that order does not count and that a weight is a number of copies."""

from shiftbench.contracts.metrics import *  # noqa: F403
