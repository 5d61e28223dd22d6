"""Every method: what it declares, and that it answers each sample in its place."""

from shiftbench.contracts.methods import *  # noqa: F403
