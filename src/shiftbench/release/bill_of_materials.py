"""CycloneDX bill of materials of a release: packages, originals, and checkpoints that others trained.

Source: CycloneDX 1.6 (ECMA-424). Packages are the pins of `requirements.lock` and those that the run files name:
torch and torchvision are in no lock, and a run with another version than the lock's gives two entries. Nobody
recorded which of a package's files pip took, so that the hashes of `requirements.hashes` are at the distribution and
not at the package. Nothing depends on the machine that makes the release.
"""

import importlib.metadata
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from shiftbench.base.files import from_json
from shiftbench.base.refs import Ref
from shiftbench.data import source_files
from shiftbench.data.source_files import Provider
from shiftbench.provenance.recipe import Artifact, canonical
from shiftbench.release import manifest
from shiftbench.workflow.plan.plan import Plan

FILE = "sbom.cdx.json"
MODEL = "machine-learning-model"
"""Type of checkpoints among the components; their reference is the path of an artefact."""
Node = dict[str, Any]
Pin = tuple[str, str]
"""Name and version of a package."""
_RELEASE = "release"
_LOCK, _HASHES = "requirements.lock", "requirements.hashes"
_PIN = re.compile(r"^([\w.-]+)==(\S+)((?:\s*\\\n\s+--hash=sha256:[0-9a-f]{64})*)", re.MULTILINE)
_SPDX = ("Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC-BY-4.0", "CC0-1.0", "MIT")
"""Licences that are written as SPDX identifiers; others are written as in the source's file."""
_PURL = {"apt": "deb/debian", "npm": "npm", "pypi": "pypi"}
"""Client -> type of its package URLs."""


def document(plan: Plan, root: Path, home: Path, content: manifest.Content) -> Node:
    """Bill of materials; its serial number follows from its other content.

    Args:
        plan: what was released.
        root: the output root.
        home: the repository.
        content: the manifest.
    """
    models = [a for a in plan.artifacts.values() if _is_brought(a)]
    components = [*_packages(root, home, content), *_sources(plan, models), *_models(models, content)]
    components.sort(key=lambda component: str(component["bom-ref"]))
    tool = {"type": "application", "name": "shiftbench"}
    bill: Node = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": content["volatile"]["created"],
            "tools": {"components": [tool | {"version": importlib.metadata.version("shiftbench")}]},
            "component": {
                "type": "data",
                "bom-ref": _RELEASE,
                "name": "shiftbench release",
                "version": content["name"],
                "properties": [
                    _property("root", content["root"]),
                    _property("commit", content["volatile"]["commit"]),
                ],
            },
        },
        "components": components,
        "dependencies": [
            {"ref": _RELEASE, "dependsOn": [component["bom-ref"] for component in components]},
            *({"ref": a.ref.path, "dependsOn": sorted(map(_name, a.inputs))} for a in models),
        ],
        # what torch's build brings (CUDA's libraries, Triton) and what the system does are not known here
        "compositions": [{"aggregate": "incomplete", "assemblies": [_RELEASE]}],
    }  # fmt: skip
    return bill | {"serialNumber": uuid.uuid5(uuid.NAMESPACE_OID, canonical(bill)).urn}


# --- packages ------------------------------------------------------------------------------------


def _packages(root: Path, home: Path, content: manifest.Content) -> Iterator[Node]:
    """Yield each package in each version that the lock or a run file states, with the source of the statement."""
    hashes, locked = pins(home / _HASHES), pins(home / _LOCK)
    ran = _installed(root, content)
    for pin in locked.keys() | ran:
        sources = [name for name, stated in {_LOCK: locked, "run files": ran}.items() if pin in stated]
        yield _package(*pin, sources, hashes.get(pin, []))


def pins(file: Path) -> dict[Pin, list[str]]:
    """Pinned packages of a requirements file, each with the sha256 of its files; empty without a file."""
    text = file.read_text() if file.is_file() else ""
    return {
        (normal_name(name), version): re.findall(r"[0-9a-f]{64}", hashes)
        for name, version, hashes in _PIN.findall(text)
    }


def _installed(root: Path, content: manifest.Content) -> set[Pin]:
    """Packages that made the released outputs, by their run files."""
    files = (root / e["path"] for e in content["volatile"]["files"] if e["path"] != manifest.DVC)
    runs = (from_json(file.read_bytes()) for file in files)
    stated = (pin for run in runs for pin in run["environment"]["packages"].items())
    return {(normal_name(name), version) for name, version in stated}


def normal_name(name: str) -> str:
    """A package's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _package(name: str, version: str, sources: list[str], hashes: list[str]) -> Node:
    about: Node = {
        "bom-ref": f"{name}=={version}",
        "name": name,
        "version": version,
        "properties": [_property("stated-by", source) for source in sources],
    }
    if name == "shiftbench":  # that of the commit, whatever an index may have under this name
        return about | {"type": "application"}
    purl = _purl("pypi", name, version)
    if hashes:
        files = {"type": "distribution", "url": purl, "comment": "one of these files"}
        about["externalReferences"] = [files | {"hashes": list(map(_hash, hashes))}]
    return about | {"type": "library", "purl": purl}


# --- data and models -----------------------------------------------------------------------------


def _is_brought(artifact: Artifact) -> bool:
    """Whether others trained a checkpoint: it has no training data."""
    return artifact.ref.kind == "checkpoints" and all(ref.kind == "sources" for ref in artifact.inputs)


def _models(models: list[Artifact], content: manifest.Content) -> Iterator[Node]:
    """Yield the checkpoints that others trained, with the licences of their sources."""
    known = {entry["path"]: entry["sha256"] for entry in content["artefacts"]}
    for artifact in models:
        licences = [source_files.load_source(ref.name).licence for ref in artifact.inputs]
        yield {
            "type": MODEL,
            "bom-ref": artifact.ref.path,
            "name": artifact.ref.name,
            "hashes": [_hash(known[artifact.ref.path])],
            "properties": [_property("model", artifact.recipe["model"]["use"])],
            **({"licenses": [_licence(text) for text in licences]} if licences else {}),
        }


def _sources(plan: Plan, models: list[Artifact]) -> Iterator[Node]:
    """Yield the originals: title, licence, digests of the files, and the packages that hold them."""
    checkpoint_sources = {ref for artifact in models for ref in artifact.inputs}
    for ref in (ref for ref in plan.artifacts if ref.kind == "sources"):
        source = source_files.load_source(ref.name)
        places = [{"type": "website", "url": source.homepage}] if source.homepage else []
        places += [
            {"type": "distribution", "url": _of_provider(provider)}
            for provider in source.providers
            if provider.client in _PURL
        ]
        yield {
            "type": "data",
            "bom-ref": _name(ref),
            "name": ref.name,
            "description": source.title,
            "licenses": [_licence(source.licence)],
            "externalReferences": places,
            "data": [{"type": "other" if ref in checkpoint_sources else "dataset", "name": source.title}],
            "components": [
                {"type": "file", "name": path, "hashes": [_hash(file.sha256)]}
                for path, file in sorted(source.files.items())
            ],
            "properties": [_property("tree", source.tree.sha256)] if source.tree else [],
        }


def _name(ref: Ref) -> str:
    return f"{ref.kind}/{ref.name}"


def _of_provider(provider: Provider) -> str:
    return _purl(_PURL[provider.client], provider.package, provider.version)


# --- CycloneDX's small objects -------------------------------------------------------------------


def _purl(kind: str, name: str, version: str) -> str:
    """A package URL (github.com/package-url/purl-spec)."""
    return f"pkg:{kind}/{quote(name)}@{quote(version, safe=':')}"


def _hash(sha256: str) -> Node:
    return {"alg": "SHA-256", "content": sha256}


def _licence(text: str) -> Node:
    return {"license": {"id" if text in _SPDX else "name": text}}


def _property(name: str, value: str) -> Node:
    return {"name": f"shiftbench:{name}", "value": value}
