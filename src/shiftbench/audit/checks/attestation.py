"""Each release has an in-toto statement over all of it, signatures that hold, Croissant and RO-Crate that agree.

Pass rule: the subjects of the statement are the artefacts of the manifest and the files of the release, with their
digests; a signature verifies with ssh-keygen or gpg; every dataset whose shards are released has a Croissant document,
and the sha256 of each file in it, in the RO-Crate and in the bill of materials (weights that others trained) is the
manifest's. A signature whose key is not here leaves the check incomplete; a release without one is noted. Limits: that
the documents keep their formats is tested with the formats' own validators, not here; whose key signed, only a file of
allowed signers or a keyring tells.
"""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from shiftbench.audit.case import Case
from shiftbench.audit.finding import Finding, Note
from shiftbench.base.errors import DataError
from shiftbench.base.files import from_json
from shiftbench.release import bill_of_materials, crate, manifest, verify

NUMBER, LEVEL = "A27", 0


def check(case: Case) -> Iterator[Finding | Note]:
    """Check statement, signatures and descriptions of every release."""
    home = Path()
    names = manifest.names(home)
    if not names:
        yield Note("nothing was released, so nothing is attested")
    for name in names:
        for problem in verify.attested(home, name):
            say = case.incomplete if problem.verdict == "incomplete" else case.failed
            yield say(problem.path, problem.meaning, expected=problem.expected, found=problem.found)
        try:
            yield from _descriptions(case, home, manifest.read(home, name))
        except DataError as error:
            yield case.failed(f"{manifest.FOLDER}/{name}", str(error))
        signed = [f"{verdict.state}: {verdict.words}" for _, verdict in verify.verdicts(home, name)]
        yield Note(f"release {name}: {'; '.join(signed) or 'unsigned'}")


def _descriptions(case: Case, home: Path, content: manifest.Content) -> Iterator[Finding]:
    """Yield where Croissant or RO-Crate lack something, or state another digest than the manifest."""
    folder = manifest.folder(home, content["name"])
    digests = {entry["path"]: entry["sha256"] for entry in content["artefacts"]}
    stated = {crate.FILE: _of_crate(folder), bill_of_materials.FILE: _of_bill(folder)}
    for dataset in _datasets(content):
        stated[f"croissant/{dataset}.json"] = _of_croissant(folder, dataset)
    for name, claims in stated.items():
        place = f"{manifest.FOLDER}/{content['name']}/{name}"
        if not claims and name != bill_of_materials.FILE:  # which may well name no weights
            yield case.failed(place, "a description is missing, or describes nothing")
        for path, digest in claims.items():
            if digest != digests.get(path):
                why = "a description states another digest than the manifest"
                expected = f"{path} {digests.get(path, 'not released')}"
                yield case.failed(place, why, expected=expected, found=digest)


def _datasets(content: manifest.Content) -> list[str]:
    """Return the datasets of which shards are released."""
    shards = [
        PurePosixPath(entry["path"])
        for entry in content["artefacts"]
        if entry["kind"] == "shards" and "withheld" not in entry
    ]
    return sorted({path.parts[2] for path in shards})


def _of_crate(folder: Path) -> dict[str, str]:
    return {node["name"]: node["sha256"] for node in _nodes(folder / crate.FILE, "@graph")}


def _of_bill(folder: Path) -> dict[str, str]:
    """Return the digests of weights; none where the bill is missing or is none, which the statement tells."""
    try:
        components = from_json((folder / bill_of_materials.FILE).read_bytes())["components"]
        models = [one for one in components if one["type"] == bill_of_materials.MODEL]
        return {one["bom-ref"]: one["hashes"][0]["content"] for one in models}
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return {}


def _of_croissant(folder: Path, dataset: str) -> dict[str, str]:
    nodes = _nodes(folder / "croissant" / f"{dataset}.json", "distribution")
    return {f"data/shards/{dataset}/{node['@id']}": node["sha256"] for node in nodes}


def _nodes(file: Path, key: str) -> list[dict[str, Any]]:
    """Return the nodes of a document that state a sha256."""
    try:
        nodes = from_json(file.read_bytes())[key]
        return [node for node in nodes if "sha256" in node]
    except (OSError, ValueError, KeyError, TypeError):
        return []
