"""A system is made, recorded, pushed and published by one; another pulls it, and has nothing left to do."""

from pathlib import Path

import pytest

from makers.repositories import Repository, clone

SYSTEM = "systems/xtrust/smoke"
ROOT = "build/systems-smoke/xtrust"


@pytest.mark.timeout(900)
def test_a_system_is_recorded_pushed_and_pulled(colleague: Repository, tmp_path: Path) -> None:
    colleague.run("dvc", "remote", "modify", "local", "url", str(tmp_path / "remote"))
    colleague.run("shiftbench", *SYSTEM.split("/", 1))
    stages = f"published/{SYSTEM}/dvc.yaml"
    assert stages in colleague.run("shiftbench", "record", SYSTEM).stdout
    colleague.run("dvc", "push", "--quiet")
    colleague.run("git", "add", "-A")
    colleague.run("git", "commit", "-qm", "a recorded system")
    assert f"published/{SYSTEM}: " in colleague.run("shiftbench", "publish", SYSTEM).stdout
    colleague.run("git", "add", "-A")
    colleague.run("git", "commit", "-qm", "and a published one")
    there = clone(colleague, tmp_path / "there")
    assert not (there.path / ROOT).exists()
    assert "outputs pulled and checked" in there.run("shiftbench", "pull", SYSTEM).stdout
    assert there.bytes(f"{ROOT}/results") == colleague.bytes(f"{ROOT}/results") != {}
    done = there.run("snakemake", "-n", SYSTEM)
    assert "Nothing to be done" in done.stdout + done.stderr
    assert "equal byte for byte" in there.run("shiftbench", "verify", SYSTEM).stdout
    assert "up to date" in there.run("dvc", "status", stages).stdout
    assert not (there.path / "results").exists()  # of the benchmark nothing was asked for
