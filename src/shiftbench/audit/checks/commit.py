"""The checkout is at a commit, clean in what decides results, and results were made from this history.

Pass rule: params, systems, code of the package and of plugin folders, locks and recorded numbers are as HEAD has
them: YAML by its values, Python by its syntax (a comment is no change), all else by bytes; a source file that a recipe
names is in HEAD. The commit in each run file is HEAD or before it. Other files that differ are noted, and so are
results made from a dirty checkout, since recipes carry the digests of the code (see `reruns`). Without git, or with a
history that was cut, nothing of this can be told.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import yaml

from shiftbench import entries, plugins
from shiftbench.audit.case import Case
from shiftbench.audit.evidence import git_state
from shiftbench.audit.finding import Finding, Note, some
from shiftbench.provenance import code_digest

NUMBER, LEVEL = "A1", 0
_BYTES = ("requirements.lock", "sources.lock", "dvc.lock")
_KINDS = {entries.FILE: "yaml", ".py": "python"}
_YAML = re.compile(r"params[^/]*\.yaml|(params|systems)/[^/]+\.yaml")


def check(case: Case) -> Iterator[Finding | Note]:
    """Compare the checkout with HEAD, and the commits of the results with its history."""
    head = git_state.says("rev-parse", "--verify", "HEAD")
    if head is None or not git_state.ask("ls-files", "--error-unmatch", "params.yaml"):
        why = (
            "params.yaml is in no git commit, so nobody can tell which version this is; audit a clone, "
            "or commit it (a downloaded archive has no history)"
        )
        yield case.incomplete("params.yaml", why)
        yield Note("without a commit nothing was compared")
        return
    yield from _tree(case)
    yield from _commits(case, head)
    yield from _outside()
    yield Note(f"HEAD is {head[:12]}")


# ------------------------------------------------------------------------------ the tree


def _tree(case: Case) -> Iterator[Finding | Note]:
    files, others = git_state.changed()
    for file in files:
        kind = _kind(file)
        if kind is None or _same(file, kind):
            others.append(file.name)
        else:
            why = "it decides results and differs from HEAD; commit it and run again, or `git checkout` it"
            yield case.failed(file.name, why)
    yield from _uncommitted(case)
    if others:
        yield Note(f"{len(others)} changed files decide no result: {some(others)}")


def _uncommitted(case: Case) -> Iterator[Finding]:
    """Yield source files that recipes name, and lists of entries, that HEAD does not have; ignored ones, too."""
    home, known = git_state.top(), git_state.tracked()
    named = {
        name: None for artifact in case.plan.artifacts.values() for name in artifact.recipe["code"]
    }
    listed = [
        folder / entries.FILE for family in plugins.FAMILIES for folder in plugins.folders(family)
    ]
    for file in (path.resolve() for path in (*map(code_digest.locate, named), *listed)):
        if file.is_relative_to(home) and file not in known and file.is_file():
            why = "it decides results and is in no commit; commit it"
            yield case.failed(file.relative_to(home).as_posix(), why)


def _kind(file: git_state.Tracked) -> str | None:
    """Return how a file that decides results is compared: `yaml`, `python` or `bytes`; None: it decides none."""
    path = file.path.resolve()
    homes = (plugins.PACKAGE.resolve(), *(folder.resolve() for folder in plugins.Folders.extra))
    if any(path.is_relative_to(home) for home in homes):
        return _KINDS.get(path.name) or _KINDS.get(path.suffix, "bytes")
    if not path.is_relative_to(Path.cwd().resolve()):
        return None
    name = path.relative_to(Path.cwd().resolve()).as_posix()
    if _YAML.fullmatch(name):
        return "yaml"
    return "bytes" if name in _BYTES or "/recorded/" in name else None


def _same(file: git_state.Tracked, kind: str) -> bool:
    """Tell whether a file means what it means in HEAD."""
    blob = file.blob()
    if blob is None or not file.path.is_file():
        return False
    now = file.path.read_bytes()
    if kind == "bytes" or now == blob:
        return now == blob  # a mode may have changed, which decides nothing
    try:
        if kind == "yaml":
            return bool(yaml.safe_load(now) == yaml.safe_load(blob))
        return _syntax(now) == _syntax(blob)
    except (yaml.YAMLError, SyntaxError, ValueError):
        return False


def _syntax(source: bytes) -> str:
    """Return the syntax of Python source without docstrings; comments and formatting are no part of it."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            documented = ast.get_docstring(node, clean=False) is not None
            node.body = node.body[documented:]
    return ast.dump(tree)


def _outside() -> Iterator[Note]:
    """Note code that this repository does not hold."""
    top = git_state.top()
    for folder in (plugins.PACKAGE, *plugins.Folders.extra):
        if not folder.resolve().is_relative_to(top):
            yield Note(
                f"{folder} lies outside of this repository; its code is known by the digests in recipes"
            )


# ------------------------------------------------------------------------------ the results


def _commits(case: Case, head: str) -> Iterator[Finding | Note]:
    """Yield what is wrong with the commits that results were made at, one finding per commit."""
    runs = {ref: case.run_file(ref) or {} for ref in case.complete}
    counts = Counter(run["commit"] for run in runs.values() if "commit" in run)
    first = {run.get("commit"): f"{ref.path}.run.json" for ref, run in reversed(runs.items())}
    for commit, count in counts.items():
        if commit is None:
            why = f"{count} outputs were made where there was no git: no commit can be named"
            yield case.incomplete(first[None], why)
        elif not re.fullmatch(r"[0-9a-f]{40,64}", str(commit)):
            yield case.failed(
                first[commit], "that is no commit", expected="a hexadecimal name", found=str(commit)
            )
        elif commit != head:
            yield from _history(case, commit, count, first[commit])
    unclean = sum(bool(run.get("dirty")) for run in runs.values())
    if unclean:
        yield Note(
            f"{unclean} outputs were made from a checkout with changes; recipes hold the digests of its code"
        )
    yield Note(f"{sum(counts.values())} outputs were made at {len(counts)} commits")


def _history(case: Case, commit: str, count: int, file: str) -> Iterator[Finding]:
    if git_state.is_known(commit) and git_state.is_ancestor(commit):
        return
    if git_state.is_shallow():
        why = f"{count} outputs were made at a commit that this shallow clone does not show; `git fetch --unshallow`"
        yield case.incomplete(file, why, expected=commit, found="a history that was cut")
        return
    known = "is not before HEAD" if git_state.is_known(commit) else "is not in this repository"
    why = f"{count} outputs were made at a commit that {known}: their code is not this history's"
    yield case.failed(file, why, expected="HEAD or a commit before it", found=commit)
