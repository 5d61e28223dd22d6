for job in PLAN.of_verb("fetch"):

    rule:
        name:
            job.rule
        localrule: True # nodes of a cluster often reach no registry
        input:
            recipe=job.recipe,
            made=made(job),
        output:
            [update(path) for path in job.outputs],
        log:
            job.log,
        resources:
            **rules.resources(job.verb, config),
        shell:
            "shiftbench fetch --recipe {input.recipe} > {log} 2>&1"
