"""Runs of jobs: requests to Snakemake, warm processes, the terminal.

May import what a plan is made of; no stage imports it. Nothing of Snakemake is replaced.
"""
