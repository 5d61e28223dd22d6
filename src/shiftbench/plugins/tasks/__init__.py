"""Kinds of task: what a sample holds, what a model answers, and the row that records one answer.

A task is one file; see docs/extending.md. `LabelSpace` maps a dataset's labels into a model's classes.
"""

from shiftbench.plugins.tasks._classes import LabelSpace

__all__ = ["LabelSpace"]
