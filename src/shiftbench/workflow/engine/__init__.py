"""How the jobs of a plan are run: what Snakemake is asked for, jobs that start warm, what the terminal shows.

May import what a plan is made of; no stage imports it. Nothing of Snakemake is replaced.
"""
