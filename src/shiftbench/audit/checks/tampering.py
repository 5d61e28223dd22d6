"""No file of a release, and no release of the chain, changed after the release.

Pass rule: the Merkle root of each release follows from its manifest. Each release names the root of the previous one,
which is here. The artefacts of the newest release have the stated digests, if they are here. A finding names a changed
file with the published numbers that depend on it. For files above 1 MiB only the size is compared; `digests` reads them
at level 1. Outputs that were made again with another recipe are noted, without contradiction. Missing files leave the
check incomplete.

Limits: anyone who can write the repository can forge the whole chain, unless it is signed (`attestation`) or somebody
else keeps one of its roots.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from shiftbench.audit.case import Case
from shiftbench.audit.finding import Finding, Note
from shiftbench.base.errors import DataError
from shiftbench.release import manifest, verify
from shiftbench.release.verify import Problem

NUMBER, LEVEL = "A26", 0
LARGEST = 1 << 20


def check(case: Case) -> Iterator[Finding | Note]:
    """Verify the chain of releases, and the artefacts of the newest one."""
    home = Path()
    names = manifest.names(home)
    if not names:
        yield Note("there is no release; `shiftbench release NAME` makes later changes evident")
        return
    broken = [problem for name in names for problem in verify.chain_problems(home, name)]
    for problem in broken:
        yield case.failed(problem.path, problem.meaning, expected=problem.expected, found=problem.found)
    if broken:
        return
    try:
        newest = manifest.newest(home)
    except DataError as error:
        yield case.failed(manifest.FOLDER, str(error))
        return
    if newest is None or verify.output_root(home, newest["scale"]).resolve() != case.root.resolve():
        yield Note(f"{len(names)} releases are one chain; the newest is of another output root")
        return
    yield from _artefacts(case, home, newest)
    yield Note(f"{len(names)} releases in one chain; {newest['name']} has {len(newest['artefacts'])} artefacts")


def _artefacts(case: Case, home: Path, newest: manifest.Content) -> Iterator[Finding | Note]:
    problems = list(verify.artefact_problems(case.root, home, newest, LARGEST))
    yield from _changed(case, newest, [p for p in problems if p.kind == "artefact"])
    missing = Counter(Path(p.path).parts[0] for p in problems if p.kind == "missing")
    for place, count in missing.items():
        why = f"{count} files of release {newest['name']} are not here; `shiftbench pull` fetches them"
        yield case.incomplete(place, why)
    moved = sum(p.kind == "moved" for p in problems)
    if moved:
        yield Note(f"{moved} files were made again since {newest['name']}, by another recipe")
    for problem in verify.run_file_problems(case.root, newest):
        yield Note(str(problem))


def _changed(case: Case, newest: manifest.Content, problems: list[Problem]) -> Iterator[Finding]:
    """Yield a finding per changed file, with the numbers below its output."""
    outputs = {
        entry["fingerprint"]: entry["path"].removesuffix(".receipt.json")
        for entry in newest["artefacts"]
        if entry["kind"] == "receipt"
    }
    made_by = {entry["path"]: entry.get("fingerprint", "") for entry in newest["artefacts"]}
    refs = {ref.path: ref for ref in case.plan.artifacts}
    for problem in problems:
        ref = refs.get(outputs.get(made_by[problem.path], problem.path))
        digests = {"expected": problem.expected, "found": problem.found}
        why = f"{problem.meaning} ({newest['name']})"
        if ref is None:
            yield case.failed(problem.path, why, **digests)
        else:
            yield case.failed(ref, why, file=problem.path, **digests)
