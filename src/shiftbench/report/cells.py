"""The condition of a number in the report: a set of samples, as it is or under a shift."""

Cell = tuple[str, str, str | None, float | None]
"""Dataset, split, shift, severity."""
