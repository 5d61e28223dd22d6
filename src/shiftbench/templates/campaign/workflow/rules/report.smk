for job in PLAN.of_verb("report"):

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
        shell:
            "shiftbench report --recipe {input.recipe} > {log} 2>&1"
