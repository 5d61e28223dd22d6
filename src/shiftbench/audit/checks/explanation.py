"""Each difference of bytes is explained: which member, sample and pixels, and what differs in the environment.

Pass rule: for each mismatch of another check, the file and in shards the sample are here and can be read. The note
says which member differs, how many pixels differ and by how much, against the sample that level 2 made again. Without
such a sample, it says whether the bytes decode to the recorded pixels. It also names the libraries, codecs and CPU
features that differ from the run file. Role model: diffoscope.

Limits: it cannot say who changed a byte.
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
