"""What a number of the report is of: a set of samples, as it is or under a shift."""

Cell = tuple[str, str, str | None, float | None]
"""Dataset, split, shift, severity."""
