"""OOD detectors: one file each, `fit` on training records and `score` of any; see docs/extending.md."""
