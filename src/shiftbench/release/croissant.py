"""Croissant descriptions of the shards: files with digests, records, licence, and the provenance of shifts.

Source: Croissant 1.1 (mlcommons.org/croissant/1.1), with PROV-O for provenance. One document per dataset; one
record set per folder of shards (`test/fog/3`): key, payload, label, extracted from the tars. The document is written
here, since the bytes of `mlcroissant`'s writer change with its version; `mlcroissant` is used as validator.
"""

import json
import os
from importlib import resources
from pathlib import Path
from typing import Any

from shiftbench.data import shards
from shiftbench.provenance import recipe
from shiftbench.provenance.recipe import Artifact
from shiftbench.release import manifest
from shiftbench.workflow.plan.plan import Plan

Node = dict[str, Any]
VERSION = "http://mlcommons.org/croissant/1.1"
_MIME = {"png": "image/png", "wav": "audio/wav", "txt": "text/plain", "cls": "text/plain"}
_TYPES = {"image": "sc:ImageObject", "audio": "sc:AudioObject", "text": "sc:Text", "label": "sc:Integer"}


def documents(plan: Plan, root: Path, home: Path, content: manifest.Content) -> dict[str, Node]:
    """One document per dataset with released shards, by the dataset's name."""
    artifacts: dict[str, list[Artifact]] = {}
    for artifact in manifest.released_artifacts(plan):
        if artifact.ref.kind == "shards":
            artifacts.setdefault(artifact.ref.parts[0], []).append(artifact)
    up = os.path.relpath(root.resolve(), manifest.folder(home, content["name"]).resolve() / "croissant")
    return {
        name: _document(name, sorted(members, key=lambda artifact: artifact.ref), root, up, content)
        for name, members in sorted(artifacts.items())
    }


def _document(name: str, artifacts: list[Artifact], root: Path, up: str, content: manifest.Content) -> Node:
    about = shards.manifest((root / artifacts[0].ref.path).parent)
    distribution: list[Node] = []
    records: list[Node] = []
    for artifact in artifacts:
        files, sets = _folder(artifact, root, up)
        distribution += files
        records += sets
    return {
        "@context": json.loads(resources.files("shiftbench.release").joinpath("croissant_context.json").read_text()),
        "@type": "sc:Dataset",
        "conformsTo": VERSION,
        "name": name,
        "description": f"Shards of {name} under the shifts of release {content['name']}, made by shiftbench.",
        "license": about["licence"],
        "citeAs": about["citation"],
        "datePublished": content["volatile"]["created"],
        "version": _version(content),
        "distribution": distribution,
        "recordSet": records,
    }


def _version(content: manifest.Content) -> str:
    """A semantic version whose build part is the release's root."""
    from importlib.metadata import version

    return f"{version('shiftbench')}+{content['root'][:16]}"


def _folder(artifact: Artifact, root: Path, up: str) -> tuple[list[Node], list[Node]]:
    """Files and the record sets of one folder of shards."""
    about = shards.manifest((root / artifact.ref.path).parent)
    name = "/".join(artifact.ref.parts[1:])
    place = f"{up}/{Path(artifact.ref.path).parent.as_posix()}"
    tars = [
        _file(f"{name}/{tar}", f"{place}/{tar}", "application/x-tar", facts["sha256"])
        | {"contentSize": f"{facts['bytes']} B"}
        for tar, facts in sorted(about["tars"].items())
    ]
    index = _file(f"{name}/index.parquet", f"{place}/index.parquet", "application/vnd.apache.parquet", about["index"])
    payload = next(field for field in about["fields"] if field in ("image", "audio", "text"))
    fields = (payload, "label") if "label" in about["fields"] else (payload,)
    sets = [_members(name, field, about["fields"], tars) for field in fields]
    return [*tars, index, *sets], _records(name, payload, about["fields"], _provenance(artifact, root))


def _file(identity: str, url: str, mime: str, digest: str) -> Node:
    return {
        "@type": "cr:FileObject",
        "@id": identity,
        "name": identity,
        "contentUrl": url,
        "encodingFormat": mime,
        "sha256": digest,
    }


def _members(name: str, field: str, fields: dict[str, str], tars: list[Node]) -> Node:
    """Members with one extension, without longer extensions that end alike (`mask.png`)."""
    extension = fields[field]
    longer = [f"*.{other}" for other in sorted(fields.values()) if other.endswith(f".{extension}")]
    return {
        "@type": "cr:FileSet",
        "@id": f"{name}/{field}s",
        "name": f"{name}/{field}s",
        "containedIn": [{"@id": tar["@id"]} for tar in tars],
        "encodingFormat": _MIME[extension],
        "includes": f"*.{extension}",
        **({"cr:excludes": longer} if longer else {}),
    }


def _records(name: str, payload: str, fields: dict[str, str], provenance: Node) -> list[Node]:
    """Record sets of labels by key and of samples that join them; without labels, samples only."""
    if "label" not in fields:
        samples = {
            "@type": "cr:RecordSet",
            "@id": name,
            "name": name,
            "key": {"@id": f"{name}/key"},
            "field": [
                _key(f"{name}/key", f"{name}/{payload}s", fields[payload]),
                _content(f"{name}/{payload}", f"{name}/{payload}s", _TYPES[payload]),
            ],
        }
        return [samples | provenance]
    labels = f"{name}/labelled"
    return [
        {
            "@type": "cr:RecordSet",
            "@id": labels,
            "name": labels,
            "key": {"@id": f"{labels}/key"},
            "field": [
                _key(f"{labels}/key", f"{name}/labels", fields["label"]),
                _content(f"{labels}/label", f"{name}/labels", _TYPES["label"]),
            ],
        },
        {
            "@type": "cr:RecordSet",
            "@id": name,
            "name": name,
            "key": {"@id": f"{name}/key"},
            "field": [
                _key(f"{name}/key", f"{name}/{payload}s", fields[payload])
                | {"references": {"field": {"@id": f"{labels}/key"}}},
                _content(f"{name}/{payload}", f"{name}/{payload}s", _TYPES[payload]),
                _field(f"{name}/label", _TYPES["label"], {"field": {"@id": f"{labels}/label"}}),
            ],
            **provenance,
        },
    ]


def _key(identity: str, files: str, extension: str) -> Node:
    source = {
        "fileSet": {"@id": files},
        "extract": {"fileProperty": "fullpath"},
        "transform": {"regex": rf"^(.*?)(?:\.{extension})?$"},
    }
    return _field(identity, "sc:Text", source)


def _content(identity: str, files: str, kind: str) -> Node:
    source = {"fileSet": {"@id": files}, "extract": {"fileProperty": "content"}}
    return _field(identity, kind, source)


def _field(identity: str, kind: str, source: Node) -> Node:
    return {"@type": "cr:Field", "@id": identity, "name": identity, "dataType": kind, "source": source}


def _provenance(artifact: Artifact, root: Path) -> Node:
    """Inputs and recipe of a folder, in PROV's terms."""
    consumed = (recipe.receipt(root, artifact.ref) or {"consumed": {}})["consumed"]
    options = {key: artifact.recipe[key] for key in ("shift", "severity", "seed") if key in artifact.recipe}
    activity: Node = {
        "@type": "prov:Activity",
        "prov:label": recipe.canonical(options),
        "prov:wasAssociatedWith": f"urn:shiftbench:recipe:{artifact.fingerprint}",
    }
    origins = [
        {"@type": "prov:Entity", "prov:label": path, "sha256": digest} for path, digest in sorted(consumed.items())
    ]
    return {"prov:wasGeneratedBy": activity} | ({"prov:wasDerivedFrom": origins} if origins else {})
