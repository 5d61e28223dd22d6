"""Everything again in a fresh clone: what cannot be cloned is said, what comes out otherwise is named."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from makers.made_benchmark import Made
from makers.repositories import checkout
from shiftbench.audit.case import Case
from shiftbench.audit.checks import clone
from shiftbench.audit.finding import Finding, Note
from shiftbench.base.refs import Ref
from shiftbench.workflow.plan.loading import load


def case(made, **over: object) -> Case:
    return made.case(plan=made.plan(**over), level=4)


def verdicts(made) -> list[tuple[str, str]]:
    said = clone.clone(case(made))
    return [(one.verdict, one.why) for one in said if isinstance(one, Finding)]


def test_without_git_nothing_can_be_cloned(made):
    ((verdict, why),) = verdicts(made)
    assert verdict == "incomplete"
    assert why.startswith("there is nothing to clone: ")


def test_what_comes_out_otherwise_is_named_with_the_reason(made, tmp_path):
    """The run is left out: a copy with other receipts stands for what a clone made."""
    other = tmp_path / "other"
    shutil.copytree(made.root, other)
    weights, shards = Ref("checkpoints", "tiny/convnet-erm-s0"), Ref("shards", "tiny/test/contrast/3")
    for ref in (weights, shards):
        digest = {Path(ref.path).name: "0" * 64}
        receipt = f"{ref.path}.receipt.json"
        Made(other).edit(receipt, lambda content: content["made"].update(digest))  # noqa: B023
    lost = Ref("records", "tiny/convnet-erm-s1/plain/tiny/test/contrast/5")
    (other / lost.path).unlink()
    made.edit(f"{weights.path}.run.json", lambda run: run["environment"].update(cpu="another"))
    done = subprocess.CompletedProcess([], 1, stdout="Error in rule evaluate")
    said = list(clone._compare(case(made), other, done))
    found = {one.file: one for one in said if isinstance(one, Finding)}
    assert found[weights.path].verdict == "statistical"
    assert "cpu another -> " in found[weights.path].why
    assert found[shards.path].verdict == "failed"
    assert found[lost.path].found == "Error in rule evaluate"
    (note,) = (one.text for one in said if isinstance(one, Note))
    assert "2 outputs other" in note


def test_an_original_that_nobody_serves_leaves_it_incomplete(made):
    audited = case(made)
    artifacts = audited.plan.artifacts
    own = Ref("sources", "own")
    audited.plan.artifacts = {own: next(iter(artifacts.values())), **artifacts}
    done = subprocess.CompletedProcess([], 1, stdout="")
    (finding,) = (one for one in clone._compare(audited, made.root, done) if isinstance(one, Finding))
    assert finding.verdict == "incomplete"
    assert finding.why.startswith("no provider serves this source file any more")


@pytest.mark.slow
@pytest.mark.workflow
def test_a_fresh_clone_makes_everything_again(tmp_path):
    author = checkout(tmp_path / "author")
    author.make()
    author.run("git", "add", "-A")
    done = author.run("shiftbench", "audit", "--only", "clone", "--json", "audit.json", check=False)
    (result,) = [
        one for one in json.loads((author.path / "audit.json").read_text())["results"]
        if one["number"] == "A24"
    ]  # fmt: skip
    assert result["findings"] == []
    assert done.returncode == 0
    assert "0 outputs other" in result["notes"][0]


def test_the_overlay_is_found_by_what_it_gives(made):
    (made.root / "params").mkdir()
    (made.root / "params/broken.yaml").write_text("unknown: 1\n")
    (made.root / "params/large.yaml").write_text("bootstrap: {resamples: 70}\n")
    assert clone._configuration(case(made)) is None
    large = load(made.root / "params.yaml", made.root / "params/large.yaml")
    audited = case(made)
    audited.plan.params = large
    assert clone._configuration(audited) == "large"
