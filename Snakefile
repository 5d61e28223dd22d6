"""shiftbench: from params.yaml to a report. The plan names every job; Snakemake orders and runs them."""

import sys

from shiftbench import plan as plans

PLAN, ROOT = plans.load(config.get("scale"))
AWAKE = PLAN.awake(ROOT)
if workflow.is_main_process:
    PLAN.write(ROOT)
    for original in PLAN.left_out:
        print(original, file=sys.stderr)


def made(job):
    """What a job is made from; a job at rest does not look at time stamps."""
    paths = [ROOT / ref.path for ref in job.inputs]
    return paths if any(cell.ref in AWAKE for cell in job.cells) else ancient(paths)


container: None


rule all:
    default_target: True
    input:
        [ROOT / path for path in PLAN.targets("report")],


include: "workflow/rules/fetch.smk"
include: "workflow/rules/shift.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/score.smk"
include: "workflow/rules/aggregate.smk"
include: "workflow/rules/report.smk"
