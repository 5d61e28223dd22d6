for job in PLAN.of_verb("aggregate"):

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
        resources:
            **rules.resources(job.verb, config),
        shell:
            LIMIT + "shiftbench aggregate --recipe {input.recipe} > {log} 2>&1"


rule tables:
    input:
        PLAN.targets("aggregate"),
