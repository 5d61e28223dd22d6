"""Source distribution and wheel are whole: what is tracked is in them, and they serve where there is no checkout."""

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import isolation
from shiftbench.workflow.plan import cards

HOME = isolation.ROOT
MADE = (
    "data/shards/a/manifest.json",
    "results/report/index.html",
    "build/smoke/checkpoints/w",
    ".dvc/cache/files/md5/00/0",
    ".dvc/config.local",
    ".venv/bin/python",
    "src/shiftbench/__pycache__/rng.cpython-311.pyc",
    "tests/__pycache__/conftest.cpython-311.pyc",
    "params/.mine.yaml.1@host.part",
)
"""What lies in a checkout that was used."""
pytestmark = pytest.mark.timeout(600)


def tracked(*paths: str) -> set[str]:
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--", *paths], cwd=HOME, capture_output=True, text=True, check=True
    )
    return {name for name in listing.stdout.split("\0") if name and (HOME / name).is_file()}


def pip(*words: str, cwd: Path) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *words]
    subprocess.run(command, cwd=cwd, check=True)


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution, unpacked; built from a copy of the tracked files in which something was made."""
    home = tmp_path_factory.mktemp("sdist")
    isolation.copy_tracked(home / "tracked")
    for name in MADE:
        (home / "tracked" / name).parent.mkdir(parents=True, exist_ok=True)
        (home / "tracked" / name).write_text("made")
    build = "from setuptools import build_meta; build_meta.build_sdist('dist')"
    command = [sys.executable, "-P", "-c", build]
    subprocess.run(command, cwd=home / "tracked", check=True, capture_output=True)
    (packed,) = (home / "tracked" / "dist").glob("*.tar.gz")
    with tarfile.open(packed) as archive:
        archive.extractall(home / "unpacked")
    (found,) = (home / "unpacked").iterdir()
    return found


@pytest.fixture(scope="module")
def wheel(sdist: Path) -> Path:
    """The wheel, built from the source distribution."""
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", "dist", ".", cwd=sdist)
    (found,) = (sdist / "dist").glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package as the wheel has it; what it depends on is this environment's."""
    folder = tmp_path_factory.mktemp("installed")
    pip("install", "--no-deps", "--no-index", "--target", str(folder), str(wheel), cwd=folder)
    return folder


def environment(installed: Path) -> dict[str, str]:
    """Return variables with which the commands are those of the wheel."""
    paths = [str(installed / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]]
    return os.environ | {"PYTHONPATH": str(installed), "PATH": os.pathsep.join(paths)}


def say(installed: Path, cwd: Path, *words: str) -> str:
    """Run `shiftbench` of the wheel; returns what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "shiftbench", *words],
        cwd=cwd,
        env=environment(installed),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(words)}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_source_distribution_is_the_checkout_without_what_was_made(sdist: Path) -> None:
    found = {path.relative_to(sdist) for path in sdist.rglob("*") if path.is_file()}
    ours = {file for file in found if file.parts[0] not in ("build", "dist")}  # of the wheel's
    added = {"PKG-INFO", "setup.cfg", *(f.as_posix() for f in ours if ".egg-info/" in str(f))}
    assert {file.as_posix() for file in ours} - added == set(isolation.tracked())


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


@pytest.mark.workflow
@pytest.mark.needs("git", "snakemake", "dvc")
def test_an_empty_folder_becomes_a_benchmark(installed: Path, tmp_path: Path) -> None:
    assert json.loads(say(installed, tmp_path, "doctor", "--json"))["originals"] == []
    assert list(tmp_path.iterdir()) == []
    assert "make run" in say(installed, tmp_path, "init", "c")
    benchmark = tmp_path / "c"
    listed = subprocess.run(["make"], cwd=benchmark, capture_output=True, text=True, check=True)
    assert "record" in listed.stdout
    dry = subprocess.run(
        ["make", "smoke", "ARGS=-n"],
        cwd=benchmark, env=environment(installed), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert dry.returncode == 0, dry.stderr
    assert "job=digits/convnet-erm-s0" in dry.stdout + dry.stderr


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.workflow
@pytest.mark.needs("git", "snakemake", "dvc")
def test_a_system_runs_in_a_new_benchmark(installed: Path, tmp_path: Path) -> None:
    say(installed, tmp_path, "init", "c")
    benchmark = tmp_path / "c"
    say(installed, benchmark, "systems", "palm/smoke")
    verdicts = json.loads(say(installed, benchmark, "claims", "palm/smoke", "--json"))["palm/smoke"]
    assert {row["claim"] for row in verdicts} == set(cards.load("palm").claims)
    assert (benchmark / "build/systems-smoke/palm/results/report/index.html").is_file()
