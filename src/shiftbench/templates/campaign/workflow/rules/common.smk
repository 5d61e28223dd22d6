from shiftbench import rules

PLAN = rules.load(config.get("scale"), main=workflow.is_main_process)


def made(job):
    """What a job's cells are made from; a job at rest has no input but its recipe."""
    return job.inputs if job.awake else ancient(job.inputs)
