"""Every consumed digest is the one that its producer recorded, and every receipt agrees with itself.

Pass rule: the fingerprint of a receipt is the sha256 of its recipe, and the recipe is of this output. `consumed` has
exactly the inputs that the recipe names upstream, each with the digest and the fingerprint of the input's own receipt.
A receipt has only fields that stages write. A missing input leaves the check incomplete.

Limits: no bytes of outputs are read.
"""

from collections.abc import Iterator
from typing import Any

from shiftbench.audit.case import Case
from shiftbench.audit.finding import Finding, Note
from shiftbench.base.refs import Ref
from shiftbench.provenance import recipe
from shiftbench.provenance.recipe import Artifact

NUMBER, LEVEL = "A3", 0
_FIELDS = {"fingerprint", "recipe", "made", "rows", "consumed", "facts"}
_FACTS = {"records": {"pixels"}, "features": {"pixels"}, "searches": {"effect"}}
"""Facts that receipts state in addition to digests, by kind of output."""


def check(case: Case) -> Iterator[Finding | Note]:
    """Compare each receipt with itself and with those of its inputs."""
    links = 0
    for ref, artifact, receipt in case.outputs():
        yield from _receipt(case, ref, receipt)
        yield from _inputs(case, ref, artifact, receipt)
        links += len(receipt["consumed"])
    yield Note(f"{len(case.complete)} receipts and {links} links between them")


def _receipt(case: Case, ref: Ref, receipt: dict[str, Any]) -> Iterator[Finding]:
    file = f"{ref.path}.receipt.json"
    own = recipe.fingerprint(receipt["recipe"])
    why = "the receipt was edited: its fingerprint is not the digest of its recipe"
    yield from case.expect(ref, why, own, receipt["fingerprint"], file=file)
    unknown = receipt.keys() - _FIELDS
    unknown |= {f"facts.{name}" for name in (receipt.get("facts") or {}).keys() - _FACTS.get(ref.kind, set())}
    if unknown:
        why = "the receipt holds fields that no stage writes"
        yield case.failed(ref, why, file=file, found=", ".join(sorted(unknown)))
    output, why = receipt["recipe"].get("output"), "the receipt is another output's"
    yield from case.expect(ref, why, f"{ref.kind}/{ref.name}", output, file=file)


def _inputs(case: Case, ref: Ref, artifact: Artifact, receipt: dict[str, Any]) -> Iterator[Finding]:
    file = f"{ref.path}.receipt.json"
    upstream = receipt["recipe"].get("upstream", {})
    if upstream.keys() != receipt["consumed"].keys():
        why = "what was consumed is not what the recipe names"
        names = sorted(upstream.keys() ^ receipt["consumed"].keys())
        yield case.failed(ref, why, file=file, expected="the same paths", found=", ".join(names[:4]))
    for need in artifact.inputs:
        then = receipt["consumed"].get(need.path)
        producer = case.receipt(need)
        if producer is None or then is None:
            continue  # `chain` tells what is not here
        name = need.path.rpartition("/")[2]
        why = f"it was made from other bytes of {need.path} than the receipt there states"
        yield from case.expect(ref, why, then, producer["made"].get(name), file=file)
        if need.path in upstream:
            why = f"it was made from another recipe of {need.path} than the receipt there states"
            yield from case.expect(ref, why, upstream[need.path], producer["fingerprint"], file=file)
