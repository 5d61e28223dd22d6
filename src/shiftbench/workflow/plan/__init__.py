"""From params.yaml and cards to jobs: which outputs there are, what decides each, and what is to be made.

May import the rooms below `workflow`, and nothing else of `workflow`.
"""
