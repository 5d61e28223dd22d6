for job in PLAN.of_verb("fetch"):

    rule:
        name:
            job.rule
        input:
            recipe=job.recipe,
            made=made(job),
        output:
            [update(path) for path in job.outputs],
        log:
            local(job.log),
        localrule: True  # nodes of a cluster often reach no registry
        resources:
            **rules.resources(job.verb, config),
        shell:
            LIMIT + "shiftbench fetch --recipe {input.recipe} > {log} 2>&1"


rule sources:
    input:
        PLAN.targets("fetch"),
