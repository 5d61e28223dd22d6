import os
import sys
import threading

from snakemake.persistence import PersistenceBase
from snakemake.scheduling.job_scheduler import JobScheduler

from shiftbench import rules

# After a job that fails half-way, Snakemake puts old bytes back, which then stand under new receipts.
PersistenceBase.backup_output = lambda self, path: None
PersistenceBase.restore_output = lambda self, path: False


def look_again(scheduler, delay):
    """Start a timer unless one runs."""
    if not getattr(scheduler, "_looks_again", False):
        scheduler._looks_again = True
        threading.Timer(delay, look_now, [scheduler]).start()


def look_now(scheduler):
    scheduler._looks_again = False
    scheduler._open_jobs.release()


# Snakemake's limit on jobs per second starts a timer at each look at the jobs, which makes it look again: after n jobs it
# looks n times a second, at every input of every job that is ready.
JobScheduler._schedule_reevalutation = look_again

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
