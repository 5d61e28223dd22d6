from snakemake.persistence import PersistenceBase

from shiftbench import rules

# After a job that fails half-way, Snakemake puts old bytes back, which then stand under new receipts.
PersistenceBase.backup_output = lambda self, path: None
PersistenceBase.restore_output = lambda self, path: False

PLAN = rules.load(config.get("scale"), main=workflow.is_main_process)


def made(job):
    """What a job's cells are made from; a job at rest has no input but its recipe."""
    return job.inputs if job.awake else ancient(job.inputs)
