"""The contract of the detectors family; a new file in detectors/ is tested by existing."""

from shiftbench.contracts.detectors import *  # noqa: F403
