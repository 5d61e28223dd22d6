"""Tasks, one file each: fields of a sample, outputs of a model, and the row that records them.

docs/extending.md has the contract. `LabelSpace` maps a data set's labels into a model's classes.
"""

from shiftbench.plugins.tasks._classes import LabelSpace

__all__ = ["LabelSpace"]
