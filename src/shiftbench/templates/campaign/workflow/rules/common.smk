import sys

from shiftbench import plan as plans

PLAN, ROOT = plans.load(config.get("scale"))
AWAKE = PLAN.awake(ROOT)
if workflow.is_main_process:
    PLAN.write(ROOT)
    for original in PLAN.left_out:
        print(original, file=sys.stderr)


def made(job):
    """What a job is made from; a job that nothing can wake does not look at time stamps."""
    paths = [ROOT / ref.path for ref in job.inputs]
    return paths if any(cell.ref in AWAKE for cell in job.cells) else ancient(paths)
