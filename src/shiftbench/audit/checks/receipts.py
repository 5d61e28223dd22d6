"""Checks of receipts: the chain from a published number to the original bytes, and the links between receipts."""

import csv
import functools
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from shiftbench.audit.case import Case, Flaw, upstream
from shiftbench.audit.check import check
from shiftbench.audit.finding import Finding, Note, some
from shiftbench.base.errors import DataError
from shiftbench.base.files import from_json
from shiftbench.base.refs import Ref
from shiftbench.provenance import recipe
from shiftbench.provenance.recipe import Artifact
from shiftbench.release import submission
from shiftbench.workflow.storage import dvc_config, dvc_lock

_LINKS = ("code", "upstream")
_CURES = {
    "sources": "source files are not shared; `snakemake sources` fetches them from their providers",
    "features": "a cache that is not pulled unless asked for; `shiftbench pull features`",
}


@check("A2", level=0)
def chain(case: Case) -> Iterator[Finding | Note]:
    """Every published number has its evidence, from its row down to the original bytes.

    Pass rule: each row of the tables and each figure of the report belongs to a planned benchmark and one of its
    models. The report, the tables and all their inputs have an output, a receipt whose recipe holds `code` and
    `upstream`, and a run file. A missing link is a failure, never a skip. The check is incomplete if an output is
    wholly absent: a partial clone lacks shards, a licence may forbid sharing, and source files are never pushed. It is
    also incomplete if DVC has recorded an output that was not pulled, or if `shiftbench submit` left it out.

    Limits: other checks compare the bytes with the receipts.
    """
    inputs = upstream(case.plan, [ref for ref in case.plan.artifacts if ref.kind in ("tables", "report")])
    links = [ref for ref in case.plan.artifacts if ref in inputs]
    if not any(case.state(ref) != "absent" for ref in links):
        why = "there are no results yet: `make run` makes them, `shiftbench pull` fetches recorded ones"
        yield case.incomplete("results", why)
        yield Note(f"{len(links)} outputs are planned, none of them is here")
        return
    yield from _absent(case, [ref for ref in links if case.state(ref) == "absent"])
    recorded = functools.cache(lambda: _recorded(case.root))
    wrong, left = list[Flaw](), list[Ref]()
    submitted = Path(submission.ABOUT).is_file()
    for ref in links:
        if case.state(ref) == "complete":
            wrong += _complete(case, ref)
        elif case.state(ref) == "no output" and (case.root / ref.path).resolve() in recorded():
            yield case.incomplete(ref, f"not pulled; `shiftbench pull {ref.path}`")
        elif case.state(ref) == "no output" and submitted and submission.leaves_out(ref):
            left.append(ref)
        elif case.state(ref) != "absent":
            wrong.append((ref, _BROKEN[case.state(ref)], {}))
    if left:
        why = f"{len(left)} outputs are not in this submission (data, checkpoints, caches); their receipts are"
        yield case.incomplete(left[0], why)
    yield from case.grouped(wrong)
    figures = sum(map(len, case.metrics.values()))
    yield from _figures(case)
    yield Note(f"{figures} rows of tables; {len(links)} outputs behind them")


_BROKEN = {
    "no output": "the output is missing, and dvc.lock does not name it; `make run` makes it again",
    "no receipt": "its receipt is missing or damaged, so that its inputs are unknown; `make run` makes it again",
}


def _absent(case: Case, refs: list[Ref]) -> Iterator[Finding]:
    """Yield one finding per folder of missing outputs: a partial clone lacks thousands."""
    groups: dict[tuple[str, str, bool], list[Ref]] = {}
    for ref in refs:
        groups.setdefault((ref.kind, ref.parts[0], ref.local), []).append(ref)
    for (kind, home, local), members in groups.items():
        planned = [ref for ref in case.plan.artifacts if (ref.kind, ref.parts[0]) == (kind, home)]
        cure = _CURES.get(kind, "`shiftbench pull` fetches recorded ones, `make run` makes the others")
        cure = "a licence forbids sharing; `snakemake shards` makes them" if local else cure
        why = f"{len(members)} of {len(planned)} {kind} of {home} are not here: {cure}"
        common = os.path.commonpath([PurePosixPath(ref.path).parent for ref in members])
        place = common if len(members) > 1 else members[0].path
        yield case.incomplete(place, why, expected=some(ref.name for ref in members), found="nothing there")


def _recorded(root: Path) -> set[Path]:
    """Files that DVC has recorded, as far as their listings are here."""
    try:
        home = dvc_config.home_of(root)
        return {home / path for path in dvc_lock.paths(home)}
    except DataError:
        return set()


def _complete(case: Case, ref: Ref) -> Iterator[Flaw]:
    receipt = case.receipt(ref) or {}
    file = {"file": f"{ref.path}.receipt.json"}
    missing = [name for name in _LINKS if name not in receipt["recipe"]]
    if missing:
        why = f"the recipe in its receipt holds no {' and no '.join(missing)}: the chain ends here"
        yield ref, why, {**file}
    if Path(ref.path).name not in receipt["made"]:
        yield ref, "its receipt states no digest of it", {**file}
    if case.run_file(ref) is None:
        why = "its run file, with environment, time and commit, is missing or damaged; restore it, or run again"
        yield ref, why, {"file": f"{ref.path}.run.json"}


# ------------------------------------------------------------------------------ printed figures


def _figures(case: Case) -> Iterator[Finding]:
    """Yield the figures of tables and report that no plan contains."""
    known: set[tuple[str, str]] = set()
    for name, benchmark in case.plan.benchmarks.items():
        models = {row["model"] for row in case.plan.rows(benchmark)} | case.observed(name, "model")
        known |= {(name, of) for model in models for of in (model, model.rsplit("-s", 1)[0])}  # means over seeds, too
    for name, table in case.metrics.items():
        printed = set(table.select("benchmark", "model").unique().iter_rows())
        yield from _foreign(case, Ref("tables", name), Ref("tables", name).path, printed - known)
    report = Ref("report", "index")
    folder = Path(report.path).parent
    for name in ("leaderboard.csv", "curves.csv"):
        if (case.root / folder / name).is_file():
            with (case.root / folder / name).open(newline="") as stream:
                printed = {(row["benchmark"], row["model"]) for row in csv.DictReader(stream)}
            yield from _foreign(case, report, str(folder / name), printed - known)
    summary = case.root / folder / "metrics.json"
    if summary.is_file():
        others = from_json(summary.read_bytes()).keys() - case.plan.benchmarks.keys()
        yield from _foreign(case, report, str(folder / summary.name), {(name, "") for name in others})


def _foreign(case: Case, ref: Ref, file: str, extra: set[tuple[str, str]]) -> Iterator[Finding]:
    for benchmark, model in sorted(extra):
        name = " ".join(filter(None, (benchmark, model)))
        why = f"figures of {name} are printed, which params do not name; run again"
        yield case.failed(ref, why, file=file)


_FIELDS = {"fingerprint", "recipe", "made", "rows", "consumed", "facts"}
_FACTS = {"records": {"pixels"}, "features": {"pixels"}, "searches": {"effect"}}
"""Facts that receipts state in addition to digests, by kind of output."""


@check("A3", level=0)
def coherence(case: Case) -> Iterator[Finding | Note]:
    """Every consumed digest is the one that its producer recorded, and every receipt agrees with itself.

    Pass rule: the fingerprint of a receipt is the sha256 of its recipe, and the recipe is of this output. `consumed`
    has exactly the inputs that the recipe names upstream, each with the digest and the fingerprint of the input's own
    receipt. A receipt has only fields that stages write. A missing input leaves the check incomplete.

    Limits: no bytes of outputs are read.
    """
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
