"""What the contract tests of the package use, under the name that other tests know."""

from shiftbench.contracts.training_jobs import *  # noqa: F403
