"""What the contract tests of the package use, under the name that other tests know."""

from shiftbench.contracts.fake_open_clip import *  # noqa: F403
