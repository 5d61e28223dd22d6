"""Bytes that are not the recorded ones are explained: which member and sample, which pixels, what differs in machines.

Pass rule: each mismatch that another check found could be looked into: the file and, in shards, the sample are there
and can be taken apart. It says which member differs, how many pixels and by how much (against a sample that was made
again at level 2; before, whether what lies there decodes to the recorded pixels), and which library, codec or CPU
feature is another than in the run file. It cannot say who changed a byte. Role model: diffoscope.
"""

from collections.abc import Iterator

from shiftbench.audit.case import Case
from shiftbench.audit.evidence.byte_differences import explain
from shiftbench.audit.finding import Finding, Note

NUMBER, LEVEL = "A18", 2


def check(case: Case) -> Iterator[Finding | Note]:
    """Explain each mismatch that other checks found."""
    for ref, file, keys in case.mismatches:
        for key in keys or (None,):
            explanation = explain(case, ref, file, key)
            if "unexplained" in explanation:
                yield case.failed(ref, explanation["unexplained"], file=file, sample=key)
            else:
                place = f"{file}: sample {key!r}" if key else file
                yield Note(f"{place}: " + "; ".join(f"{name} {explanation[name]}" for name in explanation))
    if not case.mismatches:
        yield Note("no check found other bytes than the recorded ones, so there is nothing to explain")
