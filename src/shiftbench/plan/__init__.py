"""From params.yaml and cards to jobs: which outputs there are, what decides each, and what is to be made.

May import everything below: base modules, `data`, `statistics`, `inference`, `provenance`, families; never a stage.
"""
