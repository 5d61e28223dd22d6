"""A benchmark of one's own, from the wheel: made, run, at rest."""

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
    outside.run("shiftbench", "init", "benchmark")
    benchmark = Repository(tmp_path / "benchmark", installed)
    assert "build/smoke" in (benchmark.path / "params/smoke.yaml").read_text()

    benchmark.run("shiftbench", "new", "shifts", "brighter")
    benchmark.edit(
        "params/smoke.yaml",
        "      - {architectures: [convnet], trainers: [erm]}",
        "      - {architectures: [convnet], trainers: [erm]}\n    shifts: [brighter]",
    )
    benchmark.run("snakemake", "--cores", "2", "--config", "params=smoke")
    assert (benchmark.path / "build/smoke/results/report/index.html").is_file()
    again = benchmark.run("snakemake", "-n", "--config", "params=smoke")
    assert "Nothing to be done" in again.stdout + again.stderr
    benchmark.run("git", "add", "-A")
    benchmark.run("git", "-c", "user.name=T", "-c", "user.email=t@example.org", "commit", "-qm", "begin")
    assert benchmark.run("git", "status", "--porcelain").stdout == ""
    assert "plan" in benchmark.run("dvc", "status").stdout
