"""The checks: functions under `@check`, which `audit/check.py` finds; those of one theme share a file.

A check yields findings, and notes of what was checked; a check that yields nothing has failed. Its docstring has its
pass rule and its limits. Files do not import each other. Their common code is in `evidence`, `recompute`, `reproduce`.
"""
