"""What the contract tests of the package use, under the name that other tests know."""

from shiftbench.contracts.metric_inputs import *  # noqa: F403
