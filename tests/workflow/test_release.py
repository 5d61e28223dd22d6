"""A release of the tiny campaign: whole, equal wherever it is made, and no file of it changes unnoticed."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from repository import HOME, Repository, clone
from shiftbench import plan as plans
from shiftbench import plugins
from shiftbench.errors import DataError, ParamsError, ShiftbenchError, StaleError
from shiftbench.release import make, manifest, signing, statement, verify

pytestmark = pytest.mark.workflow

CREATED = "2026-01-31T12:00:00+00:00"
OWN = "releases/1.0/manifest.json"
STATEMENT = "releases/1.0/statement.intoto.json"
METRICS = "results/tables/tiny/metrics.parquet"
RECORD = "results/records/tiny/convnet-erm-s0/plain/tiny/test/contrast/3.parquet"
TAR = "data/shards/tiny/test/contrast/3/000000.tar"
SECRET = "data/local/secret/test/identity/0/manifest.json"
VALIDATORS = HOME / ".venv-validators/bin"
validated = pytest.mark.needs(str(VALIDATORS / "mlcroissant"), str(VALIDATORS / "python"))


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an SSH key, and the file that says whose it is."""
    folder = tmp_path_factory.mktemp("keys")
    call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "tests", "-f", str(folder / "key"))
    public = (folder / "key.pub").read_text()
    (folder / "signers").write_text(f'tests@example.org namespaces="shiftbench" {public}')
    return folder


@pytest.fixture(scope="module")
def released(
    author: Repository, keys: Path, tmp_path_factory: pytest.TempPathFactory
) -> Repository:
    """The author's repository with a signed release, committed."""
    path = tmp_path_factory.mktemp("released") / "repository"
    shutil.copytree(author.path, path, symlinks=True)
    repository = Repository(path)
    said = repository.run(
        "shiftbench", "release", "1.0", "--sign", str(keys / "key"), "--created", CREATED
    ).stdout
    assert manifest.read(path, "1.0")["root"] in said
    repository.run("git", "add", "releases")
    repository.run("git", "commit", "-qm", "release 1.0")
    return repository


@pytest.fixture
def copy(released: Repository, tmp_path: Path) -> Path:
    """What a release is about, for one test to change; without git."""
    for name in ("releases", "data", "weights", "results", "params.yaml", "requirements.lock"):
        place = released.path / name
        (shutil.copytree if place.is_dir() else shutil.copy)(place, tmp_path / name)
    return tmp_path


def call(*command: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=True, **more)


def problems(home: Path, name: str = "1.0", **more: Any) -> dict[str, set[str]]:
    """Return the paths of the problems of a release, by kind."""
    found: dict[str, set[str]] = {}
    for problem in verify.verify(home, home, name, **more):
        found.setdefault(problem.kind, set()).add(problem.path)
    return found


def edit(file: Path, change: Callable[[Any], None]) -> None:
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


# --- what it holds --------------------------------------------------------------------------------


def test_every_output_is_in_it_and_secrets_are_digests(released: Repository) -> None:
    content = manifest.read(released.path, "1.0")
    digests = {entry["path"]: entry["sha256"] for entry in content["artefacts"]}
    here = {
        str(file.relative_to(released.path)): file
        for folder in ("data/shards", "weights", "results")
        for file in (released.path / folder).rglob("*")
        if file.is_file() and not file.name.endswith(".run.json")
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
    assert build["externalParameters"]["params"]["bootstrap"]["draws"] == 50
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
def test_croissant_is_valid_and_its_records_can_be_read(
    released: Repository, tmp_path: Path
) -> None:
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
    assert "57 of 57 checks passed\n17 actions" in done.stdout
    graph = json.loads((folder / "ro-crate-metadata.json").read_text())["@graph"]
    job = next(node for node in graph if node["@id"] == "#job/shift/tiny/test/contrast")
    assert job["instrument"] == {"@id": "#shiftbench-shift"}
    assert len(job["result"]) == 4
    assert any(fact["@id"].startswith("#environment/packages/") for fact in job["environment"])


# --- equal wherever it is made ---------------------------------------------------------------------


def test_the_root_is_the_same_in_a_clone_by_another_user_at_another_time(
    author: Repository, released: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    colleague = clone(author, tmp_path / "elsewhere")
    colleague.run("shiftbench", "pull")
    colleague.run("git", "config", "user.name", "Another")
    colleague.run("git", "-c", "user.email=a@b.c", "commit", "-q", "--allow-empty", "-m", "mine")
    for name, value in {
        "TZ": "Asia/Tokyo",
        "LC_ALL": "C",
        "SOURCE_DATE_EPOCH": "1800000000",
    }.items():
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


# --- no file changes unnoticed ----------------------------------------------------------------------


def test_a_copy_without_changes_is_exact(copy: Path, keys: Path) -> None:
    assert problems(copy, signers=keys / "signers") == {}


ENTRY = f"{RECORD}.receipt.json"
RUN = f"{RECORD}.run.json"
CROISSANT = "releases/1.0/croissant/tiny.json"
FAULTS: dict[str, tuple[Callable[[Path], None], dict[str, set[str]]]] = {
    "a byte of a shard": (lambda home: flip(home / TAR), {"artefact": {TAR}}),
    "a byte of a table": (lambda home: flip(home / METRICS), {"artefact": {METRICS}}),
    "a byte of what is withheld": (lambda home: flip(home / SECRET), {"artefact": {SECRET}}),
    "a receipt": (
        lambda home: edit(home / ENTRY, lambda it: it["consumed"].clear()),
        {"artefact": {ENTRY}},
    ),
    "the lock": (
        lambda home: (home / "requirements.lock").write_text("numpy==1.0\n"),
        {"missing": {"requirements.lock"}},  # without git, nobody knows what it was
    ),
    "a record is lost": (lambda home: (home / RECORD).unlink(), {"missing": {RECORD}}),
    "a run file": (
        lambda home: edit(home / RUN, lambda it: it.update(seconds=0)),
        {"run": {RUN}},
    ),
    "a digest in the manifest": (
        lambda home: edit(home / OWN, lambda it: it["artefacts"][0].update(sha256="0" * 64)),
        {"manifest": {OWN}, "artefact": {SECRET}, "statement": {OWN, SECRET}},
    ),
    "an artefact struck from the manifest": (
        lambda home: edit(home / OWN, lambda it: it["artefacts"].pop(0)),
        {"manifest": {OWN}, "statement": {OWN, SECRET}},
    ),
    "the commit in the manifest": (
        lambda home: edit(home / OWN, lambda it: it["volatile"].update(commit="0" * 40)),
        {"statement": {OWN, STATEMENT}},
    ),
    "the root in the manifest": (
        lambda home: edit(home / OWN, lambda it: it.update(root="0" * 64)),
        {"manifest": {OWN}, "statement": {OWN, STATEMENT}},
    ),
    "no manifest any more": (
        lambda home: (home / OWN).write_text("{}"),
        {"manifest": {OWN}},
    ),
    "a subject of the statement": (
        lambda home: edit(home / STATEMENT, lambda it: it["subject"].pop(0)),
        {"statement": {SECRET}, "signature": {f"{STATEMENT}.sig"}},
    ),
    "a parameter in the statement": (
        lambda home: edit(
            home / STATEMENT,
            lambda it: it["predicate"]["buildDefinition"]["externalParameters"].update(params={}),
        ),
        {"signature": {f"{STATEMENT}.sig"}},
    ),
    "a description": (
        lambda home: edit(home / CROISSANT, lambda it: it.update(license="none")),
        {"statement": {CROISSANT}},
    ),
    "a file slipped in": (
        lambda home: (home / "releases/1.0/more.json").write_text("{}"),
        {"statement": {"releases/1.0/more.json"}},
    ),
    "the signature": (
        lambda home: (home / f"{STATEMENT}.sig").write_text("-----BEGIN SSH SIGNATURE-----\n"),
        {"signature": {f"{STATEMENT}.sig"}},
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_change_is_caught_and_named(copy: Path, fault: str) -> None:
    change, expected = FAULTS[fault]
    change(copy)
    assert problems(copy) == expected


def test_what_was_made_again_by_another_recipe_is_told_apart(copy: Path) -> None:
    edit(copy / f"{METRICS}.receipt.json", lambda it: it.update(fingerprint="0" * 64))
    flip(copy / METRICS)
    assert problems(copy) == {"moved": {METRICS, f"{METRICS}.receipt.json"}}


def test_a_key_of_nobody_known_is_refused(copy: Path, tmp_path: Path) -> None:
    call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "forged"))
    (copy / f"{STATEMENT}.sig").unlink()
    signing.sign(copy / STATEMENT, signing.Key("ssh", str(tmp_path / "forged")))
    assert problems(copy) == {}  # sound, and whose it is nobody asked
    (tmp_path / "signers").write_text("a@b.c ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA== other\n")
    assert problems(copy, signers=tmp_path / "signers") == {"signature": {f"{STATEMENT}.sig"}}


@pytest.mark.needs("gpg")
def test_a_gpg_key_signs_and_its_keyring_verifies(
    copy: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    keyring, empty = (tmp_path_factory.mktemp("gpg") for _ in range(2))
    monkeypatch.setenv("GNUPGHOME", str(keyring))
    make_key = ("gpg", "--batch", "--passphrase", "", "--quick-generate-key")
    call(*make_key, "tests@example.org", "ed25519", "sign", "never")
    (copy / f"{STATEMENT}.sig").unlink()
    signature = signing.sign(copy / STATEMENT, signing.Key("gpg", "tests@example.org"))
    assert call("gpg", "--verify", str(signature), str(copy / STATEMENT)).returncode == 0
    assert problems(copy) == {}
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("GNUPGHOME", str(empty))
        assert problems(copy) == {"key": {f"{STATEMENT}.asc"}}
    edit(copy / STATEMENT, lambda it: it["subject"].pop(0))
    assert problems(copy)["signature"] == {f"{STATEMENT}.asc"}
    call("gpgconf", "--kill", "all")


def test_gits_own_signing_key_is_the_default(tmp_path: Path) -> None:
    call("git", "init", "-q", str(tmp_path))
    assert signing.key_of(tmp_path, None) is None
    for name, value in {"user.signingkey": "~/.ssh/id.pub", "gpg.format": "ssh"}.items():
        call("git", "-C", str(tmp_path), "config", name, value)
    assert signing.key_of(tmp_path, None) == signing.Key("ssh", "~/.ssh/id.pub")
    call("git", "-C", str(tmp_path), "config", "gpg.format", "openpgp")
    assert signing.key_of(tmp_path, None) == signing.Key("gpg", "~/.ssh/id.pub")
    with pytest.raises(DataError, match=r"could not sign.*--unsigned"):
        signing.sign(tmp_path / "nothing", signing.Key("ssh", str(tmp_path / "nokey")))


# --- the chain, and the audit that looks at it -----------------------------------------------------


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
    assert {number: result["verdict"] for number, result in clean.items()} == {
        "A26": "exact",
        "A27": "exact",
    }
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
        assert "nothing was released" in result["notes"][0]


# --- refused ----------------------------------------------------------------------------------------


@pytest.fixture
def unreleased(
    author: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., None]:
    """A function that releases the campaign in this process, in a folder of the test's own."""
    shutil.copytree(
        author.path, tmp_path / "own", symlinks=True, ignore=shutil.ignore_patterns("cache")
    )
    monkeypatch.chdir(tmp_path / "own")
    monkeypatch.setattr(plugins.Folders, "extra", ())

    def release(name: str = "1.0", created: str | None = None) -> None:
        planned, root = plans.load()
        home = Path()
        make.make(planned, root, home, make.Request(name, None, make.when(created), None))

    return release


def commit() -> None:
    call("git", "commit", "-qam", "changed")


def stale() -> None:
    file = Path("params.yaml")
    file.write_text(file.read_text().replace("bins: 10", "bins: 12"))
    commit()


REFUSED: dict[str, tuple[Callable[[], None], type[ShiftbenchError], str]] = {
    "a tracked file was changed": (
        lambda: Path("README.md").write_text("x"),
        StaleError,
        r"1 file\(s\) differ from the commit.*\n  README.md",
    ),
    "a file that git does not know": (
        lambda: Path("mine.py").write_text("x"),
        StaleError,
        r"git does not know.*\n  mine.py",
    ),
    "a stale table": (stale, StaleError, r"tiny/metrics.parquet: recipe changed.*bins"),
    "a missing record": (lambda: Path(RECORD).unlink(), DataError, rf"not here.*\n  {RECORD}"),
    "a damaged shard": (lambda: flip(Path(TAR)), DataError, rf"damaged(.|\n)*{TAR}"),
    "no git": (lambda: shutil.rmtree(".git"), DataError, "has no git commit"),
    "no Snakefile": (
        lambda: (Path("Snakefile").unlink(), commit()),
        DataError,
        "Snakefile is missing",
    ),
    "no run file": (
        lambda: Path(f"{RECORD}.run.json").unlink(),
        DataError,
        r"run.json is missing",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_whole_is_refused_and_named(unreleased: Callable[..., None], case: str) -> None:
    change, error, message = REFUSED[case]
    change()
    with pytest.raises(error, match=message):
        unreleased()
    assert list(Path().glob("releases/*")) == []


def test_names_and_times_are_checked_and_nothing_is_written_twice(
    unreleased: Callable[..., None],
) -> None:
    with pytest.raises(ParamsError, match="no name for a release"):
        unreleased("../1.0")
    with pytest.raises(ParamsError, match="is no time"):
        unreleased(created="yesterday")
    shutil.rmtree("data/local")  # what a licence withholds may be missing
    unreleased(created=CREATED)
    assert manifest.artefacts(manifest.read(Path(), "1.0"))[0].withheld
    call("git", "add", "releases")
    commit()
    with pytest.raises(ParamsError, match="not written again"):
        unreleased()
    with pytest.raises(ParamsError, match=r"no release '1.1'.*1\.0"):
        manifest.read(Path(), "1.1")
    assert statement.FILE in {file.name for file in Path("releases/1.0").iterdir()}
