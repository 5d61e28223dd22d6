"""The contract of the optimizers family; a new file in optimizers/ is tested by existing."""

from shiftbench.contracts.optimizers import *  # noqa: F403
