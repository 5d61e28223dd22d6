"""From rows of samples to numbers with intervals: the one resampler, the engine behind metrics, expressions, claims.

May import `base` and `data`.
"""
