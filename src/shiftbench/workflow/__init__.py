"""From params.yaml to results: the plan, the engine that runs its jobs, the stages, and the storage of outputs.

May import everything but `audit`, `release` and `cli`. Snakemake's rules are in the repository's `workflow/rules/`.
"""
