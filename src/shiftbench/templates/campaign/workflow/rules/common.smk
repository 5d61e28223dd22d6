import os
import sys

from snakemake.persistence import PersistenceBase

from shiftbench import rules

# After a job that fails half-way, Snakemake puts old bytes back, which then stand under new receipts.
PersistenceBase.backup_output = lambda self, path: None
PersistenceBase.restore_output = lambda self, path: False

PLAN = rules.load(
    config.get("scale"),
    main=workflow.is_main_process,
    words=sys.argv[1:],
)

# Where nothing else ends a job at its time (Kubernetes' executor), its profile asks for this.
LIMIT = "timeout {resources.runtime}m " if "SHIFTBENCH_LIMIT_TIME" in os.environ else ""


def made(job):
    """What a job's cells are made from; a job at rest has no input but its recipe."""
    return job.inputs if job.awake else ancient(job.inputs)
