"""shiftbench: from params.yaml to a report, in seven stages. The plan names every job; Snakemake orders and runs them.

snakemake                         # everything that params.yaml asks for, and its report
snakemake checkpoints             # or sources, shards, records, tables
snakemake --config params=smoke    # params/smoke.yaml laid over it
snakemake systems/palm            # a published system, or systems for all
"""

import sys

from shiftbench.workflow.engine import requests, scheduling, terminal, warm
from shiftbench.workflow.plan import planned_jobs

with terminal.plainly():
    ASKED = requests.read(sys.argv[1:] if workflow.is_main_process else [])
    PLAN = planned_jobs.load(config, main=workflow.is_main_process, request=ASKED)
terminal.expect(PLAN)
warm.forget()


onstart:
    if PLAN.runs:
        warm.start()


onsuccess:
    scheduling.end()


onerror:
    scheduling.end()


include: "workflow/rules/stages.smk"  # a rule for each stage


rule all:
    default_target: True
    input:
        PLAN.targets.get("all", ()),


for name in PLAN.targets.keys() & {*ASKED.targets} - {"all"}:  # shards, systems/palm

    rule:
        name:
            name
        input:
            PLAN.targets[name],
