"""A campaign of one's own, from the wheel: made, run, at rest."""

import sys
from pathlib import Path

import pytest

from makers.repositories import Repository, checkout

pytestmark = pytest.mark.workflow


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as a wheel brings it, in a folder of its own."""
    home = tmp_path_factory.mktemp("wheel")
    source = checkout(home / "source")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    source.run(*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(home), ".")
    wheel = next(home.glob("*.whl"))
    source.run(*pip, "install", "--no-deps", "--target", str(home / "site"), str(wheel))
    return home / "site"


def test_init_then_run_then_nothing_to_do(installed: Path, tmp_path: Path) -> None:
    outside = Repository(tmp_path, installed)
    outside.run("shiftbench", "init", "campaign")
    campaign = Repository(tmp_path / "campaign", installed)
    assert "build/smoke" in (campaign.path / "params/smoke.yaml").read_text()

    campaign.run("shiftbench", "new", "shifts", "brighter")
    campaign.edit(
        "params/smoke.yaml",
        "      - {models: [convnet], trainers: [erm]}",
        "      - {models: [convnet], trainers: [erm]}\n    shifts: [brighter]",
    )
    campaign.run("snakemake", "--cores", "2", "--config", "scale=smoke")
    assert (campaign.path / "build/smoke/results/report/index.html").is_file()
    again = campaign.run("snakemake", "-n", "--config", "scale=smoke")
    assert "Nothing to be done" in again.stdout + again.stderr
    campaign.run("git", "add", "-A")
    campaign.run("git", "-c", "user.name=T", "-c", "user.email=t@example.org", "commit", "-qm", "begin")
    assert campaign.run("git", "status", "--porcelain").stdout == ""
    assert "plan" in campaign.run("dvc", "status").stdout
