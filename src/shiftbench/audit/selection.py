"""What is chosen is chosen on validation data alone, by a rule that is named, and no tested sample was learnt from.

Pass rule: each search names its grid, its ID validation set and its validation OOD sets, none of which is tested; its
table has the points of the grid, in order, and the first of the best AUROC is the chosen one. Where all points give one
AUROC, their scores are computed again on ID val: they differ in some sample, or the search has no effect. Sets that
detection compares share no sample, as their overlaps say and as keys and pixel digests of the indexes say again; no
sample of a tested set is, by key or by content, among those that weights learnt from or that a stream shows to methods
as support, and no OOD set is one of which any split was learnt from, as auxiliary outliers; `HOLDS_TESTED` in a
trainer's file excuses its weights, and is told. The digests cover all fields, so that a copy under another label is
only found by `overlaps` (between the sets of detection) or by `rebuild`.
Duplicates that an original itself has across its splits fail, too: the number counts them, whoever put them there; the
default campaign's originals have none. Only a new run asks whether the AUROC of a point is right.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from shiftbench import plugins, refs
from shiftbench.audit import _indexes, _scoring
from shiftbench.audit._case import Case
from shiftbench.audit._finding import Finding, Note
from shiftbench.data import formats, schema
from shiftbench.plan import detector_plan
from shiftbench.plan.params import Campaign
from shiftbench.provenance import recipe
from shiftbench.refs import Ref
from shiftbench.statistics import search_tables

NUMBER, LEVEL = "A8", 0
_COLUMNS = {"key": "key", "pixels": "content"}
Pair = tuple[Ref, Ref, str]


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
    pairs = _pairs(case)
    here = [pair for pair in pairs if pair[0] in case.whole and pair[1] in case.whole]
    for pair in here:
        yield from _disjoint(case, *pair)
    yield Note(
        f"{searches} searches; {len(here)} of {len(pairs)} pairs of sets that must be disjoint are here"
    )


# ---------------------------------------------------------------------------------- searches


def _rule(case: Case, ref: Ref, content: dict[str, Any]) -> Iterator[Finding]:
    """Look at what a search says it was made on."""
    lacking = [name for name in ("grid", "id", "ood") if not content.get(name)]
    file = f"{ref.path}.receipt.json"
    if lacking:
        why = f"the search does not name its {' and its '.join(lacking)}: nobody can tell how options were chosen"
        yield case.failed(ref, why, file=file)
        return
    tested = _tested(case, ref)
    for name in (content["id"], *content["ood"]):
        dataset, split = Ref("records", name).parts[3:5]
        if (dataset, split) in tested:
            why = f"options were chosen on {dataset}/{split}, which is also tested"
            yield case.failed(ref, why, file=file, expected="a validation set", found=name)


def _tested(case: Case, ref: Ref) -> set[tuple[str, str]]:
    """Return the (dataset, split) that the campaigns behind a search test."""
    asked = detector_plan.asked(case.plan.params, case.plan._places, ref)
    campaigns = [case.plan.params.campaigns[name] for name in asked.campaigns]
    return {(name, one.split) for one in campaigns for name in (one.dataset, *one.ood_groups)}


def _table(case: Case, ref: Ref, receipt: dict[str, Any]) -> Iterator[Finding | Note]:
    """Look at what each point of the grid gave, and which was chosen."""
    rows = schema.read(case.root / ref.path, form=formats.SEARCHES).to_pylist()
    points = [
        recipe.canonical(point) for point in detector_plan.points(receipt["recipe"].get("grid", {}))
    ]
    found = [row["options"] for row in rows]
    if found != points:
        why = "the points that were tried are not those of the grid"
        yield case.failed(ref, why, expected=_some(points), found=_some(found))
    fit = [row for row in rows if row["auroc"] is not None]
    best = max(fit, key=lambda row: row["auroc"], default=None)  # the first of equals
    chosen = [row["options"] for row in rows if row["chosen"]]
    if best is None or chosen != [best["options"]]:
        why = "the chosen options are not the first of the best: they were chosen by something else"
        expected = f"{best['options']} (AUROC {best['auroc']:.6g})" if best else "a point that fits"
        yield case.failed(ref, why, expected=expected, found=_some(chosen))
        return
    yield from _effect(case, ref, receipt, rows)
    yield from _counts(case, ref, receipt["recipe"], rows)


def _effect(
    case: Case, ref: Ref, receipt: dict[str, Any], rows: list[dict[str, Any]]
) -> Iterator[Finding | Note]:
    effect, stated = search_tables.effect(rows), receipt.get("facts", {}).get("effect")
    if stated != effect:
        why = "which options mattered is not what the receipt states"
        yield case.failed(
            ref,
            why,
            file=f"{ref.path}.receipt.json",
            expected=json.dumps(effect),
            found=json.dumps(stated),
        )
    fit = [row for row in rows if row["auroc"] is not None]
    if len(fit) < 2 or len({row["auroc"] for row in fit}) > 1:
        return
    same = f"all {len(fit)} points of {ref.name} give AUROC {fit[0]['auroc']:.6g}"
    cell = case.plan.cells[ref]
    if not _scoring.is_cheap(cell):
        yield Note(
            f"{same}; whether scores differ was not asked, since the detector sees the net again"
        )
    elif not case.whole.keys() >= set(cell.inputs):
        yield case.incomplete(
            ref, "whether the search has any effect cannot be told without what it was made from"
        )
    elif _scoring.differ(case.root, cell, [row["options"] for row in fit]):
        yield Note(f"{same}: they change scores, not which samples they tell apart")
    else:
        why = "the search has no effect: every point of its grid gives every sample the same score"
        yield case.failed(ref, why, expected="scores that differ", found=same)


def _counts(
    case: Case, ref: Ref, content: dict[str, Any], rows: list[dict[str, Any]]
) -> Iterator[Finding]:
    """Compare how many samples were searched on with the indexes."""
    for column, names in (("n_id", [content["id"]]), ("n_ood", content["ood"])):
        places = [_searched(case, name) for name in names]
        stated = {row[column] for row in rows}
        if case.whole.keys() >= set(places):
            there = sum(len(_indexes.index(case, place)) for place in places)
            if stated != {there}:
                why = f"the search was made on another number of samples ({column})"
                yield case.failed(
                    ref, why, expected=str(there), found=", ".join(map(str, sorted(stated)))
                )


def _searched(case: Case, records: str) -> Ref:
    dataset, split = Ref("records", records).parts[3:5]
    return _place(case, dataset, split)


# ------------------------------------------------------------------------------ disjoint sets


def _pairs(case: Case) -> list[Pair]:
    """Return the sets that may share no sample: those that detection compares, and tested ones and learnt ones."""
    found: dict[tuple[Ref, Ref], str] = {}
    for name, campaign in case.plan.campaigns.items():
        if campaign.ood_groups or campaign.val_sets:
            for pair, roles in _compared(case, campaign):
                found.setdefault(pair, f"{roles} of campaign {name}")
        for stream in campaign.streams:
            for pair in _shown(case, stream):
                found.setdefault(pair, f"support and tested of stream {stream}")
        for place in _clean_tests(case, name):
            for learnt in _learnt(case, name):
                found.setdefault((learnt, place), f"learnt and tested of campaign {name}")
    return [(*pair, why) for pair, why in found.items()]


def _known_outliers(case: Case) -> Iterator[Finding]:
    """Look for OOD sets that weights learnt from: their classes are not unknown, whatever the split."""
    for name, campaign in case.plan.campaigns.items():
        learnt = {place.parts[0] for place in _learnt(case, name)} - {campaign.dataset}
        for dataset in sorted(learnt & campaign.ood_groups.keys()):
            why = (
                f"weights of campaign {name} learnt from {dataset}, which is tested as unknown: drop it from `ood`, "
                "or let them learn from another set"
            )
            yield case.failed(_place(case, dataset, campaign.split), why)


def _compared(case: Case, campaign: Campaign) -> Iterator[tuple[tuple[Ref, Ref], str]]:
    """Yield the sets that detection compares and their roles."""
    sets = detector_plan.sets(campaign, case.plan.params)
    for (role, *one), (other, *two) in itertools.combinations(sets, 2):
        if role != other and {"id", "val_ood", "support"} & {role, other}:
            yield (_place(case, *one), _place(case, *two)), f"{role} and {other}"


def _shown(case: Case, stream: str) -> Iterator[tuple[Ref, Ref]]:
    """Yield each set that a stream shows to methods, beside each that it tests."""
    walked = case.plan._places.walk(stream)
    shown = {one.data.parts[:2] for place in walked for one in place.support}
    tested = {(place.dataset, place.split) for place in walked}
    for one, other in itertools.product(sorted(shown), sorted(tested)):
        yield _place(case, *one), _place(case, *other)


def _place(case: Case, dataset: str, split: str) -> Ref:
    return case.plan._places.settle(refs.shards(dataset, split))


def _clean_tests(case: Case, campaign: str) -> set[Ref]:
    """Return the clean set and the domain shifts that a campaign tests; a shift keeps the keys of its clean set."""
    asked = case.plan.campaigns[campaign]
    places = {
        position.data
        for position in case.plan.positions(asked)
        if position.split == asked.split
        and "/" in position.stream
        and position.dataset == asked.dataset
    }
    return {place for place in places if place.parts[2] == "identity"}


def _learnt(case: Case, campaign: str) -> set[Ref]:
    return {
        need
        for ref in _weights(case, campaign)
        if not _holds_tested(case, ref)
        for need in case.plan.cells[ref].inputs
        if need.kind == "shards"
    }


def _weights(case: Case, campaign: str) -> set[Ref]:
    rows = case.plan.rows(case.plan.campaigns[campaign])
    return {Ref("weights", row["weights"]) for row in rows}


def _holds_tested(case: Case, weights: Ref) -> str:
    """Return why weights hold what is tested, as their trainer's file says; empty where it says nothing."""
    trainer = plugins.find("trainers", case.plan.cells[weights].recipe["trainer"]["use"])
    return str(getattr(trainer, "HOLDS_TESTED", ""))


def _declared(case: Case) -> Iterator[Note]:
    """Tell of weights that hold what is tested."""
    for name in case.plan.campaigns:
        for ref in sorted(_weights(case, name)):
            if why := _holds_tested(case, ref):
                yield Note(f"{ref.name} of campaign {name} holds what is tested: {why}")


def _disjoint(case: Case, one: Ref, two: Ref, roles: str) -> Iterator[Finding]:
    if one == two:
        yield case.failed(two, f"one set plays two parts: {roles}")
        return
    for column, what in _COLUMNS.items():
        shared = _shared(case, one, two, column)
        if len(shared):
            rows = _indexes.index(case, two)
            key = rows.column("key")[
                rows.column(column).to_pylist().index(shared[0].as_py())
            ].as_py()
            why = f"{roles} share {len(shared)} sample(s) by {what}: take them out of {one.name} or of {two.name}"
            found = f"{len(shared)} of {len(rows)} are also in {one.name}"
            yield case.failed(two, why, sample=key, expected="none", found=found)
            return


def _shared(case: Case, one: Ref, two: Ref, column: str) -> pa.Array:
    a, b = (_indexes.index(case, ref).column(column).combine_chunks() for ref in (one, two))
    return _indexes.shared(a, b)


def _proof(case: Case, ref: Ref, content: dict[str, Any]) -> Iterator[Finding]:
    """Look at the overlaps of a campaign: are they of its sets, and do those that must be disjoint share nothing?"""
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
            place = case.plan._places.settle(Ref("shards", name))
            there = len(_indexes.index(case, place)) if place in case.whole else stated
            if there != stated:
                yield case.failed(
                    ref,
                    f"the proof is about other samples of {name}",
                    expected=str(there),
                    found=str(stated),
                )


def _some(values: list[str]) -> str:
    return "; ".join(values[:3]) + (f" and {len(values) - 3} more" if len(values) > 3 else "")
