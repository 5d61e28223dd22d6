"""Readers of the audited files, which trust no digest: shards, tars, tables, checkpoints, environments, git.

Most of them repeat a reader of the stages on purpose: a stage may refuse or skip what the audit has to find.
"""
