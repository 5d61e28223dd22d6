"""What decided an output, and the proof: recipes, receipts, code digests, the environment of a run, locks.

May import `base` and `data`.
"""
