for job in PLAN.of_verb("train"):

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
            "shiftbench train --recipe {input.recipe} > {log} 2>&1"


rule weights:
    input:
        [ROOT / path for path in PLAN.targets("train")],
