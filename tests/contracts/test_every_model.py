"""The contract of the models family; a new file in models/ is tested by existing."""

from shiftbench.contracts.models import *  # noqa: F403
