"""Models at work on samples: batches, predictors, shifts applied on the fly, language models, the sandbox for code.

May import `base` and `data`.
"""
