"""Checks of releases: nothing changed after a release, and its statement, signatures and documents are complete."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from shiftbench.audit.case import Case
from shiftbench.audit.check import check
from shiftbench.audit.finding import Finding, Note
from shiftbench.base.errors import DataError
from shiftbench.base.files import from_json
from shiftbench.release import bill_of_materials, crate, manifest, verify
from shiftbench.release.verify import Problem

LARGEST = 1 << 20


@check("A26", level=0)
def tampering(case: Case) -> Iterator[Finding | Note]:
    """No file of a release, and no release of the chain, changed after the release.

    Pass rule: the Merkle root of each release follows from its manifest. Each release names the root of the previous
    one, which is here. The artefacts of the newest release have the stated digests, if they are here. A finding names a
    changed file with the published numbers that depend on it. For files above 1 MiB only the size is compared;
    `digests` reads them at level 1. Outputs that were made again with another recipe are noted, without contradiction.
    Missing files leave the check incomplete.

    Limits: anyone who can write the repository can forge the whole chain, unless it is signed (`attestation`) or
    somebody else keeps one of its roots.
    """
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


@check("A27", level=0)
def attestation(case: Case) -> Iterator[Finding | Note]:
    """Each release has a complete in-toto statement, valid signatures, and matching Croissant and RO-Crate documents.

    Pass rule: the subjects of the statement are the artefacts of the manifest and the files of the release, with their
    digests. Each signature verifies with ssh-keygen or gpg. Every dataset with released shards has a Croissant
    document. Each sha256 in a Croissant document, in the RO-Crate and in the bill of materials (checkpoints of other
    authors) is that of the manifest. A signature whose key is not here leaves the check incomplete. A release without a
    signature is noted.

    Limits: the formats' own validators test the documents in the test suite, not here. Only a file of allowed signers
    or a keyring tells whose key signed.
    """
    home = Path()
    names = manifest.names(home)
    if not names:
        yield Note("there is no release, so nothing is attested")
    for name in names:
        for problem in verify.attestation_problems(home, name):
            say = case.incomplete if problem.verdict == "incomplete" else case.failed
            yield say(problem.path, problem.meaning, expected=problem.expected, found=problem.found)
        try:
            yield from _descriptions(case, home, manifest.read(home, name))
        except DataError as error:
            yield case.failed(f"{manifest.FOLDER}/{name}", str(error))
        signed = [f"{verdict.state}: {verdict.words}" for _, verdict in verify.verdicts(home, name)]
        yield Note(f"release {name}: {'; '.join(signed) or 'unsigned'}")


def _descriptions(case: Case, home: Path, content: manifest.Content) -> Iterator[Finding]:
    """Yield the gaps of the descriptions, and digests that differ from the manifest."""
    folder = manifest.folder(home, content["name"])
    digests = {entry["path"]: entry["sha256"] for entry in content["artefacts"]}
    in_crate = {node["name"]: node["sha256"] for node in _nodes(folder / crate.FILE, "@graph")}
    stated = {crate.FILE: in_crate, bill_of_materials.FILE: _of_bill(folder)}
    released = (one["path"] for one in content["artefacts"] if one["kind"] == "shards" and "withheld" not in one)
    for dataset in sorted({PurePosixPath(path).parts[2] for path in released}):
        nodes = _nodes(folder / "croissant" / f"{dataset}.json", "distribution")
        in_croissant = {f"data/shards/{dataset}/{node['@id']}": node["sha256"] for node in nodes}
        stated[f"croissant/{dataset}.json"] = in_croissant
    for name, claims in stated.items():
        place = f"{manifest.FOLDER}/{content['name']}/{name}"
        if not claims and name != bill_of_materials.FILE:  # which may name no checkpoints
            yield case.failed(place, "a description is missing, or describes nothing")
        for path, digest in claims.items():
            if digest != digests.get(path):
                why = "a description states another digest than the manifest"
                expected = f"{path} {digests.get(path, 'not released')}"
                yield case.failed(place, why, expected=expected, found=digest)


def _of_bill(folder: Path) -> dict[str, str]:
    """Digests of checkpoints; empty if the bill is missing or damaged, which the statement check reports."""
    try:
        components = from_json((folder / bill_of_materials.FILE).read_bytes())["components"]
        models = [one for one in components if one["type"] == bill_of_materials.MODEL]
        return {one["bom-ref"]: one["hashes"][0]["content"] for one in models}
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return {}


def _nodes(file: Path, key: str) -> list[dict[str, Any]]:
    """Nodes of a document that state a sha256."""
    try:
        nodes = from_json(file.read_bytes())[key]
        return [node for node in nodes if "sha256" in node]
    except (OSError, ValueError, KeyError, TypeError):
        return []
