"""shiftbench: from params.yaml to a report. The plan names every job; Snakemake orders and runs them."""


include: "workflow/rules/jobs.smk"  # PLAN, and a rule for each of its jobs


rule all:
    default_target: True
    input:
        PLAN.targets("report"),


for (
    name,
    made,
) in PLAN.named.items():  # sources, shards, ... tables, systems, systems/palm, ...

    rule:
        name:
            name
        input:
            made,
