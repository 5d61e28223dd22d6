for job in PLAN.of_verb("shift"):

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
            "shiftbench shift --recipe {input.recipe} > {log} 2>&1"


rule shards:
    input:
        [ROOT / path for path in PLAN.targets("shift")],
