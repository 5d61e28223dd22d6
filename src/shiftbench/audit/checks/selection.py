"""What is chosen is chosen on validation data alone, by a rule that is named, and no tested sample was learned from.

Pass rule: each search names its grid, its ID validation set and its validation OOD sets, none of which is tested; its
table has the points of the grid, in order, and the first of the best AUROC is the chosen one. Where all points give
one AUROC, their scores are computed again on ID val: they differ in some sample, or the search has no effect. Sets
that detection compares share no sample, as their overlaps say and as keys and pixel digests of the indexes say again;
no sample of a tested set is, by key or by content, among those that weights learned from or that a stream shows to
methods as support, and no OOD set has a split that weights learned from, as auxiliary outliers; `HOLDS_TESTED` in
a trainer's file excuses its weights, and is told. The digests cover all fields, so that a copy under another label is
only found by `overlaps` (between the sets of detection) or by `rebuild`. Duplicates that a dataset has across its
splits fail, too: the number counts them, whoever put them there; the default benchmark's datasets have none. Only a
new run asks whether the AUROC of a point is right.From level 1 on, up to 500 tested images are compared with up to
4,000 learned ones, drawn; nearly equal ones are noted with their number and the nearest (a net's test set may hold
such by nature).
"""

import itertools
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from shiftbench.audit.case import Case
from shiftbench.audit.evidence import near_duplicates, planned_sets, shard_folders
from shiftbench.audit.finding import Finding, Note, some
from shiftbench.audit.recompute import search_effect
from shiftbench.base.refs import Ref
from shiftbench.data import formats, schema
from shiftbench.provenance import recipe
from shiftbench.statistics import search_tables
from shiftbench.workflow.plan import detector_plan
from shiftbench.workflow.stages import detector_search

NUMBER, LEVEL = "A8", 0
_READS = 1
"""From this level on images are compared."""
_COLUMNS = {"key": "key", "pixels": "content"}


def check(case: Case) -> Iterator[Finding | Note]:
    """Look at each search, at each proof of disjoint sets, and at the sets themselves."""
    searches = 0
    for ref, _, receipt in case.of("searches"):
        searches += 1
        yield from _rule(case, ref, receipt["recipe"])
        yield from _table(case, ref, receipt)
    for ref, _, receipt in case.of("overlaps"):
        yield from _proof(case, ref, receipt["recipe"])
    yield from _known_outliers(case)
    yield from _declared(case)
    pairs = planned_sets.must_be_disjoint(case)
    here = [pair for pair in pairs if pair[0] in case.complete and pair[1] in case.complete]
    for pair in here:
        yield from _disjoint(case, *pair)
    if case.level >= _READS:
        yield from _near(case, here)
    yield Note(f"{searches} searches; {len(here)} of {len(pairs)} pairs of sets that must be disjoint are here")


def _near(case: Case, pairs: list[planned_sets.Pair]) -> Iterator[Note]:
    """Note images that are nearly equal in what a net learned from and in what is tested."""
    images = near_duplicates.Images(case)
    for one, other, _ in pairs:
        tested = [ref for ref in (one, other) if ref.parts[1] == "test"]
        learned = [ref for ref in (one, other) if ref.parts[1] == "train"]
        found = images.near(learned[0], tested[0]) if learned and tested else None
        if found is None:
            continue
        of, compared, count, pairs_found = found
        nearest = "; ".join(f"{a} and {b} ({apart:.2g} of 255 apart)" for apart, a, b in pairs_found)
        told = f"{count} of {compared} images of {tested[0].name} are nearly equal to one of {of} of {learned[0].name}"
        yield Note(f"{told}{f': {nearest}' if nearest else ''}", limits=count > 0)


# ---------------------------------------------------------------------------------- searches


def _rule(case: Case, ref: Ref, content: dict[str, Any]) -> Iterator[Finding]:
    """Look at what a search says it was made on."""
    missing = [name for name in ("grid", "id", "ood") if not content.get(name)]
    file = f"{ref.path}.receipt.json"
    if missing:
        why = f"the search does not name its {' and its '.join(missing)}: nobody can tell how options were chosen"
        yield case.failed(ref, why, file=file)
        return
    tested = _tested(case, ref)
    for name in (content["id"], *content["ood"]):
        dataset, split = Ref("records", name).parts[3:5]
        if (dataset, split) in tested:
            why = f"options were chosen on {dataset}/{split}, which is also tested"
            yield case.failed(ref, why, file=file, expected="a validation set", found=name)


def _tested(case: Case, ref: Ref) -> set[tuple[str, str]]:
    """Return the (dataset, split) that the benchmarks behind a search test."""
    request = detector_plan.request(case.plan.params, case.plan._conditions, ref)
    benchmarks = [case.plan.params.benchmarks[name] for name in request.benchmarks]
    return {(name, one.split) for one in benchmarks for name in (one.dataset, *one.ood_groups)}


def _table(case: Case, ref: Ref, receipt: dict[str, Any]) -> Iterator[Finding | Note]:
    """Look at what each point of the grid gave, and which was chosen."""
    rows = schema.read(case.root / ref.path, form=formats.SEARCHES).to_pylist()
    points = [recipe.canonical(point) for point in detector_search.grid_points(receipt["recipe"].get("grid", {}))]
    found = [row["options"] for row in rows]
    if found != points:
        why = "the points that were tried are not those of the grid"
        yield case.failed(ref, why, expected=some(points), found=some(found))
    fit = [row for row in rows if row["auroc"] is not None]
    best = max(fit, key=lambda row: row["auroc"], default=None)  # the first of equals
    chosen = [row["options"] for row in rows if row["chosen"]]
    if best is None or chosen != [best["options"]]:
        why = "the chosen options are not the first of the best: they were chosen by something else"
        expected = f"{best['options']} (AUROC {best['auroc']:.6g})" if best else "a point that fits"
        yield case.failed(ref, why, expected=expected, found=some(chosen))
        return
    yield from _effect(case, ref, receipt, rows)
    yield from _counts(case, ref, receipt["recipe"], rows)


def _effect(case: Case, ref: Ref, receipt: dict[str, Any], rows: list[dict[str, Any]]) -> Iterator[Finding | Note]:
    effect, stated = search_tables.effect(rows), receipt.get("facts", {}).get("effect")
    why = "which options mattered is not what the receipt states"
    yield from case.expect(ref, why, effect, stated, file=f"{ref.path}.receipt.json")
    fit = [row for row in rows if row["auroc"] is not None]
    if len(fit) > 1 and len({row["auroc"] for row in fit}) == 1:
        yield from _without_effect(case, ref, fit)


def _without_effect(case: Case, ref: Ref, fit: list[dict[str, Any]]) -> Iterator[Finding | Note]:
    """Ask whether the points of a search change any score, where all of them gave one AUROC."""
    same = f"all {len(fit)} points of {ref.name} give AUROC {fit[0]['auroc']:.6g}"
    artifact = case.plan.artifacts[ref]
    if not search_effect.is_cheap(artifact):
        yield Note(f"{same}; whether scores differ was not asked, since the detector sees the net again")
    elif not case.complete.keys() >= set(artifact.inputs):
        yield case.incomplete(ref, "whether the search has any effect cannot be told without what it was made from")
    elif search_effect.differ(case, ref, [row["options"] for row in fit]):
        yield Note(f"{same}: they change scores, not which samples they tell apart")
    else:
        why = "the search has no effect: every point of its grid gives every sample the same score"
        yield case.failed(ref, why, expected="scores that differ", found=same)


def _counts(case: Case, ref: Ref, content: dict[str, Any], rows: list[dict[str, Any]]) -> Iterator[Finding]:
    """Compare how many samples were searched on with the indexes."""
    for column, names in (("n_id", [content["id"]]), ("n_ood", content["ood"])):
        places = [_searched(case, name) for name in names]
        stated = {row[column] for row in rows}
        if case.complete.keys() >= set(places):
            there = sum(len(shard_folders.index(case, place)) for place in places)
            why = f"the search was made on another number of samples ({column})"
            yield from case.expect(ref, why, [there], sorted(stated))


def _searched(case: Case, records: str) -> Ref:
    dataset, split = Ref("records", records).parts[3:5]
    return planned_sets.clean_set(case, dataset, split)


# ------------------------------------------------------------------------------ disjoint sets


def _known_outliers(case: Case) -> Iterator[Finding]:
    """Look for OOD sets that weights learnt from: their classes are not unknown, whatever the split."""
    for name, benchmark in case.plan.benchmarks.items():
        learnt = {place.parts[0] for place in planned_sets.learnt(case, name)} - {benchmark.dataset}
        for dataset in sorted(learnt & benchmark.ood_groups.keys()):
            why = (
                f"weights of benchmark {name} learnt from {dataset}, which is tested as unknown: drop it from `ood`, "
                "or let them learn from another set"
            )
            yield case.failed(planned_sets.clean_set(case, dataset, benchmark.split), why)


def _declared(case: Case) -> Iterator[Note]:
    """Tell of weights that hold what is tested."""
    for name in case.plan.benchmarks:
        for ref in sorted(planned_sets.weights_of(case, name)):
            if why := planned_sets.holds_tested(case, ref):
                yield Note(f"{ref.name} of benchmark {name} holds what is tested: {why}", limits=True)


def _disjoint(case: Case, one: Ref, two: Ref, roles: str) -> Iterator[Finding]:
    if one == two:
        yield case.failed(two, f"one set plays two parts: {roles}")
        return
    for column, what in _COLUMNS.items():
        shared = _shared(case, one, two, column)
        if len(shared):
            rows = shard_folders.index(case, two)
            key = rows.column("key")[rows.column(column).to_pylist().index(shared[0].as_py())].as_py()
            why = f"{roles} share {len(shared)} sample(s) by {what}: take them out of {one.name} or of {two.name}"
            found = f"{len(shared)} of {len(rows)} are also in {one.name}"
            yield case.failed(two, why, sample=key, expected="none", found=found)
            return


def _shared(case: Case, one: Ref, two: Ref, column: str) -> pa.Array:
    a, b = (shard_folders.index(case, ref).column(column).combine_chunks() for ref in (one, two))
    return shard_folders.shared(a, b)


def _proof(case: Case, ref: Ref, content: dict[str, Any]) -> Iterator[Finding]:
    """Look at the overlaps of a benchmark: are they of its sets, and do those that must be disjoint share nothing?"""
    rows = schema.read(case.root / ref.path, form=formats.OVERLAPS).to_pylist()
    sets = [name for _, name in content["sets"]]
    pairs = {frozenset(pair) for pair in itertools.combinations(sets, 2)}
    if {frozenset((row["set_a"], row["set_b"])) for row in rows} != pairs:
        why = "the proof is not about every pair of the sets that its recipe names"
        yield case.failed(ref, why, expected=f"{len(pairs)} pairs", found=str(len(rows)))
    for row in rows:
        if row["disjoint"] and (row["shared_keys"] or row["shared_contents"]):
            why = f"{row['set_a']} and {row['set_b']} share samples and must not"
            found = f"{row['shared_keys']} by key, {row['shared_contents']} by content"
            yield case.failed(ref, why, expected="none", found=found)
        for name, stated in ((row["set_a"], row["n_a"]), (row["set_b"], row["n_b"])):
            place = case.plan._conditions.resolve(Ref("shards", name))
            there = len(shard_folders.index(case, place)) if place in case.complete else stated
            yield from case.expect(ref, f"the proof is about other samples of {name}", there, stated)
