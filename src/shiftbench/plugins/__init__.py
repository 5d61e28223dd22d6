"""Plugins, one folder for each type: data sets, shifts, models, trainers, methods, detectors, metrics and more.

`shiftbench.base.registry` finds them by name. `contracts` has what they are given and return. They may import `base`,
`data`, `evaluation` and `statistics`. `sources/` has the cards of downloads.
"""
