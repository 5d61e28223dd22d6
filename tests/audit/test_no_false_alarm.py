"""What changes no result raises no alarm: the place of a clone, its owner, clock, locale, comments, the date."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from makers.made_benchmark import commit, forget, with_original
from makers.repositories import HOME
from shiftbench.audit.checks import evaluations
from shiftbench.audit.finding import Finding
from shiftbench.audit.reproduce import evaluated_batches
from shiftbench.base import registry
from shiftbench.provenance import trust

AUDIT = "from shiftbench.cli import main; main()"
MAKE = """
from shiftbench.workflow.plan import plan
from shiftbench.workflow.tools import run_local
run_local.make(*plan.load(None))
"""


def test_another_place_owner_clock_and_locale(published, tmp_path):
    """All at once and through the command line; levels 0 to 3."""
    place = tmp_path / "another plåce/of a cölleague"
    shutil.copytree(published.root, place, symlinks=True)
    for path in [place, *place.rglob("*")]:
        os.utime(path, (1_000_000_000, 1_000_000_000))
        os.chown(path, 65534, 65534)
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(HOME / "src"),
        "PYTHONHASHSEED": "77",
        "HOME": str(tmp_path),
        "TZ": "Asia/Kathmandu",
        "LC_ALL": "C",
        "OMP_NUM_THREADS": "2",
        trust.VARIABLE: os.environ[trust.VARIABLE],
    }
    asked = ("audit", "--level", "3", "--sample", "1", "--json", "-")
    said = json.loads(run(place, environment, AUDIT, *asked))
    wrong = {one["name"]: one["findings"] for one in said["results"] if one["findings"]}
    assert (said["verdict"], wrong) == ("exact", {})


@contextlib.contextmanager
def busy(count: int) -> Iterator[None]:
    """Keep so many processes computing."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_benchmark_that_is_made_and_audited_elsewhere_under_load(tmp_path, monkeypatch):
    """Load 8, kernels for another CPU, another time zone, umask, locale, a path with spaces; then as usual."""
    monkeypatch.setattr(registry.Folders, "extra", registry.Folders.extra)
    place = tmp_path / "of a cölleague/with spaces"
    place.mkdir(parents=True)
    monkeypatch.chdir(place)
    with_original(place)
    usual = {name: os.environ[name] for name in ("PATH", trust.VARIABLE)}
    usual |= {"PYTHONPATH": str(HOME / "src"), "HOME": str(tmp_path)}
    elsewhere = {**usual, **CAPABILITIES, "OPENBLAS_CORETYPE": "Haswell", "TZ": "Pacific/Chatham", "LC_ALL": "C"}
    with busy(8):
        run(place, elsewhere, MAKE)
        there = json.loads(run(place, elsewhere, AUDIT, "audit", "--level", "3", "--json", "-"))
    here = json.loads(run(place, usual, AUDIT, "audit", "--level", "3", "--json", "-"))
    wrong = [one["findings"] for one in there["results"] if one["findings"]]
    assert (there["verdict"], wrong) == ("exact", [])
    verdicts = {find["verdict"] for one in here["results"] for find in one["findings"]}
    assert here["verdict"] in ("exact", "statistical")
    assert verdicts <= {"statistical"}, here["results"]


def run(place: Path, environment: Mapping[str, str], program: str, *words: str) -> str:
    """Return what a Python program prints in a folder, with files that nobody else may read."""
    command = [sys.executable, "-c", program, *words]
    done = subprocess.run(
        command, cwd=place, env=dict(environment), umask=0o077, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode in (0, 10), done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("committed", [True, False])
def test_a_comment(published, committed):
    file = published.root / "mine/shifts/spotted.py"
    file.write_text("# where spots are\n" + file.read_text())
    (published.root / "params.yaml").write_text("# ours\n" + (published.root / "params.yaml").read_text())
    if committed:
        commit()
    forget()
    done = published.audit(level=0)
    assert (done.verdict, [str(f) for r in done.results for f in r.findings]) == ("exact", [])


def test_a_later_audit_draws_anew_and_says_the_same(published):
    done = [published.audit("alone", "sampling", seed=seed) for seed in (None, "another")]
    assert {one.verdict for one in done} == {"exact"}
    first, second = (one.about["seed"] for one in done)
    assert first != second == "another"


CORE = os.environ.get("OPENBLAS_CORETYPE", "unset")  # a machine may have set it
OTHER_CORE = "Haswell" if CORE != "Haswell" else "SandyBridge"
CAPABILITIES = {"ATEN_CPU_CAPABILITY": "default", "OPENBLAS_CORETYPE": OTHER_CORE}


def test_kernels_for_another_cpu_are_named_and_at_most_statistical(published, monkeypatch):
    """The results were made with this CPU's kernels; here torch and BLAS are told to take others."""
    for name, value in CAPABILITIES.items():
        monkeypatch.setenv(name, value)
    done = published.audit("reevaluation", "fallback", "sensitivity", "caching")
    assert done.verdict in ("exact", "statistical")
    case = published.case(level=3, seed="kernels")
    (group, *_) = evaluated_batches.evaluate_again(case).groups
    told = "; ".join(evaluated_batches.reasons(case, group))
    assert "ATEN_CPU_CAPABILITY unset -> default" in told
    assert "torch_cpu" in told
    assert f"OPENBLAS_CORETYPE {CORE} -> {OTHER_CORE}" in told


def test_a_busy_machine_decides_nothing(made):
    """A repeated batch was fifty times faster than any new one: told, and no alarm."""
    case = made.case(level=3)
    for group in evaluated_batches.evaluate_again(case).groups:
        group.answer["caching"]["seconds"] = {"new": [0.05] * 5, "repeated": [0.001] * 5}
    said = list(evaluations.caching(case))
    assert not [one for one in said if isinstance(one, Finding)]
    assert any("50 ms new, 1 ms repeated" in one.text for one in said)


def test_lines_that_end_in_crlf_are_one_finding(published):
    """As `core.autocrlf` leaves a checkout on Windows: an asset and params have other bytes, everything else agrees."""
    for name in ("params.yaml", "mine/datasets/classes.txt", "mine/shifts/spotted.py"):
        file = published.root / name
        file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    forget()
    done = published.audit(level=1)
    (finding,) = [finding for result in done.results for finding in result.findings]
    assert (done.verdict, finding.verdict) == ("failed", "failed")
    assert "eol=lf" in finding.why
    assert [r.name for r in done.results if r.verdict != "not run"] == ["commit"]
