"""What the files around the code promise: the lock, the commands, the documents."""

import functools
import json
import os
import pty
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import isolation
from isolation import ROOT
from shiftbench.audit import run
from shiftbench.base import registry
from shiftbench.workflow.plan import cards
from shiftbench.workflow.tools import doctor
from shiftbench.workflow.tools.preview import own_image

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
RANGES = {"torch", "torchvision"}
UNLOCKED = {"bench", "validators"}  # in environments of their own: a second OpenCV, an older rich

HOSTS = re.compile(r"https?://[^/\s]*(pypi|pythonhosted|npmjs|deb\.debian|anaconda|pytorch)\.[a-z]+", re.I)
MACHINE_PATHS = re.compile(r"(?<![\w.])/(work|root|home|Users|opt|mnt|scratch)/")


@functools.cache
def locked() -> dict[str, Requirement]:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    wanted = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(requirement.name): requirement for requirement in wanted}


def tracked() -> list[Path]:
    paths = (ROOT / name for name in isolation.tracked())
    return [path for path in paths if not path.is_symlink()]


def texts() -> list[tuple[str, str]]:
    found = []
    for path in tracked():
        data = path.read_bytes()
        if b"\0" not in data[:8192]:
            found.append((path.relative_to(ROOT).as_posix(), data.decode(errors="replace")))
    return found


def test_lock_pins_everything_but_torch_and_torchvision() -> None:
    groups = [PROJECT["dependencies"], *(EXTRAS[name] for name in EXTRAS.keys() - UNLOCKED)]
    wanted = {canonicalize_name(Requirement(line).name) for group in groups for line in group}
    assert wanted - locked().keys() == RANGES
    assert not [name for name in locked() if name in RANGES or name.startswith("nvidia")]
    assert all(str(r.specifier).startswith("==") and not r.url for r in locked().values())


def hashed(name: str) -> dict[str, SpecifierSet]:
    """Return what a file of hashes pins; each pin has hashes, and nothing else."""
    text = (ROOT / name).read_text().replace("\\\n", "")
    lines = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    assert all(hashes for _, *hashes in lines)
    assert all(re.fullmatch("--hash=sha256:[0-9a-f]{64}", one) for _, *hashes in lines for one in hashes)
    pins = [Requirement(pin) for pin, *_ in lines]
    return {canonicalize_name(pin.name): pin.specifier for pin in pins}


def test_every_pin_of_the_lock_has_the_hashes_that_setup_asks_for() -> None:
    pins = {name: pin.specifier for name, pin in locked().items()}
    assert hashed("requirements.hashes") == pins
    assert hashed("requirements.older-cpu.hashes") == {"polars-runtime-compat": pins["polars"]}
    made = (ROOT / "Makefile").read_text()
    assert "HASHED := --no-deps --require-hashes\n" in made
    asked = re.findall(r"(\S+) --requirement (?:<\(sed '.*?' )?requirements\.(\S*)hashes", made)
    uv_itself_and_all_by_uv_or_pip = [("$(HASHED)", "")] * 3
    assert sorted(asked) == [*uv_itself_and_all_by_uv_or_pip, ("$(HASHED)", "older-cpu.")]


def test_setup_installs_all_but_the_executors_of_clusters() -> None:
    """These come with `make clusters`: Snakemake imports them at each start."""
    both = [sed(f"/$(CLUSTERS)/,/$(ENTRY_END)/{command}") for command in ("d", "!d")]
    rest, executors = (re.findall(r"^(\S+)==", text, re.MULTILINE) for text in both)
    assert {*rest, *executors} == locked().keys()
    assert all(map(doctor.OF_CLUSTERS.match, executors))
    assert not any(map(doctor.OF_CLUSTERS.match, rest))
    groups = (EXTRAS[name] for name in ("slurm", "kubernetes", "cluster"))
    assert {Requirement(line).name for group in groups for line in group} <= {*executors}


def sed(script: str) -> str:
    """Return what the Makefile takes of the hashes."""
    made = (ROOT / "Makefile").read_text()
    for name, value in re.findall(r"^([A-Z_]+) := (.*)$", made, re.MULTILINE):
        script = script.replace(f"$({name})", value)
    command = ["sed", script.replace("$$", "$"), ROOT / "requirements.hashes"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def installed() -> dict[str, Requirement]:
    """Return the pins of what is installed: all, or all but the executors of clusters."""
    names = {canonicalize_name(one.name) for one in metadata.distributions()}
    assert all(map(doctor.OF_CLUSTERS.match, locked().keys() - names))
    return {name: pin for name, pin in locked().items() if name in names}


def test_lock_satisfies_the_declared_ranges() -> None:
    lines = [*PROJECT["dependencies"], *(line for name in EXTRAS.keys() - UNLOCKED for line in EXTRAS[name])]
    for requirement in map(Requirement, lines):
        pin = locked().get(canonicalize_name(requirement.name))
        if pin is not None:
            version = str(pin.specifier).removeprefix("==")
            assert requirement.specifier.contains(version), f"{requirement} but the lock has {pin}"


def test_lock_is_closed_under_what_its_packages_need() -> None:
    lacking = {
        f"{need.name} (of {name})"
        for name in installed()
        for need in map(Requirement, metadata.requires(name) or [])
        if need.marker is None or need.marker.evaluate({"extra": ""})
        if canonicalize_name(need.name) not in locked().keys() | RANGES
    }
    assert not lacking


def test_environment_is_the_locked_one() -> None:
    other = {
        name: metadata.version(name)
        for name, pin in installed().items()
        if not pin.specifier.contains(metadata.version(name))
    }
    assert not other, "make setup brings the locked versions"


def test_no_registry_host_and_no_machine_path_in_any_file() -> None:
    this = Path(__file__).relative_to(ROOT).as_posix()
    bad = [
        f"{name}:{number}: {line.strip()[:100]}"
        for name, text in texts()
        if name != this
        for number, line in enumerate(text.splitlines(), 1)
        if HOSTS.search(line) or MACHINE_PATHS.search(line)
    ]
    assert not bad


def test_no_large_file_in_git() -> None:
    """What the pre-commit hook refuses for new files holds for all of them."""
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    hook = next(h for repo in config["repos"] for h in repo["hooks"] if h["id"] == "large-files")
    allowed = re.compile(hook["exclude"])
    large = [path for path in tracked() if path.stat().st_size > 100 * 1024]
    assert not [str(p) for p in large if not allowed.search(p.relative_to(ROOT).as_posix())]


def test_what_is_published_has_25_mb_at_most() -> None:
    files = [path for path in tracked() if path.is_relative_to(ROOT / "published")]
    assert 0 < sum(path.stat().st_size for path in files) < 25_000_000


def test_hooks_call_the_locked_tools() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    assert {repo["repo"] for repo in config["repos"]} == {"local"}
    entries = [hook["entry"].split()[0] for repo in config["repos"] for hook in repo["hooks"]]
    assert all(entry.startswith(".venv/bin/") for entry in entries)


def test_readme_begins_with_the_two_commands() -> None:
    readme = (ROOT / "README.md").read_text()
    commands = re.search(r"```sh\n(.*?)```", readme, re.S)
    assert commands
    lines = [line.split("#")[0].strip() for line in commands[1].splitlines()]
    assert lines[:2] == ["make run", "make test"]


@pytest.mark.parametrize("extra", sorted(EXTRAS))
def test_it_is_said_what_an_extra_is_for(extra: str) -> None:
    assert f"shiftbench[{extra}]" in (ROOT / "docs/install.md").read_text()


@pytest.mark.parametrize("folder", [".", "src/shiftbench/workflow/templates/benchmark"])
def test_make_help_lists_every_target_within_eighty_columns(folder: str) -> None:
    makefile = (ROOT / folder / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (help .*)$", makefile, re.M)
    assert phony
    said = subprocess.run(["make", "-s", "-C", ROOT / folder], capture_output=True, text=True, check=True)
    lines = said.stdout.splitlines()
    assert [line.split()[0] for line in lines] == phony[1].split()
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "README.md"])
def test_documents_name_only_targets_and_files_that_exist(name: str) -> None:
    text = (ROOT / name).read_text()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    named = re.findall(r"`make ([a-z -]+)`", text)
    assert {word for words in named for word in words.split()} <= targets
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", text)
    assert not [link for link in links if not (ROOT / link).exists()]


def test_one_version_and_one_licence() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == PROJECT["version"]
    assert citation["license"] == PROJECT["license"] == "Apache-2.0"
    assert "Apache License" in (ROOT / "LICENSE").read_text()
    assert "### Results" in (ROOT / "CHANGELOG.md").read_text()


def test_dvc_tells_nobody_and_verifies() -> None:
    config = (ROOT / ".dvc" / "config").read_text()
    for line in ("analytics = false", 'type = "reflink,copy"', "verify = true", "autostage = false"):
        assert line in config


def test_the_photo_that_detectors_are_asked_about_can_be_had(tmp_path: Path) -> None:
    (line,) = re.findall(r"^(cp .*flower\.jpg\" build)", (ROOT / "docs/ood.md").read_text(), re.M)
    (tmp_path / "build").mkdir()
    tools = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(["bash", "-c", line], cwd=tmp_path, env={**os.environ, "PATH": tools}, check=True)
    assert own_image(tmp_path / "build/flower.jpg").fields["image"].shape == (427, 640, 3)


def test_numbers_that_documents_state_are_those_that_there_are() -> None:
    readme = (ROOT / "README.md").read_text()
    built = [slug for slug in cards.slugs() if cards.load(slug).status == "built"]
    tasks = len(registry.names("tasks"))
    assert f"**{len(built)} published systems on {tasks} tasks**" in readme
    assert f"**{len(registry.names('shifts'))} shifts.**" in readme
    assert f"| shifts that it generates | {len(registry.names('shifts'))} |" in readme
    assert f"{len(run.checks())} checks go from a printed number" in readme
    assert f"version = {{{PROJECT['version']}}}" in readme
    measured = json.loads((ROOT / "src/shiftbench/systems/palm/measured.json").read_text())
    known = {(row["part"], row["verdict"], _printed(row)) for row in measured["claims"]}
    systems = (ROOT / "docs/systems.md").read_text()
    shown = re.findall(r"^  (\d)  (\w+)  (.*)$", systems, re.M)
    assert shown
    assert set(shown) <= known


def _printed(row: dict[str, Any]) -> str:
    low, high = row["ci_low"], row["ci_high"]
    return f"{row['value']} [{low}, {high}]"


def test_make_shell_has_the_environments_commands(tmp_path: Path) -> None:
    """On a terminal, whose shell reads its start-up files, which may set another PATH."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/activate").write_text("PATH=entered:$PATH\n")
    (tmp_path / ".bashrc").write_text("PATH=/usr/bin:/bin\n")
    ours, its = pty.openpty()
    with subprocess.Popen(
        ["make", "--old-file", "setup", "shell"],
        cwd=tmp_path, env={**os.environ, "HOME": str(tmp_path)}, stdin=its, stdout=its, stderr=its,
    ) as shell:  # fmt: skip
        os.write(ours, b"printf '%s\\n' \"have=$PATH\"; exit\n")
        assert shell.wait(timeout=20) == 0
    os.set_blocking(ours, False)
    assert b"have=entered:" in os.read(ours, 100_000)
    os.close(ours)
    os.close(its)
