"""shiftbench: from params.yaml to a report. The plan names every job; Snakemake orders and runs them."""


include: "workflow/rules/common.smk"


rule all:
    default_target: True
    input:
        PLAN.targets("report"),


include: "workflow/rules/fetch.smk"
include: "workflow/rules/shift.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/score.smk"
include: "workflow/rules/aggregate.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/systems.smk"
