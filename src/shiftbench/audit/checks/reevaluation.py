"""A sample of the recorded batches is evaluated again, without any cache, and gives the same rows.

Pass rule: of each (weights, method) `--sample` whole batches are drawn over all its positions (a batch is
`batch_size` samples in key order; batch size, threads and precision are the recorded ones), their shards read and,
where a shift is applied while reading, shifted again, and every column of their rows, and kept features, equals what
is recorded. It is done by a process that can reach nothing but the inputs of these records. Of a method that adapts
along a stream, everything before is walked again. What is not equal is worth what `fallback` says. Limits: a fault in
a share f of the batches is met with probability 1-(1-f)^k; CUDA does not promise equal bits even on one card.
"""

from collections.abc import Iterator

from shiftbench.audit.case import Case
from shiftbench.audit.finding import Finding, Note
from shiftbench.audit.reproduce import confinement
from shiftbench.audit.reproduce.evaluated_batches import Group, evaluated
from shiftbench.audit.reproduce.tolerance import judge

NUMBER, LEVEL = "A20", 3


def check(case: Case) -> Iterator[Finding | Note]:
    """Compare rows that came out again with the recorded ones."""
    done = evaluated(case)
    yield from done.problems
    for group in done.groups:
        yield from _group(case, group)
    if not done.groups:
        yield Note("nothing could be evaluated again")
    yield confinement.note()


def _group(case: Case, group: Group) -> Iterator[Finding | Note]:
    name = group.job.name
    if group.broken:
        why = f"it cannot be evaluated any more: {group.broken}"
        yield case.failed(group.first.ref, why)
        return
    for one in group.comparisons:
        if one.other:
            verdict, why = judge(case, group)
            yield case.finding(
                verdict,
                one.artifact.ref,
                f"evaluated again, {', '.join(one.other)} is other: {why}",
                sample=one.sample,
                expected="the recorded rows",
                found=str(one),
            )
    samples = sum(one.samples for one in group.comparisons)
    batches = sum(map(len, group.batches.values()))
    exact = "all rows equal" if group.exact else "not all rows equal"
    yield Note(f"{name}: {batches} batches of {len(group.comparisons)} positions, {samples} samples: {exact}")
