"""What lies there, read without trusting any digest: shards, tars, tables, weights, environments, git.

`planned_rows` and `planned_sets` say what is planned to be in them.
"""
