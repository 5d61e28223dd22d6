"""A sample of every folder of shards is made again, elsewhere, and is the same byte for byte.

Pass rule: the packed bytes and the values of each sample are those of the index. Folders of up to 500 samples are
made again whole, of larger ones as many as `--sample` says are drawn, anew for each audit; the set of samples and
what the manifest states of classes and licence is compared for all. Clean shards are made from the source files,
shifted ones from the clean shards here, by params and code of this checkout and not by what receipts say. The other
environment is a process with another path, time zone, locale, umask, home, hash seed, number of threads, one CPU,
folders listed backwards, samples in another order, and no results in reach; it opens no file that is neither an
input, an asset that a recipe names, installed, nor of the system (`provenance.opened_files`), and runs no definition
that the recipe lacks (`provenance.ran`). Where CPU or libraries are not the run's, equal values in other bytes are
statistical. Limits: a fault in a share f of a large folder is met
with the probability that a note states (1-(1-f)^k for k samples drawn with replacement, a little more without). Other
machines are only met by auditing there.
"""

import math
from collections.abc import Iterator

from shiftbench.audit.case import Case, Wrong
from shiftbench.audit.finding import Finding, Note
from shiftbench.audit.reproduce import confinement
from shiftbench.audit.reproduce.shard_samples import Folder, Samples, Task, expected, judge
from shiftbench.base.refs import ShardsName
from shiftbench.base.rng import RandomStream
from shiftbench.data import shards

NUMBER, LEVEL = "A17", 2
WHOLE = 500  # samples; smaller folders are made again whole
SHARES = (0.01, 0.1)  # of faulty samples, whose probability is stated
_FACTS = ("task", "classes", "licence", "citation", "redistribute", "skipped")


def met(population: int, faulty: int, drawn: int) -> float:
    """Return the probability that a draw without replacement meets at least one of the faulty ones.

    Example:
        >>> met(4, 1, 2), met(2000, 2000, 16), met(10, 0, 5)
        (0.5, 1.0, 0.0)
    """
    drawn = min(drawn, population)
    return 1 - math.comb(population - faulty, drawn) / math.comb(population, drawn)


def check(case: Case) -> Iterator[Finding | Note]:
    """Make samples again in another environment."""
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
    """Return what of a folder is made again: all of a small one, else what is drawn, in another order."""
    count = len(folder.entries)
    limit = count if count <= WHOLE else case.count
    drawn = case.draw(folder.ref.path, count, limit)
    order = RandomStream(0, "audit", "order", folder.ref.path).choice(len(drawn), len(drawn))
    return Task(folder.artifact, folder, expected(folder.entries[drawn[int(i)]] for i in order))


def _undeclared(tasks: list[Task]) -> Iterator[Wrong]:
    """Yield what is opened or runs while outputs are made again, and that no recipe names."""
    for done in tasks:
        for event in done.answer.get("undeclared", ()):
            why = f"making it {event}, which no recipe names; name a file in ASSETS, or pin it"
            yield done.ref, why, {"found": event}


def _whole(case: Case, done: Task) -> Iterator[Finding]:
    """Compare which samples there are, and what the manifest states."""
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
        why, first = "it does not hold the samples that the recipe gives", next(iter(differing), None)
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
        chances = [
            f"{min(met(n, math.ceil(share * n), case.count) for n in large):.1%} where {share:.0%} of samples have it"
            for share in SHARES
        ]
        yield Note(
            f"of {len(large)} folders with more than {WHOLE} samples {case.count} were drawn: a fault is met with "
            f"probability {', '.join(chances)}"
        )
