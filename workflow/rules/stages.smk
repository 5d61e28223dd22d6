# A job is one file of recipes/STAGE/: what it makes, from what, by which code. It waits for the jobs that make its inputs.
# Its output here is a marker, which the plan removes where receipts say that there is something to do. Wildcards:
#   job    which of the stage: digits/convnet-erm-s0
#   root   where outputs are: nothing for params.yaml, build/smoke/, build/systems/palm/
# Inputs are ancient(), since the time of a marker means nothing.
# Memory and time are limits for a cluster, no forecast: --set-resources train:mem_mb=32000 says otherwise.
import os


wildcard_constraints:
    root="(.+/)?",


# Where nothing else ends a job at its time (Kubernetes' executor), its profile asks for this.
LIMIT = "timeout {resources.runtime}m " if "SHIFTBENCH_LIMIT_TIME" in os.environ else ""


# What the plan knows of each stage's jobs: what they wait for, how urgent they are.
FETCH, SHIFT, TRAIN, EVALUATE, SCORE, AGGREGATE, REPORT = PLAN.stages()


rule fetch:  # source files, checked by sha256
    input:
        recipe=ancient("{root}recipes/fetch/{job}.json"),
    output:
        touch("{root}logs/jobs/fetch/{job}.done"),
    log:
        local("{root}logs/fetch/{job}.log"),
    priority: FETCH.priority
    localrule: True  # nodes of a cluster often reach no registry
    resources:
        mem_mb=2000,
        runtime=120,
    params:
        again=FETCH.again,
    shell:
        LIMIT
        + "shiftbench fetch --recipe {input.recipe:q} {params.again} > {log:q} 2>&1"


rule shift:  # shards of a data set under a shift, at all severities
    input:
        ancient(SHIFT.needs),
        recipe=ancient("{root}recipes/shift/{job}.json"),
    output:
        touch("{root}logs/jobs/shift/{job}.done"),
    log:
        local("{root}logs/shift/{job}.log"),
    priority: SHIFT.priority
    group:
        SHIFT.group
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        again=SHIFT.again,
    shell:
        LIMIT
        + "shiftbench shift --recipe {input.recipe:q} {params.again} > {log:q} 2>&1"


rule train:  # checkpoints
    input:
        ancient(TRAIN.needs),
        recipe=ancient("{root}recipes/train/{job}.json"),
    output:
        touch("{root}logs/jobs/train/{job}.done"),
    log:
        local("{root}logs/train/{job}.log"),
    priority: TRAIN.priority
    resources:
        mem_mb=8000,
        runtime=720,
        gpu=None,  # --set-resources train:gpu=1, as in profiles/gpu
    params:
        device=TRAIN.device,  # cuda where it was given a GPU, else cpu
        again=TRAIN.again,
    shell:
        LIMIT
        + "shiftbench train --recipe {input.recipe:q} --device {params.device} {params.again} > {log:q} 2>&1"


rule evaluate:  # what a model answers: one row per sample
    input:
        ancient(EVALUATE.needs),
        recipe=ancient("{root}recipes/evaluate/{job}.json"),
    output:
        touch("{root}logs/jobs/evaluate/{job}.done"),
    log:
        local("{root}logs/evaluate/{job}.log"),
    priority: EVALUATE.priority
    resources:
        mem_mb=8000,
        runtime=240,
        gpu=None,  # --set-resources evaluate:gpu=1, as in profiles/gpu
    params:
        device=EVALUATE.device,  # cuda where it was given a GPU, else auto
        again=EVALUATE.again,
    shell:
        LIMIT
        + "shiftbench evaluate --recipe {input.recipe:q} --device {params.device} {params.again} > {log:q} 2>&1"


rule score:  # OOD scores of detectors, and analyses of models
    input:
        ancient(SCORE.needs),
        recipe=ancient("{root}recipes/score/{job}.json"),
    output:
        touch("{root}logs/jobs/score/{job}.done"),
    log:
        local("{root}logs/score/{job}.log"),
    priority: SCORE.priority
    resources:
        mem_mb=8000,
        runtime=240,
    params:
        again=SCORE.again,
    shell:
        LIMIT
        + "shiftbench score --recipe {input.recipe:q} {params.again} > {log:q} 2>&1"


rule aggregate:  # tables of metrics with their intervals
    input:
        ancient(AGGREGATE.needs),
        recipe=ancient("{root}recipes/aggregate/{job}.json"),
    output:
        touch("{root}logs/jobs/aggregate/{job}.done"),
    log:
        local("{root}logs/aggregate/{job}.log"),
    priority: AGGREGATE.priority
    resources:
        mem_mb=8000,
        runtime=120,
    params:
        again=AGGREGATE.again,
    shell:
        LIMIT
        + "shiftbench aggregate --recipe {input.recipe:q} {params.again} > {log:q} 2>&1"


rule report:  # the page, and the samples behind its numbers
    input:
        ancient(REPORT.needs),
        recipe=ancient("{root}recipes/report/{job}.json"),
    output:
        touch("{root}logs/jobs/report/{job}.done"),
    log:
        local("{root}logs/report/{job}.log"),
    priority: REPORT.priority
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        again=REPORT.again,
    shell:
        LIMIT
        + "shiftbench report --recipe {input.recipe:q} {params.again} > {log:q} 2>&1"
