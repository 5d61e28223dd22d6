"""Check of selection: options are chosen on validation data, and no tested sample was learned from."""

import itertools
from collections.abc import Iterator
from typing import Any

import pyarrow.compute as pc

from shiftbench.audit.case import Case
from shiftbench.audit.check import check
from shiftbench.audit.evidence import near_duplicates, shard_folders
from shiftbench.audit.finding import Finding, Note, some
from shiftbench.audit.recompute import detector_scores
from shiftbench.base import refs, registry
from shiftbench.base.refs import Ref
from shiftbench.data import formats, schema
from shiftbench.provenance import recipe
from shiftbench.statistics import search_tables
from shiftbench.workflow.plan import detector_plan
from shiftbench.workflow.plan.params import Benchmark
from shiftbench.workflow.stages import detector_search

_READS = 1
"""From this level on images are compared."""
Pair = tuple[Ref, Ref, str]
"""Two sets, and their roles."""
_COLUMNS = {"key": "key", "pixels": "content"}


@check("A8", level=0)
def selection(case: Case) -> Iterator[Finding | Note]:
    """Options are chosen on validation data only, by a named rule, and no tested sample was learned from.

    Pass rule: each search names its grid, its ID validation set and its validation OOD sets, none of which is tested.
    Its table has the points of the grid in order, and the first of the best AUROC is the chosen one. If all points give
    one AUROC, their scores are computed again on ID val: they differ in some sample, or the search has no effect. Sets
    that detection compares share no sample, by their overlaps and by keys and pixel digests of the indexes. No sample
    of a tested set is, by key or by content, in the training data of a model, or in what a stream shows to methods as
    support. No OOD set has a split that a model learned from as auxiliary outliers. `HOLDS_TESTED` in a trainer's file
    excuses its models, and is noted. From level 1 on, up to 500 tested images are compared with up to 4,000 learned
    ones, drawn. Nearly equal images are noted, with their number and the nearest ones, since a test set may contain
    such by nature.

    Limits: the digests cover all fields, so that only `overlaps` (between the sets of detection) or `rebuild` find a
    copy with another label. Duplicates that a dataset has across its splits fail too, and are counted; the datasets of
    the default benchmark have none. Only a new run tells whether the AUROC of a point is correct.
    """
    searches = 0
    for ref, _, receipt in case.outputs("searches"):
        searches += 1
        yield from _rule(case, ref, receipt["recipe"])
        yield from _table(case, ref, receipt)
    for ref, _, receipt in case.outputs("overlaps"):
        yield from _proof(case, ref, receipt["recipe"])
    yield from _known_outliers(case)
    yield from _declared(case)
    pairs = _must_be_disjoint(case)
    here = [pair for pair in pairs if pair[0] in case.complete and pair[1] in case.complete]
    for pair in here:
        yield from _disjoint(case, *pair)
    if case.level >= _READS:
        yield from _near_duplicates(case, here)
    yield Note(f"{searches} searches; {len(here)} of {len(pairs)} pairs of sets that must be disjoint are here")


def _near_duplicates(case: Case, pairs: list[Pair]) -> Iterator[Note]:
    """Note nearly equal images in training data and tested data."""
    images = near_duplicates.Images(case)
    for one, other, _ in pairs:
        tested = [ref for ref in (one, other) if ref.parts[1] == "test"]
        learned = [ref for ref in (one, other) if ref.parts[1] == "train"]
        comparison = images.nearest_pairs(learned[0], tested[0]) if learned and tested else None
        if comparison is None:
            continue
        total, compared, count, nearest = comparison
        listing = "; ".join(f"{a} and {b} ({distance:.2g} of 255 apart)" for distance, a, b in nearest)
        text = (
            f"{count} of {compared} images of {tested[0].name} are nearly equal to one of {total} of {learned[0].name}"
        )
        yield Note(f"{text}{f': {listing}' if listing else ''}", limits=count > 0)


# ---------------------------------------------------------------------------------- searches


def _rule(case: Case, ref: Ref, content: dict[str, Any]) -> Iterator[Finding]:
    """Check the data that a search was made on."""
    missing = [name for name in ("grid", "id", "ood") if not content.get(name)]
    file = f"{ref.path}.receipt.json"
    if missing:
        why = f"the search does not name its {' and its '.join(missing)}: it is unknown how options were chosen"
        yield case.failed(ref, why, file=file)
        return
    tested = _tested(case, ref)
    for name in (content["id"], *content["ood"]):
        dataset, split = Ref("records", name).parts[3:5]
        if (dataset, split) in tested:
            why = f"options were chosen on {dataset}/{split}, which is also tested"
            yield case.failed(ref, why, file=file, expected="a validation set", found=name)


def _tested(case: Case, ref: Ref) -> set[tuple[str, str]]:
    """(dataset, split) that the benchmarks behind a search test."""
    request = detector_plan.request(case.plan.params, case.plan._conditions, ref)
    benchmarks = [case.plan.params.benchmarks[name] for name in request.benchmarks]
    return {(name, one.split) for one in benchmarks for name in (one.dataset, *one.ood_groups)}


def _table(case: Case, ref: Ref, receipt: dict[str, Any]) -> Iterator[Finding | Note]:
    """Check the points of the grid and the choice."""
    rows = schema.read(case.root / ref.path, form=formats.SEARCHES).to_pylist()
    points = [recipe.canonical(point) for point in detector_search.grid_points(receipt["recipe"].get("grid", {}))]
    options = [row["options"] for row in rows]
    if options != points:
        why = "the points that were tried are not those of the grid"
        yield case.failed(ref, why, expected=some(points), found=some(options))
    fit = [row for row in rows if row["auroc"] is not None]
    best = max(fit, key=lambda row: row["auroc"], default=None)  # the first of equals
    chosen = [row["options"] for row in rows if row["chosen"]]
    if best is None or chosen != [best["options"]]:
        why = "the chosen options are not the first of the best: they were chosen by something else"
        expected = f"{best['options']} (AUROC {best['auroc']:.6g})" if best else "a point that fits"
        yield case.failed(ref, why, expected=expected, found=some(chosen))
        return
    effect, stated = search_tables.effect(rows), receipt.get("facts", {}).get("effect")
    why = "which options mattered is not what the receipt states"
    yield from case.expect(ref, why, effect, stated, file=f"{ref.path}.receipt.json")
    if len(fit) > 1 and len({row["auroc"] for row in fit}) == 1:
        yield from _without_effect(case, ref, fit)
    yield from _counts(case, ref, receipt["recipe"], rows)


def _without_effect(case: Case, ref: Ref, fit: list[dict[str, Any]]) -> Iterator[Finding | Note]:
    """Check whether the points of a search change any score, if all of them gave one AUROC."""
    same = f"all {len(fit)} points of {ref.name} give AUROC {fit[0]['auroc']:.6g}"
    artifact = case.plan.artifacts[ref]
    if not detector_scores.is_cheap(artifact):
        yield Note(f"{same}; whether scores differ was not checked, since the detector needs the network")
    elif not case.complete.keys() >= set(artifact.inputs):
        why = "whether the search has any effect is unknown without its inputs; `shiftbench pull` fetches them"
        yield case.incomplete(ref, why)
    elif detector_scores.has_effect(case, ref, [row["options"] for row in fit]):
        yield Note(f"{same}: they change scores, not which samples they tell apart")
    else:
        why = "the search has no effect: every point of its grid gives every sample the same score"
        yield case.failed(ref, why, expected="scores that differ", found=same)


def _counts(case: Case, ref: Ref, content: dict[str, Any], rows: list[dict[str, Any]]) -> Iterator[Finding]:
    """Compare how many samples were searched on with the indexes."""
    for column, names in (("n_id", [content["id"]]), ("n_ood", content["ood"])):
        places = [_clean_set(case, *Ref("records", name).parts[3:5]) for name in names]
        stated = {row[column] for row in rows}
        if case.complete.keys() >= set(places):
            there = sum(len(shard_folders.index(case, place)) for place in places)
            why = f"the search was made on another number of samples ({column})"
            yield from case.expect(ref, why, [there], sorted(stated))


# ------------------------------------------------------------------------------ disjoint sets


def _known_outliers(case: Case) -> Iterator[Finding]:
    """Yield OOD sets that models were trained on: their classes are not unknown, whatever the split."""
    for name, benchmark in case.plan.benchmarks.items():
        trained_on = {place.parts[0] for place in _training_shards(case, name)} - {benchmark.dataset}
        for dataset in sorted(trained_on & benchmark.ood_groups.keys()):
            why = (
                f"models of benchmark {name} were trained on {dataset}, which is tested as unknown: drop it from "
                "`ood`, or train them on another set"
            )
            yield case.failed(_clean_set(case, dataset, benchmark.split), why)


def _declared(case: Case) -> Iterator[Note]:
    """Note models that contain tested data."""
    for name in case.plan.benchmarks:
        for ref in sorted(_checkpoints_of(case, name)):
            if why := _holds_tested(case, ref):
                yield Note(f"{ref.name} of benchmark {name} contains tested data: {why}", limits=True)


def _disjoint(case: Case, one: Ref, two: Ref, roles: str) -> Iterator[Finding]:
    if one == two:
        yield case.failed(two, f"one set has two roles: {roles}")
        return
    for column, what in _COLUMNS.items():
        rows = shard_folders.index(case, two)
        there = shard_folders.index(case, one).column(column).combine_chunks()
        shared = rows.column(column).filter(pc.is_in(rows.column(column), value_set=there))
        if len(shared):
            key = rows.column("key")[rows.column(column).to_pylist().index(shared[0].as_py())].as_py()
            why = f"{roles} share {len(shared)} sample(s) by {what}: take them out of {one.name} or of {two.name}"
            actual = f"{len(shared)} of {len(rows)} are also in {one.name}"
            yield case.failed(two, why, sample=key, expected="none", found=actual)
            return


def _proof(case: Case, ref: Ref, content: dict[str, Any]) -> Iterator[Finding]:
    """Check that the overlaps of a benchmark cover its sets, and that disjoint sets share no sample."""
    rows = schema.read(case.root / ref.path, form=formats.OVERLAPS).to_pylist()
    sets = [name for _, name in content["sets"]]
    pairs = {frozenset(pair) for pair in itertools.combinations(sets, 2)}
    if {frozenset((row["set_a"], row["set_b"])) for row in rows} != pairs:
        why = "the proof is not about every pair of the sets that its recipe names"
        yield case.failed(ref, why, expected=f"{len(pairs)} pairs", found=str(len(rows)))
    for row in rows:
        if row["disjoint"] and (row["shared_keys"] or row["shared_contents"]):
            why = f"{row['set_a']} and {row['set_b']} share samples and must not"
            actual = f"{row['shared_keys']} by key, {row['shared_contents']} by content"
            yield case.failed(ref, why, expected="none", found=actual)
        for name, stated in ((row["set_a"], row["n_a"]), (row["set_b"], row["n_b"])):
            place = case.plan._conditions.resolve(Ref("shards", name))
            there = len(shard_folders.index(case, place)) if place in case.complete else stated
            yield from case.expect(ref, f"the proof is about other samples of {name}", there, stated)


# ------------------------------------------------------------------------------ planned sets


def _must_be_disjoint(case: Case) -> list[Pair]:
    """Sets that may share no sample: those that detection compares, and training and tested sets."""
    parts: dict[tuple[Ref, Ref], str] = {}
    for name, benchmark in case.plan.benchmarks.items():
        if benchmark.ood_groups or benchmark.val_sets:
            for pair, roles in _detection_pairs(case, benchmark):
                parts.setdefault(pair, f"{roles} of benchmark {name}")
        for stream in benchmark.streams:
            for pair in _stream_pairs(case, stream):
                parts.setdefault(pair, f"support and tested of stream {stream}")
        for place in _tested_shards(case, name):
            for source in _training_shards(case, name):
                parts.setdefault((source, place), f"training and tested sets of benchmark {name}")
    return [(*pair, why) for pair, why in parts.items()]


def _detection_pairs(case: Case, benchmark: Benchmark) -> Iterator[tuple[tuple[Ref, Ref], str]]:
    """Yield the sets that detection compares and their roles."""
    sets = detector_plan.sets(benchmark, case.plan.params)
    for (role, *one), (other, *two) in itertools.combinations(sets, 2):
        if role != other and {"id", "val_ood", "support"} & {role, other}:
            yield (_clean_set(case, *one), _clean_set(case, *two)), f"{role} and {other}"


def _stream_pairs(case: Case, stream: str) -> Iterator[tuple[Ref, Ref]]:
    """Yield each set that a stream shows to methods, with each set that it tests."""
    walked = case.plan._conditions.walk(stream)
    shown = {one.data.parts[:2] for place in walked for one in place.support}
    tested = {place.data.parts[:2] for place in walked}
    for one, other in itertools.product(sorted(shown), sorted(tested)):
        yield _clean_set(case, *one), _clean_set(case, *other)


def _clean_set(case: Case, dataset: str, split: str) -> Ref:
    """Planned clean shards of a split."""
    return case.plan._conditions.resolve(refs.shards(dataset, split))


def _tested_shards(case: Case, benchmark: str) -> set[Ref]:
    """Clean set and domain shifts that a benchmark tests; other shifts keep the keys of their clean set."""
    requested = case.plan.benchmarks[benchmark]
    places = {
        condition.data
        for condition in case.plan.conditions(requested)
        if condition.split == requested.split and "/" in condition.stream and condition.dataset == requested.dataset
    }
    return {place for place in places if place.parts[2] == "identity"}


def _training_shards(case: Case, benchmark: str) -> set[Ref]:
    """Shards that a benchmark's models were trained on, without models that contain tested data."""
    return {
        need
        for ref in _checkpoints_of(case, benchmark)
        if not _holds_tested(case, ref)
        for need in case.plan.artifacts[ref].inputs
        if need.kind == "shards"
    }


def _checkpoints_of(case: Case, benchmark: str) -> set[Ref]:
    """Checkpoints that a benchmark evaluates."""
    rows = case.plan.rows(case.plan.benchmarks[benchmark])
    return {Ref("checkpoints", row["model"]) for row in rows}


def _holds_tested(case: Case, checkpoint: Ref) -> str:
    """Why a model contains tested data, by its trainer's file; empty if the file does not say so."""
    trainer = registry.find("trainers", case.plan.artifacts[checkpoint].recipe["trainer"]["use"])
    return str(getattr(trainer, "HOLDS_TESTED", ""))
