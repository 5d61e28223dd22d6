"""The bill of materials names what a release rests on, each once, with the digests that are known, and no others."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest

from makers.released_benchmark import CREATED, call
from makers.repositories import HOME
from shiftbench.data.source_files import load_source
from shiftbench.release import bill_of_materials, manifest
from shiftbench.workflow.plan.params import Params
from shiftbench.workflow.plan.plan import Plan

VALIDATORS = HOME / ".venv-validators/bin"
NAMES = ("numpy", "zc.lockfile", "ast_serialize", "PyYAML", "torch", "a", "shiftbench")
VERSIONS = ("1.0", "2.13.0+cpu", "1!2.0.post1", "3rc1")
WEIGHTS = "checkpoints/imagenet/squeezenet-pretrained-s0.safetensors"

Node = dict[str, Any]


@pytest.fixture(scope="module")
def plan() -> Plan:
    """A head on a pretrained net, whose features are read under frost: three originals and a model."""
    weights = [{"architectures": ["squeezenet"], "trainers": ["linear_probe"]}]
    benchmark = {"dataset": "fashion_mnist", "models": weights, "shifts": ["frost"]}
    return Plan.of(Params.model_validate({"benchmarks": {"one": benchmark}}))


@pytest.fixture
def bill(plan: Plan, tmp_path: Path) -> Callable[..., Node]:
    """A function that writes the bill of a release of that plan, with the packages that its run files name."""

    def write(*runs: dict[str, str]) -> Node:
        files = [{"path": f"{i}.run.json", "sha256": "0" * 64} for i, _ in enumerate(runs)]
        for file, packages in zip(files, runs, strict=True):
            content = {"environment": {"packages": packages}}
            (tmp_path / file["path"]).write_text(json.dumps(content))
        volatile = {"created": CREATED, "commit": "0" * 40, "files": files}
        artefacts = [{"path": ref.path, "sha256": "a" * 64} for ref in plan.artifacts]
        made = {"name": "1.0", "root": "b" * 64, "artefacts": artefacts, "volatile": volatile}
        found = manifest.lined(bill_of_materials.document(plan, tmp_path, tmp_path, made))
        (tmp_path / bill_of_materials.FILE).write_bytes(found)
        document: Node = json.loads(found)
        return document

    return write


def of(document: Node, *kinds: str) -> dict[str, Node]:
    return {one["bom-ref"]: one for one in document["components"] if one["type"] in kinds}


def requirements(pins: dict[tuple[str, str], list[str]]) -> str:
    """Return a lock, or with hashes what `pip install --require-hashes` reads."""
    lines = (" \\\n    ".join(["==".join(pin), *hashes]) for pin, hashes in pins.items())
    return "# a comment\n" + "".join(f"{line}\n" for line in lines)


def test_drawn_packages_are_there_once_with_who_states_them_and_the_hashes_of_their_files(
    bill: Callable[..., Node], tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    for _ in range(30):
        pins = [(name, str(rng.choice(VERSIONS))) for name in NAMES if rng.random() < 0.7]
        hashed = {pin: [rng.bytes(32).hex() for _ in range(rng.integers(1, 4))] for pin in pins}
        runs = [{n: str(rng.choice(VERSIONS)) for n in NAMES if rng.random() < 0.5} for _ in "ab"]
        (tmp_path / "requirements.lock").write_text(requirements({pin: [] for pin in pins}))
        (tmp_path / "requirements.hashes").write_text(
            requirements(
                {  # as pip-compile spells them
                    (name.replace(".", "-").lower(), version): [f"--hash=sha256:{h}" for h in found]
                    for (name, version), found in hashed.items()
                }
            )
        )
        wanted = {pin: ["requirements.lock"] for pin in pins}
        for pin in {pin for run in runs for pin in run.items()}:
            wanted[pin] = [*wanted.get(pin, []), "run files"]
        found = of(bill(*runs), "library", "application")
        assert len(found) == len(wanted)
        for (name, version), who in wanted.items():
            normal = name.replace(".", "-").replace("_", "-").lower()
            one = found[f"{normal}=={version}"]
            assert [fact["value"] for fact in one["properties"]] == who
            if name == "shiftbench":
                assert "purl" not in one
                continue
            assert "+" not in one["purl"]  # a blank to some readers
            assert unquote(one["purl"]) == f"pkg:pypi/{normal}@{version}"
            assert "hashes" not in one  # which of the files was installed nobody knows
            places = one.get("externalReferences", [])
            listed = [h["content"] for place in places for h in place["hashes"]]
            assert listed == hashed.get((name, version), [])


def test_originals_and_weights_of_others_have_licences_and_digests(bill: Callable[..., Node]) -> None:
    document = bill()
    originals = of(document, "data")
    assert originals.keys() == {f"sources/{n}" for n in ("fashion_mnist", "frost_textures", "squeezenet")}
    for one in originals.values():
        source = load_source(one["name"])
        assert source.licence in one["licenses"][0]["license"].values()
        digests = {file["name"]: file["hashes"][0]["content"] for file in one["components"]}
        assert digests == {name: file.sha256 for name, file in source.files.items()}
    model = of(document, "machine-learning-model")
    assert model.keys() == {WEIGHTS}  # the head was trained here
    assert model[WEIGHTS]["hashes"] == [{"alg": "SHA-256", "content": "a" * 64}]
    needs = {one["ref"]: one["dependsOn"] for one in document["dependencies"]}
    assert needs[WEIGHTS] == ["sources/squeezenet"]
    assert set(needs["release"]) == {*originals, WEIGHTS}


def test_the_serial_number_is_that_of_the_bill_and_no_other(bill: Callable[..., Node]) -> None:
    one, same, other = bill({"torch": "1"}, {"a": "2"}), bill({"a": "2"}, {"torch": "1"}), bill()
    assert one == same
    assert one["serialNumber"] != other["serialNumber"]


@pytest.mark.needs(str(VALIDATORS / "python"))
def test_it_is_valid_by_the_schema_of_cyclonedx(bill: Callable[..., Node], tmp_path: Path) -> None:
    for name in ("requirements.lock", "requirements.hashes"):
        lines = (HOME / name).read_text().splitlines(keepends=True)
        (tmp_path / name).write_text("".join(lines[:300]))  # all hashes take the validator seconds
    components = len(bill({"torch": "2.13.0+cpu", "shiftbench": "0.1"})["components"])
    script = HOME / "tests/release/validate_bill.py"
    said = call(str(VALIDATORS / "python"), str(script), str(tmp_path / bill_of_materials.FILE))
    assert said.stdout == f"{components} components, 0 package URLs read otherwise\n"
