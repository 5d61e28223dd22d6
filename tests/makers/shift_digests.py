"""What the contract tests of the package use, under the name that other tests know."""

from shiftbench.contracts.shift_digests import *  # noqa: F403
