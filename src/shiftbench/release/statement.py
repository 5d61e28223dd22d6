"""The attestation of a release: an in-toto statement whose predicate is SLSA provenance.

Source: in-toto Statement v1 (in-toto.io/Statement/v1) and SLSA provenance v1 (slsa.dev/provenance/v1). Subjects
are all artefacts of the manifest and all files of the release, each with its sha256; the parameters are
the checked params.yaml; the dependencies are the commit, the locks and the originals.
"""

import importlib.metadata
from pathlib import Path
from typing import Any

from shiftbench.base.files import sha256
from shiftbench.release import manifest

FILE = "statement.intoto.json"
SSH, GPG = f"{FILE}.sig", f"{FILE}.asc"
SIGNATURES = (SSH, GPG)
TYPE = "https://in-toto.io/Statement/v1"
PREDICATE = "https://slsa.dev/provenance/v1"
BUILD = "urn:shiftbench:release:1"


def build(content: manifest.Content, files: dict[str, str], params: dict[str, Any]) -> dict[str, Any]:
    """The statement of a release.

    Args:
        content: the manifest.
        files: path -> sha256 of the release's own files.
        params: the parameters, as checked.
    """
    digests = subjects(content, files)
    return {
        "_type": TYPE,
        "subject": [{"name": path, "digest": {"sha256": digest}} for path, digest in sorted(digests.items())],
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD,
                "externalParameters": {"release": content["name"], "params": params},
                "internalParameters": {"root": content["root"], "previous": content["previous"]},
                "resolvedDependencies": _dependencies(content),
            },
            "runDetails": {
                "builder": {
                    "id": "urn:shiftbench:release",
                    "version": {"shiftbench": importlib.metadata.version("shiftbench")},
                },
                "metadata": {"finishedOn": content["volatile"]["created"]},
            },
        },
    }


def subjects(content: manifest.Content, files: dict[str, str]) -> dict[str, str]:
    """Path -> sha256 of all subjects of a statement."""
    return {entry["path"]: entry["sha256"] for entry in content["artefacts"]} | files


def own_files(home: Path, name: str) -> dict[str, str]:
    """Path -> sha256 of the files of a release, without the statement and its signatures."""
    folder = manifest.folder(home, name)
    return {
        f"{manifest.FOLDER}/{name}/{file.relative_to(folder).as_posix()}": sha256(file)
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name not in (FILE, *SIGNATURES)
    }


def _dependencies(content: manifest.Content) -> list[dict[str, Any]]:
    """Dependencies of a release: the commit, params and locks, and the originals."""
    commit = {"name": "repository", "digest": {"gitCommit": content["volatile"]["commit"]}}
    return [commit] + [
        {"name": artefact.path, "digest": {"sha256": artefact.sha256}}
        for artefact in manifest.artefacts(content)
        if artefact.stage == manifest.REPOSITORY or artefact.kind == "sources"
    ]
