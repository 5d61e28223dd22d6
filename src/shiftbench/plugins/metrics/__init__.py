"""Metrics: one file each; see docs/extending.md.

| KIND      | computed from                         | defines                                                |
| --------- | ------------------------------------- | ------------------------------------------------------ |
| sample    | records of one cell, `COLUMNS`        | `reduce(rows, **params)` -> Contributions,             |
|           |                                       | `finish(sums, **params)` -> values                     |
| resampled | records of one cell, `COLUMNS`        | `compute(rows, weights, **params)`, where the samples  |
|           |                                       | do not simply add up                                   |
| path      | records of one shift at rising        | `reduce(path, **params)` -> Contributions,             |
|           | severity, by key, `COLUMNS`           | `finish(sums, path, **params)` -> values by severity,  |
|           |                                       | None for the path as a whole                           |
| detection | OOD scores of an ID and an OOD set    | `compute(id, ood, id_weights, ood_weights, **params)`  |
| failure   | OOD scores of an ID set, which        | `compute(scores, correct, weights, **params)`          |
|           | predictions are right                 |                                                        |
| curve     | rows of `sources(params)`             | `compute(rows, **params)` -> list of Row               |

All declare `PARAMS`, `UNIT`, `RANGE` and `HIGHER_IS_BETTER`; values are float64 (1 + draws,), the data
as they are first, NaN where not defined. `BIASED = True` says that noise raises a metric that is never negative, as
it does ECE; its intervals are then `intervals.biased`.
"""
