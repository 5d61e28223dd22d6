"""Where bytes are kept and brought from: DVC's cache and remotes, pulls, shards that stream while they are read.

May import the rooms below `workflow`, and `workflow.plan`.
"""
