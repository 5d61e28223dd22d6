"""Timers that Snakemake's scheduler leaves at the end of a run."""

import threading


def end() -> None:
    """Cancel the scheduler's pending checks of open jobs, for which the process would wait.

    Each check starts a timer for the next one, and each finished job starts one more check. The checks per second
    therefore grow with the finished jobs (https://github.com/snakemake/snakemake/pull/3744), and the profile states its
    limit of jobs per minute (`max-jobs-per-timespan`).
    """
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.cancel()
