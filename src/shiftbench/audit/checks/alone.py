"""One sample of each shift, made alone, equals the one in the shards, so that order decides nothing.

Pass rule: for each shift of each dataset, one sample of one severity is drawn. A process of its own makes this sample
first and nothing else. Then the sample is made again with others of the same folder, in reverse order. Both times its
bytes and values are those of the index, or of the golden samples if the shift is applied while reading.

Limits: one sample per shift; `rebuild` makes many samples in a third order.
"""

from collections.abc import Iterator

from shiftbench.audit.case import Case
from shiftbench.audit.finding import Finding, Note
from shiftbench.audit.reproduce.shard_samples import Folder, Samples, Task, expected, judge
from shiftbench.provenance.recipe import Artifact

NUMBER, LEVEL = "A19", 2
TOGETHER = 4  # samples in reverse order


def check(case: Case) -> Iterator[Finding | Note]:
    """Make one sample of each shift alone, then together with others in reverse order."""
    samples = Samples(case, "alone")
    stored: dict[tuple[str, ...], list[Folder]] = {}
    for folder in samples.folders():
        if folder.ref.parts[2] != "identity" and folder.entries:
            stored.setdefault(folder.ref.parts[:3], []).append(folder)
    golden: dict[tuple[str, ...], list[Artifact]] = {}
    for artifact in samples.previews():
        if "shift" in artifact.recipe:
            golden.setdefault(artifact.ref.parts[:3], []).append(artifact)
    alone, together = [], []
    for name, folders in stored.items():
        one, several = _stored(case, "/".join(name), folders)
        alone.append(one)
        together.append(several)
    alone += [_golden(case, "/".join(name), artifacts) for name, artifacts in golden.items()]
    samples.make([*alone, *together[::-1]])
    yield from (problem for problem in samples.problems if _is_shift(problem))
    for task in alone:
        yield from judge(case, task, "made alone")
    for task in together:
        yield from judge(case, task, "made in reverse order")
    yield Note(
        f"{len(alone)} shifts: one sample each made alone, and {len(together)} times up to {TOGETHER} in reverse order"
        if alone
        else "no shift has samples here that could be made alone"
    )


def _is_shift(problem: Finding) -> bool:
    return "/identity/" not in problem.file


def _stored(case: Case, name: str, folders: list[Folder]) -> tuple[Task, Task]:
    folder = folders[case.draw(f"severity of {name}", len(folders), 1)[0]]
    drawn = case.draw(f"alone of {name}", len(folder.entries), TOGETHER)
    entries = [folder.entries[at] for at in drawn]
    first = entries[case.draw(f"first of {name}", len(entries), 1)[0]]
    one = Task(folder.artifact, folder, expected([first]), alone=True)
    return one, Task(folder.artifact, folder, expected(entries[::-1]))


def _golden(case: Case, name: str, artifacts: list[Artifact]) -> Task:
    artifact = artifacts[case.draw(f"severity of {name}", len(artifacts), 1)[0]]
    return Task(artifact, None, {}, alone=True)
