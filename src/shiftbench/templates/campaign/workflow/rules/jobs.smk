import os
import sys

from shiftbench.plan import snakemake_rules as rules
from shiftbench.engine import internals, terminal

internals.adapt(
    warm=workflow.is_main_process and not internals.names_executor(sys.argv[1:])
)

internals.keep()
SHOWS = internals.shows(sys.argv[1:])  # the workflow, and makes nothing: all of it
with terminal.plainly():
    PLAN = rules.load(
        config.get("scale"),
        main=workflow.is_main_process,
        targets=internals.targets(sys.argv[1:]),
        whole=SHOWS,
    )
internals.keep()
terminal.expect(PLAN.rules, PLAN.pages)

# Where nothing else ends a job at its time (Kubernetes' executor), its profile asks for this.
LIMIT = "timeout {resources.runtime}m " if "SHIFTBENCH_LIMIT_TIME" in os.environ else ""


for job in PLAN.rules:

    rule:
        name:
            job.rule
        input:
            recipe=job.recipe,
            made=ancient(job.inputs) if SHOWS else job.inputs,  # those that this run makes
        output:
            [update(path) for path in job.outputs],
        log:
            local(job.log),
        priority: job.priority
        group:
            job.group
        localrule: job.verb == "fetch"  # nodes of a cluster often reach no registry
        resources:
            **rules.resources(job.verb, config),
        params:
            verb=job.verb,
            options=rules.options(job.verb, config),
        shell:
            LIMIT
            + "shiftbench {params.verb} --recipe {input.recipe:q} {params.options} > {log:q} 2>&1"

    # Each command is formatted with a copy of all globals, of which a rule would be one.
    del globals()[f"__{job.rule}"]
