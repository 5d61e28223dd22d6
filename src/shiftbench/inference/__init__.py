"""A model at work on samples: nets and their predictors, batches, shifts applied to samples, features kept.

May import the base modules and `data`.
"""
