"""OOD detectors, one file each: `fit` on training rows, `score` of any rows; see docs/extending.md."""
