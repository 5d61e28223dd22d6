"""A release holds all that was made, as standards describe it, and is equal wherever it is made."""

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from makers.released_benchmark import CREATED, METRICS, OWN, RECORD, SECRET, STATEMENT, call
from makers.repositories import HOME, Repository, clone
from shiftbench.release import manifest

pytestmark = pytest.mark.workflow

VALIDATORS = HOME / ".venv-validators/bin"
validated = pytest.mark.needs(str(VALIDATORS / "mlcroissant"), str(VALIDATORS / "python"))


def test_every_output_is_in_it_and_secrets_are_digests(released: Repository) -> None:
    content = manifest.read(released.path, "1.0")
    digests = {entry["path"]: entry["sha256"] for entry in content["artefacts"]}
    here = {
        str(file.relative_to(released.path)): file
        for folder in ("data/shards", "checkpoints", "results")
        for file in (released.path / folder).rglob("*")
        if file.is_file() and not file.name.endswith(".run.json")
        if not file.name.startswith("audit.")  # which other tests may have asked for; no output
    }
    there = {name: file for name, file in here.items() if "results/features" not in name}
    withheld = {entry["path"] for entry in content["artefacts"] if "withheld" in entry}
    assert digests.keys() - withheld - {"params.yaml", "requirements.lock"} == there.keys()
    for name, file in there.items():
        assert digests[name] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert withheld == {SECRET}
    secret = (released.path / SECRET).read_bytes()
    assert digests[SECRET] == hashlib.sha256(secret).hexdigest()
    assert content["volatile"]["commit"] == released.run("git", "rev-parse", "HEAD~").stdout.strip()
    text = b"".join(f.read_bytes() for f in (released.path / "releases").rglob("*") if f.is_file())
    assert str(released.path).encode() not in text
    assert b"secret/all/" not in text


def test_the_statement_is_in_toto_with_slsa_provenance(released: Repository) -> None:
    said = json.loads((released.path / STATEMENT).read_text())
    content = manifest.read(released.path, "1.0")
    assert (said["_type"], said["predicateType"]) == (
        "https://in-toto.io/Statement/v1",
        "https://slsa.dev/provenance/v1",
    )
    names = {subject["name"] for subject in said["subject"]}
    assert {METRICS, SECRET, OWN, "releases/1.0/ro-crate-metadata.json"} <= names
    build = said["predicate"]["buildDefinition"]
    assert build["externalParameters"]["params"]["bootstrap"]["resamples"] == 50
    assert build["internalParameters"]["root"] == content["root"]
    needed = {need["name"]: need["digest"] for need in build["resolvedDependencies"]}
    assert needed["repository"] == {"gitCommit": content["volatile"]["commit"]}
    assert "requirements.lock" in needed
    assert said["predicate"]["runDetails"]["metadata"] == {"finishedOn": CREATED}


def test_standard_tools_verify_it(released: Repository, keys: Path) -> None:
    signature = released.path / f"{STATEMENT}.sig"
    verified = call(
        *("ssh-keygen", "-Y", "verify", "-f", str(keys / "signers"), "-I", "tests@example.org"),
        *("-n", "shiftbench", "-s", str(signature)),
        input=(released.path / STATEMENT).read_text(),
    )
    assert 'Good "shiftbench" signature for tests@example.org' in verified.stdout
    signers = ("--signers", str(keys / "signers"))
    ours = released.run("shiftbench", "release", "1.0", "--verify", *signers).stdout
    assert "good; Good" in ours
    assert "exact: release 1.0" in ours


def test_a_proof_leads_from_one_file_to_the_root(released: Repository) -> None:
    """Recomputed here with hashlib only, as docs/release.md shows it."""
    proof = json.loads(released.run("shiftbench", "release", "1.0", "--prove", METRICS).stdout)
    leaf = json.loads(proof["leaf"])
    assert leaf["sha256"] == hashlib.sha256((released.path / METRICS).read_bytes()).hexdigest()
    found = hashlib.sha256(b"\0" + proof["leaf"].encode()).digest()
    index, last = proof["index"], proof["size"] - 1
    for other in map(bytes.fromhex, proof["proof"]):
        left = index % 2 == 1 or index == last
        found = hashlib.sha256(b"\1" + (other + found if left else found + other)).digest()
        while left and index % 2 == 0 and index:
            index, last = index // 2, last // 2
        index, last = index // 2, last // 2
    assert found.hex() == proof["root"] == manifest.read(released.path, "1.0")["root"]


@validated
def test_croissant_is_valid_and_its_records_can_be_read(released: Repository, tmp_path: Path) -> None:
    folder = released.path / "releases/1.0/croissant"
    assert sorted(file.name for file in folder.iterdir()) == ["other.json", "tiny.json"]
    tool, home = str(VALIDATORS / "mlcroissant"), {"HOME": str(tmp_path)}
    for file in folder.iterdir():
        checked = call(tool, "validate", "--jsonld", str(file), env=home)
        assert "Done." in checked.stderr
        assert "WARNING" not in checked.stderr.upper()
    record_set = ("--record_set", "test/contrast/3", "--num_records", "-1")
    read = call(tool, "load", "--jsonld", str(folder / "tiny.json"), *record_set, env=home)
    rows = [line for line in read.stdout.splitlines() if line.startswith("{")]
    assert len(rows) == 60
    assert all("test/contrast/3/key': b'tiny/all/" in row for row in rows)
    assert all("PngImageFile image mode=L size=28x28" in row for row in rows)
    assert {row.rpartition("label': ")[2] for row in rows} == {"0}", "1}", "2}"}
    document = json.loads((folder / "tiny.json").read_text())
    made = next(one for one in document["recordSet"] if one["@id"] == "test/contrast/3")
    assert '"severity":3.0' in made["prov:wasGeneratedBy"]["prov:label"]
    assert made["prov:wasDerivedFrom"][0]["prov:label"].endswith("test/identity/0/manifest.json")


@validated
def test_the_run_is_a_valid_workflow_run_crate(released: Repository) -> None:
    script = HOME / "tests/release/validate_crate.py"
    folder = released.path / "releases/1.0"
    done = subprocess.run(
        [str(VALIDATORS / "python"), str(script), str(folder)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "57 of 57 checks passed\n19 actions" in done.stdout
    graph = json.loads((folder / "ro-crate-metadata.json").read_text())["@graph"]
    job = next(node for node in graph if node["@id"] == "#job/shift/tiny/test/contrast")
    assert job["instrument"] == {"@id": "#shiftbench-shift"}
    assert len(job["result"]) == 4
    assert any(fact["@id"].startswith("#environment/packages/") for fact in job["environment"])


def test_the_bill_of_materials_names_the_torch_that_ran(released: Repository) -> None:
    bill = json.loads((released.path / "releases/1.0/sbom.cdx.json").read_text())
    run = json.loads((released.path / f"{RECORD}.run.json").read_text())
    stated = {one["name"]: one["version"] for one in bill["components"]}
    packages = run["environment"]["packages"]
    assert {name: stated[name] for name in packages} == packages
    assert bill["metadata"]["timestamp"] == CREATED


def test_the_root_is_the_same_in_a_clone_by_another_user_at_another_time(
    author: Repository, released: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    colleague = clone(author, tmp_path / "elsewhere")
    colleague.run("shiftbench", "pull")
    colleague.run("git", "config", "user.name", "Another")
    colleague.run("git", "-c", "user.email=a@b.c", "commit", "-q", "--allow-empty", "-m", "mine")
    for name, value in {"TZ": "Asia/Tokyo", "LC_ALL": "C", "SOURCE_DATE_EPOCH": "1800000000"}.items():
        monkeypatch.setenv(name, value)
    colleague.run("sh", "-c", "umask 077; shiftbench release 1.0 --unsigned")
    ours, theirs = (manifest.read(one.path, "1.0") for one in (released, colleague))
    assert theirs["root"] == ours["root"]
    assert theirs["artefacts"] == ours["artefacts"]
    assert theirs["volatile"]["created"] == "2027-01-15T08:00:00+00:00"
    assert theirs["volatile"]["commit"] != ours["volatile"]["commit"]


def test_a_release_made_again_has_the_same_bytes(copy: Path, released: Repository) -> None:
    again = Repository(copy / "again")
    shutil.copytree(released.path, again.path, symlinks=True)
    again.run("git", "reset", "-q", "--hard", "HEAD~")
    again.run("shiftbench", "release", "1.0", "--unsigned", "--created", CREATED)
    for file in (again.path / "releases/1.0").rglob("*.json"):
        name = file.relative_to(again.path)
        assert file.read_bytes() == (released.path / name).read_bytes(), name
