for job in PLAN.of_verb("evaluate"):

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
        params:
            device=rules.device(job.verb, config),
        shell:
            LIMIT
            + "shiftbench evaluate --recipe {input.recipe} --device {params.device} > {log} 2>&1"
