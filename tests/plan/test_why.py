"""`shiftbench why` names the definition that changed since an output was made."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from isolation import ROOT
from makers import refactorings
from makers.command_line import said
from shiftbench.base.files import sha256, write_json
from shiftbench.base.refs import Ref
from shiftbench.provenance import code_digest, recipe, source_facts
from shiftbench.workflow.plan import out_of_date
from shiftbench.workflow.plan import plan as plans

OUTPUT = "data/shards/digits/test/gaussian_noise/3/manifest.json"
DRAWS = 3


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The output root of the smoke benchmark, planned from a copy of the package, with a receipt of one output."""
    (tmp_path / "params").mkdir()
    for name in ("params.yaml", "params/smoke.yaml"):
        shutil.copy(ROOT / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    home = refactorings.copied(tmp_path)
    monkeypatch.setattr(source_facts.Home, "package", home)
    monkeypatch.setattr(source_facts.Home, "keeps", False)
    plans._code.cache_clear()
    planned, root = plans.load("smoke")
    (artifact,) = planned.at(root, OUTPUT)
    file = root / artifact.ref.path
    file.parent.mkdir(parents=True)
    file.write_text("{}")
    content = {"fingerprint": artifact.fingerprint, "recipe": artifact.recipe, "consumed": {}}
    made = {file.name: sha256(file)}
    write_json(recipe.receipt_path(root, artifact.ref), {**content, "made": made, "rows": {}})
    return root


def why() -> str:
    code_digest.forget()
    plans._code.cache_clear()
    return " ".join(said("why", OUTPUT, "--config", "smoke").split())


def test_why_names_the_definition_that_changed(root: Path) -> None:
    (artifact,) = plans.load("smoke")[0].at(root, OUTPUT)
    names = [name for name, _ in code_digest.named_digests(artifact.recipe["code"]) if "statement" not in name]
    assert "shiftbench/plugins/shifts/gaussian_noise.py: apply" in names
    assert f"{OUTPUT}: fresh" in why()
    random = np.random.default_rng(8)
    for number in random.permutation(len(names))[:DRAWS]:
        with refactorings.changed(names[number]):
            shown = why()
        assert f"recipe changed: code: {names[number]} changed" in shown
        assert shown.count(" changed code: ") == 1
    assert f"{OUTPUT}: fresh" in why()


def test_causes_are_the_first_outputs_that_are_not_fresh() -> None:
    """In drawn plans: the causes are those from which a path of outputs leads here, and before which all is fresh."""
    random = np.random.default_rng(7)
    for _ in range(200):
        refs = [Ref("records", f"a/{number}") for number in range(8)]
        inputs = {ref: [one for one in refs[:at] if random.random() < 0.4] for at, ref in enumerate(refs)}
        artifacts = {ref: SimpleNamespace(ref=ref, inputs=inputs[ref]) for ref in refs}
        states = {ref: str(random.choice(["fresh", "missing", "recipe changed: x: 1 -> 2"])) for ref in refs}
        above = {ref: _above(ref, inputs) for ref in refs}
        first = {ref for ref in refs if states[ref] != "fresh" and all(states[one] == "fresh" for one in above[ref])}
        for ref in refs:
            assert out_of_date.causes(artifacts, states, ref) == sorted(first & {ref, *above[ref]}, key=refs.index)  # type: ignore[arg-type]


def _above(ref: Ref, inputs: dict[Ref, list[Ref]]) -> set[Ref]:
    return {ref for one in inputs[ref] for ref in (one, *_above(one, inputs))}


def test_why_names_the_root_cause_through_all_levels(root: Path) -> None:
    told = " ".join(said("why", "results/report/index.html", "--config", "smoke").split())
    assert "results/report/index.html: missing because of data/shards/digits/" in told
    assert "because of results/" not in told
