"""Checks of shared data: licences, and the objects that remotes have."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from shiftbench.audit.case import Case
from shiftbench.audit.check import check
from shiftbench.audit.evidence import git_state, shard_folders
from shiftbench.audit.finding import Finding, Note
from shiftbench.base import registry
from shiftbench.base.errors import DataError, ParamsError
from shiftbench.base.refs import Ref
from shiftbench.data import source_files
from shiftbench.workflow.plan.params import Dataset
from shiftbench.workflow.tools import doctor

_PRIVATE = ("data/local", "data/sources")


@check("A7", level=0)
def licences(case: Case) -> Iterator[Finding | Note]:
    """Each dataset states its licence, and data that may not be shared are not pushed.

    Pass rule: the licence in each manifest of source files and shards is not empty, and is that of the source's file or
    of the dataset's plugin. Each source names its providers or a homepage, its digests, and whether it may be shared.
    Shards that may not be shared are in data/local, which is in no output of DVC and not in git. No manifest in
    data/shards forbids sharing. Source files are in data/sources, which is never pushed.
    """
    seen = dict.fromkeys(("sources", "shards"), 0)
    for ref, _, _ in case.outputs("sources"):
        seen["sources"] += 1
        yield from _source(case, ref, shard_folders.raw_manifest(case, ref))
    for ref, _, _ in case.outputs("shards"):
        seen["shards"] += 1
        yield from _shards(case, ref, shard_folders.raw_manifest(case, ref))
    yield from _strays(case)
    yield from _stored(case)
    yield Note(f"the licences of {seen['sources']} source files and {seen['shards']} folders of shards")


def _source(case: Case, ref: Ref, about: dict[str, Any]) -> Iterator[Finding]:
    try:
        source = source_files.load_source(ref.name)
    except ParamsError as error:
        yield case.failed(ref, f"its source file cannot be read: {error}")
        return
    yield from _licence(case, ref, about, source.licence, f"sources/{ref.name}.yaml")
    why = f"whether it may be shared is not what sources/{ref.name}.yaml says"
    yield from case.expect(ref, why, source.redistribute, about.get("redistribute"))
    stated = {name: facts.sha256 for name, facts in source.files.items()}
    files: dict[str, dict[str, Any]] = about.get("files") or {}
    actual = {name: str(facts.get("sha256")) for name, facts in files.items()}
    if source.tree is not None:
        stated, actual = ({"tree": source.tree.sha256}, {"tree": source_files.tree_digest(actual.items())})
    if stated != actual:
        wrong = sorted(name for name, _ in stated.items() ^ actual.items())
        why = f"the digests are not those of sources/{ref.name}.yaml: {', '.join(dict.fromkeys(wrong[:3]))}"
        yield case.failed(ref, why)


def _shards(case: Case, ref: Ref, about: dict[str, Any]) -> Iterator[Finding]:
    dataset = ref.parts[0]
    module = registry.find("datasets", case.plan.params.use("datasets", dataset))
    stated = case.plan.params.options("datasets", dataset).get("licence") or module.LICENCE
    yield from _licence(case, ref, about, stated, f"dataset {dataset}")
    entry = case.plan.params.component("datasets", dataset)
    override = entry.redistribute if isinstance(entry, Dataset) else None
    allowed = module.REDISTRIBUTE if override is None else override
    why = f"whether it may be shared is not what dataset {dataset} says"
    yield from case.expect(ref, why, allowed, about.get("redistribute"))


def _licence(case: Case, ref: Ref, about: dict[str, Any], stated: str, source: str) -> Iterator[Finding]:
    actual = str(about.get("licence") or "").strip()
    if not actual:
        yield case.failed(ref, "the manifest states no licence", expected=stated, found="nothing")
    else:
        why = f"the licence is not the one that {source} states"
        yield from case.expect(ref, why, stated.strip(), actual)


def _strays(case: Case) -> Iterator[Finding]:
    """Yield shards that may not be shared and are in a folder that DVC pushes, planned or not."""
    for manifest in sorted((case.root / "data/shards").glob("*/*/*/*/manifest.json")):
        ref = Ref("shards", manifest.parent.relative_to(case.root / "data/shards").as_posix())
        if shard_folders.raw_manifest(case, ref).get("redistribute") is False:
            why = "its licence forbids sharing, and it is in a folder that DVC pushes; move it to data/local"
            yield case.failed(ref.path, why, expected=f"data/local/{ref.name}", found=f"data/shards/{ref.name}")


def _stored(case: Case) -> Iterator[Finding]:
    """Yield outputs of DVC and files of git that may not be shared."""
    for file in (Path("dvc.yaml"), Path("dvc.lock")):
        for out in _outs(file):
            for home in _PRIVATE:
                inside = PurePosixPath(home).is_relative_to(out) or PurePosixPath(out).is_relative_to(home)
                if inside:
                    why = f"{out} is an output of DVC, and {home} is never pushed; take it out"
                    yield case.failed(file.name, why, expected="no output there", found=out)
    for home in _PRIVATE:
        tracked = (git_state.says("ls-files", "--", str(case.root / home)) or "").splitlines()
        if tracked:
            why = f"git holds {len(tracked)} files below {home}, which may not be shared; `git rm --cached` them"
            yield case.failed(tracked[0], why)


def _outs(file: Path) -> list[str]:
    """Outputs that a DVC file names, relative to it."""
    try:
        content = yaml.safe_load(file.read_text()) if file.is_file() else {}
    except yaml.YAMLError:
        return []
    outs: list[str] = []
    for stage in (content or {}).get("stages", {}).values():
        for out in stage.get("outs", ()):
            outs += [out] if isinstance(out, str) else [out["path"]] if "path" in out else list(out)
    return outs


@check("A29", level=1)
def availability(case: Case) -> Iterator[Finding | Note]:
    """The remotes have all objects that dvc.lock names, with the recorded sizes.

    Pass rule: a remote that answers has every object that dvc.lock names, and the listing of each folder. The size of
    each object is that of the copy here, and the sizes of an output's objects add up to what dvc.lock records. The
    check is incomplete if no remote answers, or if no remote that answers has an object. Another size, or a listing
    with other bytes, fails. Two facts are notes: a remote does not answer while another one has everything, and there
    is only one remote.

    Limits: only sizes are read; `shiftbench pull` in a fresh clone reads all bytes.
    """
    try:
        remotes = doctor.remote_states(case.root)
    except DataError as error:  # no DVC, or nothing recorded
        yield Note(f"no remote was checked: {error}")
        return
    alive = [one for one in remotes if one["error"] is None]
    for one in remotes:
        if one["error"] is not None:
            yield Note(f"remote {one['name']} ({one['url']}) does not serve: {one['error']}")
        for line in one.get("wrong", ()):
            yield case.failed(line.partition(":")[0], f"remote {one['name']} contradicts dvc.lock: {line}")
    if not alive:
        why = "no remote answers, so that nobody can fetch the recorded files; see `shiftbench doctor --remotes`"
        yield case.incomplete("dvc.lock", why)
        return
    nowhere = set.intersection(*(set(one["missing"]) for one in alive))
    for line in sorted(nowhere):
        yield case.incomplete(line.partition(":")[0], f"no remote that answers has {line}; `dvc push` it")
    held = "; ".join(f"{one['name']} has {one['there']} of {one['objects']} objects" for one in alive)
    places = len({one["url"] for one in alive})
    yield Note(held if places > 1 else f"{held}; there is only one place: a second mirror is missing")
