"""The wheel is whole: every tracked file of the package is in it, and it serves where there is no checkout."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import isolation
from shiftbench.plan import cards

HOME = isolation.ROOT
BESIDE = ("pyproject.toml", "README.md", "LICENSE", "NOTICE")
pytestmark = pytest.mark.timeout(600)


def tracked(*paths: str) -> set[str]:
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--", *paths],
        cwd=HOME,
        capture_output=True,
        text=True,
        check=True,
    )
    return {name for name in listing.stdout.split("\0") if name and (HOME / name).is_file()}


def pip(*words: str, cwd: Path) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *words]
    subprocess.run(command, cwd=cwd, check=True)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the tracked files: nothing is written into the checkout."""
    copy = tmp_path_factory.mktemp("tracked")
    for name in tracked("src", *BESIDE):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(HOME / name, copy / name)
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", "dist", ".", cwd=copy)
    (found,) = (copy / "dist").glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package as the wheel has it; what it depends on is this environment's."""
    folder = tmp_path_factory.mktemp("installed")
    pip("install", "--no-deps", "--no-index", "--target", str(folder), str(wheel), cwd=folder)
    return folder


def say(installed: Path, cwd: Path, *words: str) -> str:
    """Run `shiftbench` of the wheel; returns what it printed."""
    paths = [str(installed / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]]
    done = subprocess.run(
        [sys.executable, "-m", "shiftbench.cli", *words],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(installed), "PATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(words)}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_it_holds_the_tracked_files_of_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as packed:
        held = {name for name in packed.namelist() if ".dist-info/" not in name}
    assert held == {name.removeprefix("src/") for name in tracked("src")}


def test_what_systems_bring_is_in_it(wheel: Path) -> None:
    """Said apart from the list, which would be as long if nobody tracked them."""
    with zipfile.ZipFile(wheel) as packed:
        names = [Path(name) for name in packed.namelist()]
    systems = [name.parts[2:] for name in names if name.parts[:2] == ("shiftbench", "systems")]
    count = dict.fromkeys(("card.yaml", "README.md", "recorded", "sources"), 0)
    for parts in systems:
        kind = parts[1] if len(parts) > 1 else ""
        count |= {kind: count[kind] + 1} if kind in count else {}
    built = sum(cards.load(slug).status == "built" for slug in cards.slugs())
    assert count["card.yaml"] == len(cards.slugs()) == 39
    assert count["README.md"] == built
    assert count["recorded"] >= 2
    assert count["sources"] >= 3


def test_it_lists_all_systems_in_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    """From the wheel, and not from the checkout that this environment may know too."""
    listed = json.loads(say(installed, tmp_path, "list", "systems", "--json"))
    assert len(listed) == 39
    assert "39 systems" in say(installed, tmp_path, "list", "systems")
    where = subprocess.run(
        [sys.executable, "-c", "import shiftbench; print(shiftbench.__file__)"],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(installed)}, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert Path(where.strip()).is_relative_to(installed)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.workflow
@pytest.mark.needs("git", "snakemake", "dvc")
def test_a_system_runs_in_a_new_campaign(installed: Path, tmp_path: Path) -> None:
    say(installed, tmp_path, "init", "c")
    campaign = tmp_path / "c"
    say(installed, campaign, "systems", "palm/smoke")
    verdicts = json.loads(say(installed, campaign, "claims", "palm/smoke", "--json"))["palm/smoke"]
    assert {row["claim"] for row in verdicts} == set(cards.load("palm").claims)
    assert (campaign / "build/systems-smoke/palm/results/report/index.html").is_file()
