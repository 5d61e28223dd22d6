"""What Snakemake's scheduler leaves behind at the end of a run."""

import threading


def end() -> None:
    """Cancel the looks at open jobs that are still planned, for which the process would wait.

    After each look the scheduler starts a timer for another one, and after each job that ends it looks once more, so
    that looks per second grow with the jobs that have ended (https://github.com/snakemake/snakemake/pull/3744). The
    profile therefore states its limit of jobs by the minute (`max-jobs-per-timespan`).
    """
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.cancel()
