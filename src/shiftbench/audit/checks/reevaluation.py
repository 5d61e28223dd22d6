"""A sample of the recorded batches, evaluated again without any cache, gives the same rows.

Pass rule: for each (model, method), `--sample` whole batches are drawn over all conditions. A batch is `batch_size`
samples in key order; batch size, threads and precision are the recorded ones. The shards of a batch are read, and
shifted again if the shift is applied while reading. Every column of the rows, and kept features, equal the recorded
ones. The process can reach nothing but the inputs of these records. If the method adapts along a stream, everything
before the batch is evaluated again too. `fallback` judges differences.

Limits: a fault in a share f of the batches is detected with probability 1-(1-f)^k. CUDA does not promise equal bits,
even on one card.
"""

from collections.abc import Iterator

from shiftbench.audit.case import Case
from shiftbench.audit.finding import Finding, Note
from shiftbench.audit.reproduce import confinement
from shiftbench.audit.reproduce.evaluated_batches import Group, evaluate_again
from shiftbench.audit.reproduce.tolerance import judge

NUMBER, LEVEL = "A20", 3


def check(case: Case) -> Iterator[Finding | Note]:
    """Compare the rows of a second evaluation with the recorded ones."""
    done = evaluate_again(case)
    yield from done.problems
    for group in done.groups:
        yield from _group(case, group)
    if not done.groups:
        yield Note("nothing could be evaluated again")
    yield confinement.note()


def _group(case: Case, group: Group) -> Iterator[Finding | Note]:
    name = group.job.name
    if group.error:
        why = f"it cannot be evaluated again: {group.error}"
        yield case.failed(group.first.ref, why)
        return
    for one in group.comparisons:
        if one.other:
            verdict, why = judge(case, group)
            yield case.finding(
                verdict,
                one.artifact.ref,
                f"evaluated again, {', '.join(one.other)} differs: {why}",
                sample=one.sample,
                expected="the recorded rows",
                found=str(one),
            )
    samples = sum(one.samples for one in group.comparisons)
    batches = sum(map(len, group.batches.values()))
    exact = "all rows equal" if group.exact else "not all rows equal"
    yield Note(f"{name}: {batches} batches of {len(group.comparisons)} conditions, {samples} samples: {exact}")
