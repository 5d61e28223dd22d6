"""Check of the commit: the checkout is at one, and all that decides results is committed."""

import ast
import importlib.machinery
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import yaml

from shiftbench.audit.case import Case
from shiftbench.audit.check import check
from shiftbench.audit.evidence import bytecode, git_state
from shiftbench.audit.finding import Finding, Note, some
from shiftbench.base import registry
from shiftbench.base.registry import variants
from shiftbench.provenance import code_digest
from shiftbench.workflow.plan import configurations

_READS = 1
"""From this level on bytecode is compared with its source."""
_BYTES = ("requirements.lock", "sources.lock", "dvc.lock")
_WORKFLOW = re.compile(r"Snakefile|Makefile|dvc\.yaml|(workflow|profiles)/")
_KINDS = {variants.FILE: "yaml", ".py": "python"}
_YAML = re.compile(r"params[^/]*\.yaml|(params|systems)/[^/]+\.yaml")


@check("A1", level=0)
def commit(case: Case) -> Iterator[Finding | Note]:
    """The checkout is at a commit, all that decides results is committed, and results come from this history.

    Pass rule: params, systems, code of the package (including the audit) and of plugin folders, locks and recorded
    numbers are as in HEAD. The audit hashes commit, trees, blobs and files itself, and does not use the index, filters
    or hooks. Replaced objects and grafts are refused. YAML files are compared by their values, Python files by their
    syntax without comments, other files by their bytes. A source file that a recipe names is in HEAD.

    The source folders contain no module that an import would take first: no compiled extension, and no cached bytecode
    that Python does not compare with its source. From level 1 on, the cached bytecode of the audit and of the sources
    that recipes name equals what these compile to. A link counts as git stores it, and leads to a file of HEAD. The
    commit in each run file is HEAD or one of its ancestors. Plugins outside of the repository are in no commit, and
    fail. If the lines of a checkout end in CRLF, this is one finding and the audit stops.

    Limits: other files that differ are noted. Results of a checkout with changes are noted, since recipes have the
    digests of the code (see `reruns`). Without git, or with a shallow history, the check is incomplete.
    """
    head = git_state.says("rev-parse", "--verify", "HEAD")
    if head is None or not git_state.ask("ls-files", "--error-unmatch", "params.yaml"):
        why = (
            "params.yaml is in no git commit, so that the version is unknown; audit a clone, "
            "or commit it (a downloaded archive has no history)"
        )
        yield case.incomplete("params.yaml", why)
        yield Note("without a commit nothing was compared")
        return
    for name in git_state.rewritten():
        why = "git is told to read another object than the commit names; `git replace -d` it"
        yield case.failed(name, why, expected="no replacement and no graft")
    yield from _tree(case)
    yield from _importable(case)
    yield from _commits(case, head)
    yield from _outside(case)
    yield Note(f"HEAD is {head[:12]}")


# ------------------------------------------------------------------------------ the tree


def _tree(case: Case) -> Iterator[Finding | Note]:
    files, others = git_state.changed()
    ends = [file.name for file in files if file.same_lines]
    if ends:
        case.stopped = "line endings differ from HEAD"
        why = (
            f"{len(ends)} files have CRLF at their lines' ends and HEAD has LF (git's core.autocrlf, or an editor): "
            "all digests differ; commit `.gitattributes` with `* text=auto eol=lf`, then clone again"
        )
        yield case.failed(ends[0], why, expected="the bytes of HEAD", found=some(ends))
    for file in files:
        kind = _kind(case, file.path)
        if file.name in ends:
            continue
        if kind is None or _same(file, kind):
            others.append(file.name)
        else:
            why = "it decides results and differs from HEAD; commit it and run again, or `git checkout` it"
            yield case.failed(file.name, why)
    yield from _uncommitted(case)
    yield from _links(case)
    order = [name for name in others if _WORKFLOW.match(name)]
    if order:
        yield Note(
            f"{len(order)} changed files of the workflow order jobs, and are in no recipe: {some(order)}", limits=True
        )
    others = [name for name in others if name not in order]
    if others:
        yield Note(f"{len(others)} changed files decide no result: {some(others)}")


def _uncommitted(case: Case) -> Iterator[Finding]:
    """Yield source files that recipes name, and lists of variants, that HEAD does not have, including ignored files."""
    home, known = git_state.top(), git_state.tracked()
    named = code_digest.files_of(one.recipe for one in case.plan.artifacts.values())
    listed = [
        folder / variants.FILE for plugin_type in registry.PLUGIN_TYPES for folder in registry.folders(plugin_type)
    ]
    params = [file.absolute() for file in configurations.files(case.plan.config)]
    for path in (*named, *listed, *params):
        file = path.parent.resolve() / path.name  # a link counts as git stores it
        if file.is_relative_to(home) and file not in known and file.is_file():
            why = "it decides results and is in no commit; commit it"
            yield case.failed(file.relative_to(home).as_posix(), why)


def _links(case: Case) -> Iterator[Finding]:
    """Yield links of HEAD that decide results and lead outside of HEAD: their target can change unseen."""
    known = git_state.tracked()
    folders = {folder for file in known for folder in file.parents}
    for link in git_state.links():
        target = link.path.resolve()
        if _kind(case, link.path) is None or target in known:
            continue
        if target not in folders or not target.is_relative_to(git_state.top()):
            why = "it decides results and is a link to a file in no commit; commit the file itself"
            yield case.failed(link.name, why, expected="a file of HEAD", found=str(target))


def _homes(case: Case) -> tuple[Path, ...]:
    """Folders whose code decides results."""
    return (case.package.resolve(), *(folder.resolve() for folder in registry.Folders.extra))


def _importable(case: Case) -> Iterator[Finding]:
    """Yield modules that an import would take and that have no source in HEAD.

    Python prefers a compiled extension to the source next to it, and bytecode that is marked as unchecked to any
    source.
    """
    home, known = git_state.top(), git_state.tracked()
    for folder in (one for one in _homes(case) if one.is_relative_to(home)):
        for file in sorted(folder.rglob("*")):
            if file.suffix == ".pyc" and _is_unchecked(file):
                why = "this bytecode is marked as unchecked: Python never compares it with its source; remove it"
            elif file.name.endswith(_EXTENSIONS) and file not in known and file.is_file():
                why = "an import takes this compiled module before any source, and it is in no commit; remove it"
            else:
                continue
            yield case.failed(file.relative_to(home).as_posix(), why)
    if case.level >= _READS:
        yield from _bytecode(case)


def _bytecode(case: Case) -> Iterator[Finding]:
    """Yield bytecode of this Python that differs from its source, for files that recipes name and for the audit.

    Python trusts the time and the size in the head of bytecode, so that copying these makes it run any code.
    """
    named = code_digest.files_of(one.recipe for one in case.plan.artifacts.values())
    sources = {file.resolve() for file in named if file.suffix == ".py"}
    sources |= {file.resolve() for file in (case.package / "audit").rglob("*.py")}
    for file in bytecode.forged(sources):
        why = "this bytecode differs from its source, and Python would run it; remove it"
        top = git_state.top()
        yield case.failed((file.relative_to(top) if file.is_relative_to(top) else file).as_posix(), why)


_EXTENSIONS = tuple(importlib.machinery.EXTENSION_SUFFIXES)


def _is_unchecked(file: Path) -> bool:
    """Whether Python would load bytecode without a look at its source (PEP 552), or has no source to look at."""
    if file.parent.name != "__pycache__":
        return True
    with file.open("rb") as stream:
        flags = int.from_bytes(stream.read(8)[4:], "little")
    return flags & 0b11 == 0b01


def _kind(case: Case, file: Path) -> str | None:
    """Kind of comparison of a file that decides results: `yaml`, `python` or `bytes`; None: it decides no result."""
    path = file.parent.resolve() / file.name
    if any(path.is_relative_to(home) for home in _homes(case)):
        return _KINDS.get(path.name) or _KINDS.get(path.suffix, "bytes")
    if not path.is_relative_to(Path.cwd().resolve()):
        return None
    name = path.relative_to(Path.cwd().resolve()).as_posix()
    if _YAML.fullmatch(name):
        return "yaml"
    decides = name in _BYTES or "/recorded/" in name or name.startswith("published/")
    return "bytes" if decides else None


def _same(file: git_state.TrackedFile, kind: str) -> bool:
    """Whether a file has the same meaning as in HEAD."""
    blob, now = file.blob(), file.bytes()
    if blob is None or now is None or kind == "bytes":
        return False
    try:
        if kind == "yaml":
            return bool(yaml.safe_load(now) == yaml.safe_load(blob))
        return _syntax(now) == _syntax(blob)
    except (yaml.YAMLError, SyntaxError, ValueError):
        return False


def _syntax(source: bytes) -> str:
    """Syntax of Python source without docstrings; comments and formatting are no part of it."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            documented = ast.get_docstring(node, clean=False) is not None
            node.body = node.body[documented:]
    return ast.dump(tree)


def _outside(case: Case) -> Iterator[Finding | Note]:
    """Yield code outside of this repository."""
    top = git_state.top()
    for folder in registry.Folders.extra:
        if not folder.resolve().is_relative_to(top):
            why = "these plugins are outside of the repository, so that they are in no commit; move them into it"
            yield case.failed(str(folder), why, expected=f"a folder below {top}")
    if not case.package.resolve().is_relative_to(top):
        yield Note(f"{case.package} is outside of this repository; recipes have the digests of its code", limits=True)


# ------------------------------------------------------------------------------ the results


def _commits(case: Case, head: str) -> Iterator[Finding | Note]:
    """Yield flaws of the commits that results were made at, one finding per commit."""
    runs = {ref: case.run_file(ref) or {} for ref in case.complete}
    counts = Counter(run["commit"] for run in runs.values() if "commit" in run)
    first = {run.get("commit"): f"{ref.path}.run.json" for ref, run in reversed(runs.items())}
    for commit, count in counts.items():
        if commit is None:
            why = f"{count} outputs were made without git, so that their commit is unknown"
            yield case.incomplete(first[None], why)
        elif not re.fullmatch(r"[0-9a-f]{40,64}", str(commit)):
            sides = {"expected": "a hexadecimal name", "found": str(commit)}
            yield case.failed(first[commit], "the run file names no commit", **sides)
        elif commit != head:
            yield from _history(case, commit, count, first[commit])
    unclean = sum(bool(run.get("dirty")) for run in runs.values())
    if unclean:
        yield Note(
            f"{unclean} outputs were made from a checkout with changes; recipes hold the digests of its code",
            limits=True,
        )
    yield Note(f"{sum(counts.values())} outputs were made at {len(counts)} commits")


def _history(case: Case, commit: str, count: int, file: str) -> Iterator[Finding]:
    if git_state.is_known(commit) and git_state.is_ancestor(commit):
        return
    if git_state.is_shallow():
        why = f"{count} outputs were made at a commit that this shallow clone does not show; `git fetch --unshallow`"
        yield case.incomplete(file, why, expected=commit, found="a shallow history")
        return
    known = "is not before HEAD" if git_state.is_known(commit) else "is not in this repository"
    why = f"{count} outputs were made at a commit that {known}: their code is not in this history; run again"
    yield case.failed(file, why, expected="HEAD or a commit before it", found=commit)
