"""What changes no result raises no alarm: the place of a clone, its owner, clock, locale, comments, the date."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

from makers.made_campaign import commit, forget
from makers.repositories import HOME


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
    }
    program = "from shiftbench.cli import main; main()"
    command = [sys.executable, "-c", program, "audit", "--level", "3", "--json", "-"]
    done = subprocess.run(
        command,
        cwd=place,
        env=environment,
        umask=0o077,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr
    said = json.loads(done.stdout)
    wrong = {one["name"]: one["findings"] for one in said["results"] if one["findings"]}
    assert (done.returncode, said["verdict"], wrong) == (0, "exact", {})


@pytest.mark.parametrize("committed", [True, False])
def test_a_comment(published, committed):
    file = published.root / "mine/shifts/spotted.py"
    file.write_text("# where spots are\n" + file.read_text())
    (published.root / "params.yaml").write_text(
        "# ours\n" + (published.root / "params.yaml").read_text()
    )
    if committed:
        commit()
    forget()
    done = published.audit(level=0)
    assert (done.verdict, [str(f) for r in done.results for f in r.findings]) == ("exact", [])


def test_a_later_audit_draws_anew_and_says_the_same(published):
    done = [
        published.audit("rebuild", "alone", "sampling", today=day)
        for day in ("2099-01-01", "2099-01-02")
    ]
    assert {one.verdict for one in done} == {"exact"}
    assert done[0].about["seed"] != done[1].about["seed"]
