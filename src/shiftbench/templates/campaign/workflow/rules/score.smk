for job in PLAN.of_verb("score"):

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
            "shiftbench score --recipe {input.recipe} > {log} 2>&1"


rule records:
    input:
        [ROOT / path for path in PLAN.targets("evaluate") + PLAN.targets("score")],
