for job in PLAN.of_verb("shift"):

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
        group:
            job.group
        resources:
            **rules.resources(job.verb, config),
        shell:
            LIMIT + "shiftbench shift --recipe {input.recipe} > {log} 2>&1"


rule shards:
    input:
        PLAN.targets("shift"),
