"""Metrics by theme: each is a function under a decorator of `plugins.declare`, or a file; see docs/extending.md.

| decorator, KIND | computed from                         | a file defines                                         |
| --------------- | ------------------------------------- | ------------------------------------------------------ |
| sample          | rows of one condition, `COLUMNS`      | `reduce(rows, **options)` -> Contributions,            |
|                 |                                       | `finish(sums, **options)` -> values                    |
| resampled       | rows of one condition, `COLUMNS`      | `compute(rows, weights, **options)` -> values, for     |
|                 |                                       | values that are no function of sums over samples       |
| path            | rows of one shift at all severities,  | `reduce(path, **options)` -> Contributions,            |
|                 | joined by key, `COLUMNS`              | `finish(sums, path, **options)` -> values by severity, |
|                 |                                       | None for the path as a whole                           |
| detection       | OOD scores of an ID and an OOD set    | `compute(sides, **options)` -> values; OOD is positive |
| failure         | OOD scores of an ID set, and which    | `compute(scores, correct, weights, **options)`         |
|                 | predictions are correct               | -> values                                              |
| curve           | rows of `sources(options)`            | `compute(rows, **options)` -> list of Row              |

A decorated function is the `reduce` or `compute` of its kind. A file also has `Options`, `UNIT`, `RANGE` and
`HIGHER_IS_BETTER`. Values are float64 (1 + resamples,), first those on the data, and NaN where they are not defined.
`BIASED = True` is for a metric that noise raises and that is never negative, as ECE; its intervals are
`intervals.biased`.
"""
