"""shiftbench: from params.yaml to a report. The plan names every job; Snakemake orders and runs them."""


include: "workflow/rules/jobs.smk"  # PLAN, and a rule for each of its jobs


rule all:
    default_target: True
    input:
        PLAN.targets("report"),


# sources, shards, weights, records, tables, systems, and systems/palm where it is asked for
for name, made in PLAN.named.items():

    rule:
        name:
            name
        input:
            made,
