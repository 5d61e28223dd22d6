for job in PLAN.of_verb("evaluate"):

    rule:
        name:
            job.rule
        input:
            recipe=ROOT / job.recipe_path,
            made=made(job),
        output:
            [update(ROOT / path) for path in job.outputs],
        log:
            ROOT / f"logs/{job.verb}/{job.name}.log",
        resources:
            gpu=config.get("gpu", 0),
        shell:
            "shiftbench evaluate --recipe {input.recipe} > {log} 2>&1"
