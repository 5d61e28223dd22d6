"""Check of a fresh clone: a run in it makes everything again."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from shiftbench.audit.case import Case
from shiftbench.audit.check import check
from shiftbench.audit.evidence import environments
from shiftbench.audit.finding import Finding, Note, Verdict
from shiftbench.audit.reproduce.isolation import INHERITED
from shiftbench.base.errors import ParamsError
from shiftbench.base.refs import Ref
from shiftbench.data.dataset_card import CARD
from shiftbench.provenance import child_environment, environment, recipe
from shiftbench.workflow.plan import configurations, loading, unavailable

_BY_CONSTRUCTION = ("sources", "shards", "previews")
_OUTPUT = 1500


@check("A24", level=4)
def clone(case: Case) -> Iterator[Finding | Note]:
    """A run in a fresh clone, with empty caches, makes everything again from the source files on.

    Pass rule: HEAD is cloned into an empty folder and run with the same params, without the user's home, caches and
    outputs. The files of each output have the digests of the receipts here. Checkpoints that are trained on another CPU
    or with other libraries, and outputs that are made from them, may differ: statistical, with the reason. A source
    file that no provider serves leaves its outputs incomplete. The user's own files are linked.

    Limits: it takes as long as the run, and it is the same machine.
    """
    home = case.scratch / "clone" / "repository"
    refused = _clone(home)
    if refused:
        yield case.incomplete(".git", f"there is nothing to clone: {refused}")
        return
    configuration = _configuration(case)
    _link_own(case, home)
    done = _run(home, configuration)
    yield from _compare(case, home / case.plan.params.root, done)
    options = f" --config {configuration}" if configuration else ""
    yield Note(f"a clone of HEAD was run{options}; it ended with exit code {done.returncode}")


def _clone(home: Path) -> str:
    """Clone the repository of this folder; gives the error, empty if there is none."""
    try:
        done = subprocess.run(
            ["git", "clone", "--quiet", "--no-hardlinks", str(Path.cwd()), str(home)],
            cwd=child_environment.NOWHERE,
            env=child_environment.build(child_environment.LIBRARIES),
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        return "git is not installed"
    return done.stderr.strip() or "git clone failed" if done.returncode else ""


def _configuration(case: Case) -> str | None:
    """Configuration that gives the audited params; None: params.yaml alone."""
    system = case.plan.params.system
    if system:
        return f"{configurations.SYSTEMS}/{system.slug}/{system.scale}"
    base = Path("params.yaml")
    for file in sorted(Path("params").glob("*.yaml")):
        with contextlib.suppress(ParamsError):  # a configuration of other benchmarks than these
            if loading.load(base, file) == case.plan.params:
                return file.stem
    return None


def _link_own(case: Case, home: Path) -> None:
    """Link the user's own files, which are in no repository."""
    own = [file for one in unavailable.user_files(case.plan) for file in one.files]
    own += [Path(folder).expanduser() for folder in case.plan.params.fetch.folders]
    for path in own:
        place = home / path
        if not path.is_absolute() and path.exists() and not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(path.absolute())


def _run(home: Path, configuration: str | None) -> subprocess.CompletedProcess[str]:
    """Run the benchmark of the clone by its own sources, with empty caches."""
    empty = home.parent / "home"
    empty.mkdir()
    own = {
        "HOME": str(empty),
        "XDG_CACHE_HOME": str(empty / "cache"),
        "SHIFTBENCH_CACHE": str(empty / "shiftbench"),
        "PYTHONPATH": str(home / "src"),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
    }
    cores = str(len(os.sched_getaffinity(0)))
    command = [sys.executable, "-P", "-m", "snakemake", "--cores", cores, "--keep-going"]
    return subprocess.run(
        [*command, *configurations.arguments(configuration)],
        cwd=home,
        env=child_environment.build(INHERITED, own),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def _compare(case: Case, root: Path, done: subprocess.CompletedProcess[str]) -> Iterator[Finding | Note]:
    not_made: set[Ref] = set()
    counts = {"equal": 0, "other": 0, "not here": 0}
    for ref in case.plan.artifacts:  # inputs stand before what is made from them
        there, here = recipe.receipt(root, ref), case.receipt(ref)
        if there is None and (ref.kind == "sources" or ref in not_made):
            not_made |= case.downstream(ref)
            if ref.kind == "sources":
                why = "no provider serves this source file any more, so that outputs made from it were not made again"
                yield case.incomplete(ref, why)
        elif there is None and ref.kind != "features":  # which are made where they are asked for
            why = "the clone did not make it"
            yield case.failed(ref, why, found=done.stdout.strip()[-_OUTPUT:])
            not_made |= case.downstream(ref)
        elif here is None or there is None:
            counts["not here"] += 1
        elif here["made"] == {k: v for k, v in there["made"].items() if k in here["made"] or k != CARD}:
            counts["equal"] += 1
        else:
            counts["other"] += 1
            yield _difference(case, ref, here["made"], there["made"])
    yield Note(", ".join(f"{count} outputs {name}" for name, count in counts.items()))


def _difference(case: Case, ref: Ref, here: dict[str, str], there: dict[str, str]) -> Finding:
    """Finding about an output that has other bytes in the clone."""
    names = sorted(name for name in here.keys() | there.keys() if here.get(name) != there.get(name))
    reasons = environments.reasons((case.run_file(ref) or {}).get("environment"), environment.describe())
    verdict: Verdict = "statistical" if reasons and ref.kind not in _BY_CONSTRUCTION else "failed"
    why = "; ".join(reasons) if reasons else "nothing in the environment differs from the run's"
    return case.finding(
        verdict,
        ref,
        f"a fresh clone makes other bytes of {', '.join(names)}; {why}",
        expected=str(here.get(names[0])),
        found=str(there.get(names[0])),
    )
