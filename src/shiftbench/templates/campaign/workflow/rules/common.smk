import sys

from shiftbench import plan as plans

PLAN, ROOT = plans.load(config.get("scale"))
AWAKE, LACKING = PLAN.standing(ROOT)
if workflow.is_main_process:
    PLAN.write(ROOT)
    for original in PLAN.left_out:
        print(original, file=sys.stderr)


def made(job):
    """What a job's cells are made from; a job at rest has no input but its recipe."""
    awake = [cell.ref for cell in job.cells if cell.ref in AWAKE]
    lacking = [cell.ref for cell in job.cells if cell.ref in LACKING]
    paths = [ROOT / ref.path for ref in job.inputs_of(awake or lacking)]
    return paths if awake else ancient(paths)
