"""Checks of remade shards: samples made again in another environment, and alone."""

import math
from collections.abc import Iterator

from shiftbench.audit.case import Case, Flaw
from shiftbench.audit.check import check
from shiftbench.audit.finding import Finding, Note
from shiftbench.audit.reproduce import confinement
from shiftbench.audit.reproduce.shard_samples import Folder, Samples, Task, expected, judge
from shiftbench.base.refs import ShardsName
from shiftbench.base.rng import RandomStream
from shiftbench.data import shards
from shiftbench.provenance.recipe import Artifact

WHOLE = 500  # samples; smaller folders are made again whole
SHARES = (0.01, 0.1)  # of faulty samples, whose probability is stated
_FACTS = ("task", "classes", "licence", "citation", "redistribute", "skipped")


def detection_chance(population: int, faulty: int, drawn: int) -> float:
    """Probability that a draw without replacement meets at least one of the faulty ones.

    Example:
        >>> detection_chance(4, 1, 2), detection_chance(2000, 2000, 16), detection_chance(10, 0, 5)
        (0.5, 1.0, 0.0)
    """
    drawn = min(drawn, population)
    return 1 - math.comb(population - faulty, drawn) / math.comb(population, drawn)


@check("A17", level=2)
def rebuild(case: Case) -> Iterator[Finding | Note]:
    """A sample of every folder of shards, made again in another environment, is equal byte for byte.

    Pass rule: the packed bytes and the values of each sample are those of the index. Folders of up to 500 samples are
    made again whole. From larger folders, each audit draws as many samples as `--sample` says. The set of samples, and
    the classes and licence of the manifest, are compared for all folders. Clean shards are made from the source files,
    shifted shards from the clean shards here, by params and code of this checkout and not by those of receipts.

    The other environment is a process with another path, time zone, locale, umask, home, hash seed and number of
    threads, one CPU, reversed listings of folders, another order of samples, and no results. This process opens only
    inputs, assets that a recipe names, installed files and files of the system (`provenance.opened_files`). It runs
    only definitions that the recipe has (`provenance.ran`). If CPU or libraries differ from the run, equal values in
    other bytes are statistical.

    Limits: a note states the probability of detecting a fault in a share f of a large folder: 1-(1-f)^k for k samples
    drawn with replacement, a little more without. Other machines are covered only by an audit there.
    """
    samples = Samples(case, "rebuild")
    tasks = [task(case, folder) for folder in samples.folders()]
    tasks += [Task(artifact, None, {}) for artifact in samples.previews()]
    samples.make(tasks)
    yield from samples.problems
    yield from case.grouped(_undeclared(tasks))
    for done in tasks:
        yield from judge(case, done, "made again")
        yield from _whole(case, done)
    yield from _notes(case, tasks)
    yield confinement.note()


def task(case: Case, folder: Folder) -> Task:
    """Samples of a folder to make again, in another order: all of a small folder, else drawn ones."""
    count = len(folder.entries)
    limit = count if count <= WHOLE else case.count
    drawn = case.draw(folder.ref.path, count, limit)
    order = RandomStream(0, "audit", "order", folder.ref.path).choice(len(drawn), len(drawn))
    return Task(folder.artifact, folder, expected(folder.entries[drawn[int(i)]] for i in order))


def _undeclared(tasks: list[Task]) -> Iterator[Flaw]:
    """Yield files that are opened and definitions that run without being in a recipe."""
    for done in tasks:
        for event in done.answer.get("undeclared", ()):
            why = f"making it {event}, which no recipe names; name a file in ASSETS, or pin it"
            yield done.ref, why, {"found": event}


def _whole(case: Case, done: Task) -> Iterator[Finding]:
    """Compare the set of samples and the facts of the manifest."""
    if done.of is None or "error" in done.answer:
        return
    stated = done.of.about
    keys = [entry.key for entry in done.of.entries]
    if "keys" in done.answer:
        made, about = done.answer["keys"], done.answer["about"]
    else:
        clean = next(case.folder(need) for need in done.artifact.inputs if need.kind == "shards")
        about = {**shards.manifest(clean), "skipped": []}
        made = [entry.key for entry in shards.index(clean)]
    if made != keys:
        differing = sorted(set(made) ^ set(keys))
        why, first = "it does not have the samples that the recipe gives; make it again", next(iter(differing), None)
        counts = {"expected": f"{len(made)} samples", "found": f"{len(keys)}, {len(differing)} apart"}
        yield case.failed(done.ref, why, sample=first, **counts)
    place = ShardsName.of(done.ref)._asdict()
    for name, value in {**{fact: about.get(fact) for fact in _FACTS}, **place}.items():
        why = f"the manifest states another {name} than the recipe gives"
        yield from case.expect(done.ref, why, value, stated.get(name))


def _notes(case: Case, tasks: list[Task]) -> Iterator[Note]:
    folders = [(len(one.of.entries), len(one.expected)) for one in tasks if one.of]
    whole = [drawn for count, drawn in folders if count == drawn]
    yield Note(
        f"{len(folders)} folders of shards: {sum(drawn for _, drawn in folders)} samples made again, "
        f"{len(whole)} folders whole; {len(tasks) - len(folders)} previews"
    )
    large = [count for count, drawn in folders if count > drawn]
    if large:
        least = {share: min(detection_chance(n, math.ceil(share * n), case.count) for n in large) for share in SHARES}
        chances = [f"{chance:.1%} where {share:.0%} of samples have it" for share, chance in least.items()]
        yield Note(
            f"of {len(large)} folders with more than {WHOLE} samples {case.count} were drawn: a fault is met with "
            f"probability {', '.join(chances)}"
        )


TOGETHER = 4  # samples in reverse order


@check("A19", level=2)
def alone(case: Case) -> Iterator[Finding | Note]:
    """One sample of each shift, made alone, equals the one in the shards, so that order decides nothing.

    Pass rule: for each shift of each dataset, one sample of one severity is drawn. A process of its own makes this
    sample first and nothing else. Then the sample is made again with others of the same folder, in reverse order. Both
    times its bytes and values are those of the index, or of the golden samples if the shift is applied while reading.

    Limits: one sample per shift; `rebuild` makes many samples in a third order.
    """
    samples = Samples(case, "alone")
    stored: dict[tuple[str, ...], list[Folder]] = {}
    for folder in samples.folders():
        if folder.ref.parts[2] != "identity" and folder.entries:
            stored.setdefault(folder.ref.parts[:3], []).append(folder)
    golden: dict[tuple[str, ...], list[Artifact]] = {}
    for artifact in samples.previews():
        if "shift" in artifact.recipe:
            golden.setdefault(artifact.ref.parts[:3], []).append(artifact)
    pairs = [_stored(case, "/".join(name), folders) for name, folders in stored.items()]
    alone, together = [one for one, _ in pairs], [several for _, several in pairs]
    for name, artifacts in golden.items():
        at = case.draw(f"severity of {'/'.join(name)}", len(artifacts), 1)[0]
        alone.append(Task(artifacts[at], None, {}, alone=True))
    samples.make([*alone, *together[::-1]])
    yield from (problem for problem in samples.problems if "/identity/" not in problem.file)
    for tasks, how in ((alone, "made alone"), (together, "made in reverse order")):
        for task in tasks:
            yield from judge(case, task, how)
    yield Note(
        f"{len(alone)} shifts: one sample each made alone, and {len(together)} times up to {TOGETHER} in reverse order"
        if alone
        else "no shift has samples here that could be made alone"
    )


def _stored(case: Case, name: str, folders: list[Folder]) -> tuple[Task, Task]:
    folder = folders[case.draw(f"severity of {name}", len(folders), 1)[0]]
    drawn = case.draw(f"alone of {name}", len(folder.entries), TOGETHER)
    entries = [folder.entries[at] for at in drawn]
    first = entries[case.draw(f"first of {name}", len(entries), 1)[0]]
    one = Task(folder.artifact, folder, expected([first]), alone=True)
    return one, Task(folder.artifact, folder, expected(entries[::-1]))
