for job in PLAN.of_verb("aggregate"):

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
            "shiftbench aggregate --recipe {input.recipe} > {log} 2>&1"


rule tables:
    input:
        [ROOT / path for path in PLAN.targets("aggregate")],
