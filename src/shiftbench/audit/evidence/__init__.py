"""Readers of the audited files, which trust no digest: shards, tars, tables, checkpoints, environments, git.

`planned_rows` and `planned_sets` give the planned rows and sets.
"""
