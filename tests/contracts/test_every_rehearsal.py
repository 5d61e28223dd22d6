"""Every built system at its smoke scale: each claim of the embedded scale is judged, each figure has points.

What a rehearsal makes follows from the fingerprints of its plan. So it is a golden value which plan was rehearsed:
a rehearsal whose plan (or torch, or lock) is another one is made, in this process, and so is about one that is drawn
by the package's bytes. `--rehearse` makes all (`make test-all`, `make test SYSTEM=palm`); `make golden` notes
what passed.
"""

import functools
import hashlib
import json
import shutil
import subprocess
from importlib import metadata

import pytest
from markupsafe import escape

from isolation import ROOT
from makers import watched_jobs
from shiftbench.base.refs import Ref
from shiftbench.cli import claims
from shiftbench.data import claim_formats, schema
from shiftbench.workflow.plan import cards, configurations
from shiftbench.workflow.plan import plan as plans
from shiftbench.workflow.plan.plan import Plan
from shiftbench.workflow.stages import judge_claims

BUILT = configurations.built_slugs()
PASSED = ROOT / "tests/golden/test_every_rehearsal.json"
DRAWN = 0.025
ASKED = ("--rehearse", "--system")


@pytest.mark.network
@pytest.mark.timeout(1200)  # on a busy machine the longest takes ten minutes
@pytest.mark.parametrize("slug", BUILT)
def test_a_rehearsal_judges_every_embedded_claim(slug, tmp_path, monkeypatch, request, golden):
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    planned, root = plans.load(f"systems/{slug}/smoke")
    asked = any(request.config.getoption(name) for name in ASKED)
    if not asked and not drawn(slug) and passed(slug) == digest(planned):
        return
    _, lacking = watched_jobs.make(planned, root)
    assert lacking == {}  # nothing runs that no recipe has
    rows = judge_claims.claims_of(root, slug).to_pylist()
    card = cards.load(slug)
    embedded = {name for name, claim in card.claims.items() if claim.scale == "embedded"}
    open_ = {row["claim"]: row["reason"] for row in rows if row["verdict"] == "not evaluable"}
    assert {name: why for name, why in open_.items() if not why.startswith("the gate is")} == {}
    assert embedded == {row["claim"] for row in rows if row["verdict"] != "not run at this scale"}
    again = judge_claims.again(card.claims, claims.evidence_here(f"systems/{slug}/smoke"), "smoke", card.looks)
    why = {row["claim"]: row["reason"] for row in rows if row["claim"] in open_}
    for row in again:  # from the replicates alone
        row["reason"] = why.get(row["claim"], row["reason"])
    assert sorted(again, key=repr) == sorted(rows, key=repr)
    folder = (root / Ref("claims", slug).path).parent
    measured = schema.read(folder / "measured.parquet", form=claim_formats.MEASURED).to_pylist()
    assert [row["reason"] for row in measured if row["reason"]] == []
    points = schema.read(folder / "figures.parquet", form=claim_formats.FIGURES).column("figure")
    assert set(points.to_pylist()) == set(range(len(card.figures)))
    page = (root / "results/report/index.html").read_text()
    assert all(escape(figure.title) in page for figure in card.figures)
    assert all(state == "fresh" for job in planned.status(root).values() for state in job.values())
    if request.config.getoption("--update-golden"):
        golden(slug, digest(planned))


def digest(planned: Plan) -> str:
    """Return the sha256 over what decides a rehearsal: the plan's fingerprints, torch, and the lock of all else."""
    made = {artifact.ref.path: artifact.fingerprint for artifact in planned.artifacts.values()}
    lock = hashlib.sha256((ROOT / "requirements.lock").read_bytes()).hexdigest()
    torch = metadata.version("torch").partition("+")[0]
    return hashlib.sha256(json.dumps([made, torch, lock], sort_keys=True).encode()).hexdigest()


def passed(slug: str) -> str | None:
    """Return the digest of the rehearsal that passed last."""
    known: dict[str, str] = json.loads(PASSED.read_text()) if PASSED.exists() else {}
    return known.get(slug)


def drawn(slug: str) -> bool:
    """Tell whether the rehearsal is made whatever is known of it."""
    name = hashlib.sha256(f"{_package()} {slug}".encode()).digest()
    return int.from_bytes(name[:4]) < DRAWN * 2**32


@functools.cache
def _package() -> str:
    """Return what changes with each commit that changes the package."""
    command = ["git", "rev-parse", "HEAD:src"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout


def test_other_params_are_another_rehearsal(tmp_path, monkeypatch):
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    params = configurations.load("systems/palm/smoke", tmp_path)
    other = params.model_copy(update={"seed": params.seed + 1})
    first, again, second = (digest(Plan.of(each)) for each in (params, params, other))
    assert first == again != second
