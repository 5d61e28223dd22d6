"""Releases are a chain, and the checks A26 and A27 of the audit read it."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from makers.released_benchmark import OWN, RECORD, edit, flip, problems
from makers.repositories import Repository
from shiftbench.release import manifest

pytestmark = pytest.mark.workflow


@pytest.fixture
def second(released: Repository, tmp_path: Path) -> Repository:
    """The repository with a second release, unsigned."""
    shutil.copytree(released.path, tmp_path / "second", symlinks=True)
    repository = Repository(tmp_path / "second")
    repository.run("shiftbench", "release", "1.1", "--unsigned")
    return repository


def audit(repository: Repository) -> dict[str, dict[str, Any]]:
    file = repository.path.parent / "audit.json"
    only = ("--only", "A26", "--only", "A27")
    repository.run("shiftbench", "audit", *only, "--json", str(file), check=False)
    results = json.loads(file.read_text())["results"]
    return {result["number"]: result for result in results}


def test_releases_are_a_chain_and_the_audit_reads_it(second: Repository) -> None:
    home = second.path
    first = manifest.read(home, "1.0")
    assert manifest.read(home, "1.1")["previous"] == first["root"]
    clean = audit(second)
    assert {number: result["verdict"] for number, result in clean.items()} == {"A26": "exact", "A27": "exact"}
    assert "2 releases in one chain" in clean["A26"]["notes"][0]

    flip(home / RECORD)
    found = audit(second)["A26"]["findings"]
    assert [finding["file"] for finding in found] == [RECORD]
    assert any("accuracy" in number for number in found[0]["numbers"])

    shutil.rmtree(home / "releases/1.0")
    assert "chain" in problems(home, "1.1")
    assert audit(second)["A26"]["verdict"] == "failed"


def test_forged_manifests_and_descriptions_fail_the_audit(second: Repository) -> None:
    home = second.path
    edit(home / OWN, lambda it: it["artefacts"][0].update(sha256="0" * 64))
    assert problems(home, "1.1")["chain"] == {OWN}
    forged = manifest.root_of(json.loads((home / OWN).read_text()))
    edit(home / OWN, lambda it: it.update(root=forged))
    assert "manifest" not in problems(home)  # the root fits again; statement and chain do not
    assert "chain" in problems(home, "1.1")
    results = audit(second)
    assert {result["verdict"] for result in results.values()} == {"failed"}
    files = {finding["file"] for finding in results["A27"]["findings"]}
    assert OWN in files


def test_without_a_release_the_audit_says_so(author: Repository) -> None:
    for result in audit(author).values():
        assert result["verdict"] == "exact"
        assert "there is no release" in result["notes"][0]
