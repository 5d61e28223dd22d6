"""Storage of outputs: DVC's cache and remotes, pulls, and shards that stream while they are read.

May import the rooms below `workflow`, and `workflow.plan`.
"""
