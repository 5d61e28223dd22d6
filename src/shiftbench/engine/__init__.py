"""How the jobs of a plan are run: Snakemake, told of each job, starts it warm and shows how far the run is.

Here are the process that forks jobs (`server`, and `client`, which talks to it), what the terminal shows, and
`internals`, the only module that reaches into Snakemake. It may import what a plan is made of; no stage imports it.
"""
