"""Data at rest: formats of what stages exchange, shards, codecs, splits, and the source files that data come from.

May import `base`.
"""
