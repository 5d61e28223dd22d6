"""Every stream is an ordered list of positions, the same every time, and the plan can name them."""

from shiftbench.contracts.streams import *  # noqa: F403
