"""The run as a Workflow Run RO-Crate: the Snakefile, and one action per job with inputs, outputs, environment.

Source: RO-Crate 1.1, Workflow RO-Crate 1.0, Process and Workflow Run Crate 0.5 (w3id.org/ro/wfrun). Written as
JSON-LD directly: `rocrate` copies the files that it describes, and a release does not copy them. Paths are
relative to the release's folder, so they begin with `../..`.
"""

import hashlib
import importlib.metadata
import os
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from shiftbench.base.errors import DataError
from shiftbench.base.files import from_json
from shiftbench.provenance.recipe import Job, canonical
from shiftbench.release import manifest
from shiftbench.workflow.plan.plan import VERBS, Plan

FILE = "ro-crate-metadata.json"
Node = dict[str, Any]

_CRATE, _WORKFLOW = ("https://w3id.org/ro/crate/1.1", "https://w3id.org/workflowhub/workflow-ro-crate/1.0")
_RUN = "https://w3id.org/ro/wfrun"
_PROFILES = {
    f"{_RUN}/process/0.5": "Process Run Crate",
    f"{_RUN}/workflow/0.5": "Workflow Run Crate",
    _WORKFLOW: "Workflow RO-Crate",
}
_TERMS = {name: f"https://w3id.org/ro/terms/workflow-run#{name}" for name in ("environment", "sha256")}
_LANGUAGE = "https://w3id.org/workflowhub/workflow-ro-crate#snakemake"
_MIME = {".json": "application/json", ".parquet": "application/vnd.apache.parquet", ".html": "text/html"}
_STATED = ("python", "system", "cpu", "cores", "lock", "blas", "gpu", "driver")
"""Facts of a run's environment in the crate; the packages follow as one value."""


def document(plan: Plan, root: Path, home: Path, content: manifest.Content) -> Node:
    """Metadata of the crate.

    Raises:
        DataError: the repository has no Snakefile, or an output no run file.
    """
    if not (home / "Snakefile").is_file():
        raise DataError(f"{home / 'Snakefile'} is missing: it is the workflow that a release describes")
    crate = _Crate(root, home, content)
    jobs = [action for job in plan.jobs.values() if (action := crate.job(job))]
    run = crate.whole(jobs)
    graph = [
        {
            "@id": FILE,
            "@type": "CreativeWork",
            "about": {"@id": "./"},
            "conformsTo": [{"@id": _CRATE}, {"@id": _WORKFLOW}],
        },
        crate.top([run, *jobs]),
        *({"@id": url, "@type": "CreativeWork", "name": name, "version": url.rpartition("/")[2]}
          for url, name in _PROFILES.items()),
        *_tools(crate.workflow),
        *crate.nodes(),
        run,
        *jobs,
    ]  # fmt: skip
    return {"@context": [f"{_CRATE}/context", _TERMS], "@graph": graph}


class _Crate:
    """Collects files and facts of environments, each once, while jobs are described."""

    def __init__(self, root: Path, home: Path, content: manifest.Content) -> None:
        folder = manifest.folder(home, content["name"]).resolve()
        self.root, self.content = root, content
        self.up = os.path.relpath(home.resolve(), folder)
        self.up_root = os.path.relpath(root.resolve(), folder)
        self.workflow = f"{self.up}/Snakefile"
        self.artefacts = {artefact.path: artefact for artefact in manifest.artefacts(content)}
        self.files: dict[str, Node] = {}
        self.facts: dict[str, Node] = {}

    def job(self, job: Job) -> Node | None:
        """Action of a job; None if none of its outputs is released."""
        paths = [path for path in job.outputs if path in self.artefacts and not self.artefacts[path].withheld]
        if not paths:
            return None
        runs = [self._run(path) for path in paths]
        ends = [datetime.fromisoformat(run["finished"]) for run in runs]
        starts = [end - timedelta(seconds=run["seconds"]) for end, run in zip(ends, runs, strict=True)]
        return {
            "@id": f"#job/{job.verb}/{job.name}",
            "@type": "CreateAction",
            "name": f"{job.verb} {job.name}",
            "description": f"shiftbench {job.verb} --recipe {job.recipe_path}",
            "instrument": {"@id": f"#shiftbench-{job.verb}"},
            "startTime": min(starts).isoformat(timespec="seconds"),
            "endTime": max(ends).isoformat(timespec="seconds"),
            "environment": self._environment(runs),
            **_several("object", (self._entity(ref.path) for ref in job.inputs if ref.path in self.artefacts)),
            **_several("result", map(self._entity, paths)),
        }

    def whole(self, jobs: list[Node]) -> Node:
        """Action of the whole run: from params to tables and report."""
        last = [a for a in self.artefacts.values() if a.kind in ("tables", "report")]
        return {
            "@id": "#run",
            "@type": "CreateAction",
            "name": f"run of release {self.content['name']}",
            "description": "snakemake",
            "instrument": {"@id": self.workflow},
            "startTime": min(job["startTime"] for job in jobs),
            "endTime": max(job["endTime"] for job in jobs),
            **_several("object", map(self._entity, self._params())),
            **_several("result", (self._entity(artefact.path) for artefact in last)),
        }

    def top(self, actions: list[Node]) -> Node:
        """Root of the crate."""
        names = [manifest.FILE]
        for name in names:
            self.files[name] = {"@id": name, "@type": "File", "name": name, "encodingFormat": "application/json"}
        parts = [self.workflow, *(node["@id"] for node in self.files.values() if node["@type"] == "File")]
        return {
            "@id": "./",
            "@type": "Dataset",
            "name": f"shiftbench release {self.content['name']}",
            "description": f"A run of shiftbench; the Merkle root of its artefacts is {self.content['root']}.",
            "datePublished": self.content["volatile"]["created"],
            "license": {"@id": "#terms"},
            "conformsTo": [{"@id": url} for url in _PROFILES],
            "mainEntity": {"@id": self.workflow},
            "hasPart": [{"@id": part} for part in sorted(set(parts))],
            "mentions": [{"@id": action["@id"]} for action in actions],
        }

    def nodes(self) -> list[Node]:
        """Files and facts of environments so far."""
        return [*(node for _, node in sorted(self.files.items())), *(node for _, node in sorted(self.facts.items()))]

    def _params(self) -> list[str]:
        return [path for path, artefact in self.artefacts.items() if artefact.kind == "params"]

    def _entity(self, path: str) -> Node:
        """Reference to an artefact, whose node is collected; withheld artefacts are no files of the crate."""
        artefact = self.artefacts[path]
        up = self.up if artefact.stage == manifest.REPOSITORY else self.up_root
        identity = f"#withheld/{path}" if artefact.withheld else f"{up}/{path}"
        node: Node = {"@id": identity, "name": path, "sha256": artefact.sha256}
        if artefact.withheld:
            node |= {"@type": "CreativeWork", "description": "present as its digest only"}
        else:
            mime = _MIME.get(Path(path).suffix, "application/octet-stream")
            node |= {"@type": "File", "encodingFormat": mime, "contentSize": str(artefact.size)}
        self.files[path] = node
        return {"@id": identity}

    def _run(self, path: str) -> Node:
        file = self.root / f"{path}.run.json"
        try:
            run: Node = from_json(file.read_bytes())
        except (FileNotFoundError, ValueError):
            raise DataError(
                f"{file} is missing or no JSON, and a release states where and when an output was made; "
                f"pull it again, or remove it and run `shiftbench repair {path}`"
            ) from None
        return run

    def _environment(self, runs: list[Node]) -> list[Node]:
        """References to the facts of environments; each value is in the crate once."""
        nodes = {}
        for run in runs:
            about = run["environment"]
            facts = {name: about[name] for name in _STATED if about.get(name) is not None}
            packages = sorted(about["packages"].items())
            facts["packages"] = " ".join(f"{name}=={version}" for name, version in packages)
            for name, value in facts.items():
                identity = f"#environment/{name}/{hashlib.sha256(canonical(value).encode()).hexdigest()[:12]}"
                nodes[identity] = {"@id": identity, "@type": "PropertyValue", "name": name, "value": str(value)}
        self.facts |= nodes
        return [{"@id": identity} for identity in sorted(nodes)]


def _tools(workflow: str) -> list[Node]:
    """Workflow, its language, the verbs of the command line, and the terms."""
    version = importlib.metadata.version("shiftbench")
    return [
        {
            "@id": workflow,
            "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow"],
            "name": "shiftbench: from params to a report",
            "version": version,
            "encodingFormat": "text/plain",
            "programmingLanguage": {"@id": _LANGUAGE},
        },
        {
            "@id": _LANGUAGE,
            "@type": "ComputerLanguage",
            "name": "Snakemake",
            "identifier": {"@id": "https://doi.org/10.1093/bioinformatics/bts480"},
            "url": {"@id": "https://snakemake.readthedocs.io"},
        },
        {
            "@id": "#terms",
            "@type": "CreativeWork",
            "name": "Terms of the parts",
            "description": "Each dataset has its own licence, stated in croissant/ and in the shards' manifests.",
        },
        *({"@id": f"#shiftbench-{verb}", "@type": "SoftwareApplication", "name": f"shiftbench {verb}",
           "softwareVersion": version} for verb in VERBS),
    ]  # fmt: skip


def _several(name: str, nodes: Iterable[Node]) -> Node:
    """A property with its references: a single one without a list, and no property without references."""
    identifiers = list(nodes)
    return {name: identifiers if len(identifiers) > 1 else identifiers[0]} if identifiers else {}
