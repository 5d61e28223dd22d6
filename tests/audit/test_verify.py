"""What was made here beside what is published: equal, moved and because of what, damaged, or not here."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file

from makers import forgeries
from makers.command_line import said
from makers.faults import ACCURACY
from makers.made_benchmark import Made
from makers.repositories import HOME
from shiftbench.audit.compare import published as comparing
from shiftbench.audit.compare.published import PublishedComparison
from shiftbench.base.errors import DataError, ParamsError, StaleError
from shiftbench.base.refs import Ref, without_seed
from shiftbench.cli import publish
from shiftbench.cli.documents import leaderboard
from shiftbench.provenance import recipe, trust
from shiftbench.release import manifest, merkle
from shiftbench.release import published as releases
from shiftbench.release.published import Published
from shiftbench.workflow.plan import estimate

CREATED = "2026-01-01T00:00:00+00:00"
OTHER_CPU = {"ATEN_CPU_CAPABILITY": "default", "OPENBLAS_CORETYPE": "Haswell"}
MAKE = """
from shiftbench.workflow.plan import plan
from shiftbench.workflow.tools import run_local
run_local.make(*plan.load(None))
"""


@pytest.fixture
def there(published: Made) -> Published:
    """The benchmark, published by its authors, as a reader reads it."""
    releases.write(published.plan(), published.root, published.root, None, CREATED)
    return releases.read(published.root, None)


def verified(made: Made, there: Published) -> PublishedComparison:
    return comparing.compare(made.root, there)


def test_what_is_published_is_equal_to_itself(published, there):
    stands = verified(published, there)
    assert (stands.verdict, stands.words) == ("exact", "equal byte for byte")
    assert stands.equal == stands.outputs > 50
    assert stands.numbers.rows == there.about["rows"] == len(rows(there.root)) > 0


def rows(root: Path) -> list[object]:
    return [row for file in root.rglob("metrics.parquet") for row in pq.read_table(file).to_pylist()]


def test_who_plans_it_anew_expects_what_its_jobs_took(published, there):
    plan = published.plan()
    took = estimate.measured_seconds(plan.jobs.values(), published.root)
    assert estimate.published_seconds(None, published.root) == took
    assert took.keys() == {job.rule for job in plan.jobs.values()} != set()


def test_the_root_is_that_of_a_release_of_the_same_bytes(published, there):
    """Leaves but the first, which names the release, are those of release v1 of the same outputs."""
    release = manifest.read(published.root, "v1")
    assert release["artefacts"] == there.manifest["artefacts"]
    assert there.about["root"] == manifest.root_of(there.manifest) == merkle_by_hand(there.manifest)


def merkle_by_hand(content: manifest.Content) -> str:
    header = {name: content[name] for name in ("format", "name", "scale", "previous")}
    entries = sorted(content["artefacts"], key=lambda entry: entry["path"])
    plain = [json.dumps(one, sort_keys=True, separators=(",", ":")).encode() for one in (header, *entries)]
    return merkle.root([merkle.leaf(one) for one in plain]).hex()


def test_the_same_outputs_are_published_in_the_same_bytes(published, there):
    before = {file: file.read_bytes() for file in there.root.rglob("*") if file.is_file()}
    releases.write(published.plan(), published.root, published.root, None, CREATED)
    assert {file: file.read_bytes() for file in there.root.rglob("*") if file.is_file()} == before


@pytest.mark.parametrize("seed", range(12))
def test_drawn_states_of_outputs(published, there, seed):
    """Some outputs are damaged, some forged, some gone: each is counted, the rest stays equal.

    All are of another checkout, whose name is in what is installed for it; that explains nothing.
    """
    draw = np.random.default_rng(seed)
    made = there.outputs()
    drawn = draw.choice(sorted(made), 4, replace=False).tolist()
    faults = {path: str(draw.choice(tuple(FAULTS))) for path in drawn}
    for path, fault in faults.items():
        file = published.root / str(draw.choice(sorted(made[path])))
        FAULTS[fault](file, published.root / f"{path}.receipt.json")
        published.edit(f"{path}.run.json", install_elsewhere)
    stands = verified(published, there)
    gone = {path for path, fault in faults.items() if fault == "gone"}
    assert set(stands.missing) == gone
    assert stands.other.keys() == faults.keys() - gone
    assert stands.equal == len(made) - 4
    for path in stands.other:
        (cause,) = stands.other[path]
        assert cause.kind == ("missing" if faults[path] == "untold" else "unexplained")
    assert stands.verdict == ("failed" if {"damaged", "forged"} & {*faults.values()} else "incomplete")


def install_elsewhere(run: dict[str, Any]) -> None:
    run["environment"]["installed"]["shiftbench"] = "of another folder"


@pytest.mark.parametrize("stated", [3, {}, {"installed": 3}, {"installed": {"torch": []}}])
def test_a_run_file_of_another_shape_is_another_environment(published, there, stated):
    path = next(path for path in there.outputs() if path.startswith("results/records/"))
    forge(published.root / path, published.root / f"{path}.receipt.json")
    published.edit(f"{path}.run.json", lambda run: run.update(environment=stated))
    (cause,) = verified(published, there).other[path]
    assert cause.kind == "environment"


def damage(file: Path, _: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def forge(file: Path, receipt: Path) -> None:
    """Change a file, and its receipt with it; the recipe stays."""
    damage(file, receipt)
    content = json.loads(receipt.read_text())
    name = file.relative_to(receipt.parent).as_posix()
    content["made"][name] = releases.sha256(file)
    receipt.write_text(json.dumps(content))


def lose_receipt(file: Path, receipt: Path) -> None:
    damage(file, receipt)
    receipt.unlink()


FAULTS = {"damaged": damage, "forged": forge, "untold": lose_receipt, "gone": lambda file, _: file.unlink()}


def test_another_cpu_is_named_and_moves_no_number_far(published, there):
    """Weights and all behind them are made anew with kernels for another CPU."""
    for place in ("checkpoints", "results"):
        shutil.rmtree(published.root / place)
    kept = {name: os.environ[name] for name in ("PATH", "HOME", trust.VARIABLE) if name in os.environ}
    environment = {**kept, **OTHER_CPU, "PYTHONPATH": f"{HOME / 'src'}", "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", MAKE], cwd=published.root, env=environment, check=True)
    stands = verified(published, there)
    odd = [c for f in stands.other.values() for c in f if c.kind not in ("environment", "checkpoints")]
    assert stands.verdict == "statistical", odd
    assert set(stands.because) <= {"environment", "checkpoints"}
    told = "; ".join(one.what for found in stands.other.values() for one in found)
    assert "ATEN_CPU_CAPABILITY" in told
    assert {path for path in stands.other if path.startswith("data/")} == set()


def test_another_library_is_named(published, there):
    """Records that another torch made, by what their run file states."""
    path = next(path for path in there.outputs() if path.startswith("results/records/"))
    forge(published.root / path, published.root / f"{path}.receipt.json")
    published.edit(f"{path}.run.json", lambda run: run["environment"]["packages"].update(torch="9.9.9"))
    stands = verified(published, there)
    (cause,) = stands.other[path]
    assert (cause.kind, stands.verdict, "9.9.9" in cause.what) == ("environment", "statistical", True)


def aged(there: Published) -> Published:
    """What is published, as if it were made when recipes had digests of files."""
    texts = dict(there.texts)
    for path in texts:
        if path.endswith(".receipt.json"):
            content = json.loads(texts[path])
            stated = content["recipe"]
            stated["code"] = dict.fromkeys(stated.get("code", ()), "0" * 32)
            del stated["roots"], stated["linked"]
            content["fingerprint"] = recipe.fingerprint(stated)
            texts[path] = json.dumps(content)
    return replace(there, texts=texts)


def test_what_is_older_than_digests_of_definitions_is_said_in_a_sentence(published, there, monkeypatch):
    old = aged(there)
    stands = verified(published, old)
    assert (stands.verdict, stands.older, verified(published, there).older) == ("exact", True, False)
    for one, times in ((there, 0), (old, 1)):
        monkeypatch.setattr(releases, "read", lambda *_, one=one: one)
        shown = " ".join(said("verify", "default").split())
        assert shown.count(f"default: {publish.OLDER}") == times
    path = next(path for path in there.outputs() if path.startswith("results/records/"))
    forge(published.root / path, published.root / f"{path}.receipt.json")
    stands = verified(published, old)
    assert [cause.kind for cause in stands.other[path]] == ["code"]
    assert stands.verdict == "statistical"
    (published.root / path).write_bytes(b"not what its receipt states")
    assert verified(published, old).verdict == "failed"


@pytest.mark.parametrize("kind", ["tables", "claims", "report"])
def test_another_environment_excuses_nothing_that_arithmetic_gives(published, there, kind):
    """A drawn file of each, forged with its receipt; the run file states another Python, BLAS and lock."""
    draw = np.random.default_rng(len(kind))
    made = {p: m for p, m in there.outputs().items() if p.startswith(f"results/{kind}/")}
    for path, files in made.items():
        file = published.root / str(draw.choice(sorted(files)))
        if path.endswith(".parquet") and (there.root / path).is_file():
            file = published.root / path
            forgeries.cell(published.root, Ref(kind, file.parent.name), ACCURACY, value=pl.col("value") + 0.05)
        else:
            forge(file, published.root / f"{path}.receipt.json")
        published.edit(f"{path}.run.json", another_environment)
        stands = verified(published, there)
        assert stands.verdict == "failed"
        assert "unexplained" in {cause.kind for cause in stands.other[path]}


def another_environment(run: dict[str, Any]) -> None:
    run["environment"] |= {"python": "3.99.7", "blas_core": "Zen", "lock": "1" * 64, "cpu": "another"}


def test_what_is_published_can_be_damaged_and_that_is_said(published, there):
    """Each file, one drawn byte or its end: read as published or refused, never taken for something else."""
    draw = np.random.default_rng(0)
    for file in sorted(file for file in there.root.rglob("*") if file.is_file()):
        data = file.read_bytes()
        for _ in range(8):
            at = int(draw.integers(len(data)))
            torn = data[:at] + (b"" if draw.random() < 0.3 else bytes([data[at] ^ 255]) + data[at + 1 :])
            file.write_bytes(torn)
            assert read_or_refused(published.root) in (None, (there.manifest, there.texts))
        file.write_bytes(data)


@pytest.mark.parametrize("name", ["../" * 9 + "etc/passwd", "/etc/passwd", "a/" + "../" * 9 + "b", "a\nb"])
def test_a_receipt_that_names_a_file_outside_is_refused(there, name):
    """Its digest in the manifest is right, so that nothing else is wrong."""
    entries = manifest.artefacts(there.manifest)
    path = next(entry.path for entry in entries if entry.kind == "receipt")
    content = json.loads(there.texts[path])
    content["made"][name] = "0" * 64
    forged = there.texts | {path: json.dumps(content)}
    flaw = releases._flaw(there.root, there.about, there.manifest, forged)
    assert str(flaw).endswith("which leads outside")


def test_a_large_about_is_refused(published, there):
    file = there.root / releases.ABOUT
    file.write_bytes(file.read_bytes() + b" " * (1 << 20))
    assert read_or_refused(published.root) is None


def read_or_refused(home: Path) -> object:
    """Return what is read; None: it was refused as it should be."""
    try:
        again = releases.read(home, None)
    except DataError as error:
        if "restore it from git" not in str(error):
            raise
        return None
    return again.manifest, again.texts


def test_what_is_not_committed_or_not_made_is_not_published(published):
    params = published.root / "params.yaml"
    params.write_text(f"{params.read_text()}# more\n")
    with pytest.raises(StaleError, match=r"params\.yaml"):
        releases.check_tree(published.root)
    some = next(ref for ref in published.plan().artifacts if ref.kind == "records")
    (published.root / some.path).unlink()
    with pytest.raises(DataError, match="are missing"):
        releases.write(published.plan(), published.root, published.root, None, CREATED)
    assert releases.configurations(published.root) == []
    with pytest.raises(ParamsError, match="nothing is published of 'default'"):
        releases.read(published.root, None)


def test_the_leaderboard_of_what_is_published(published, there):
    """A row for a model that was trained from several seeds: their mean, as the report prints it."""
    lines = list(csv.DictReader((published.root / releases.LEADERBOARD).read_text().splitlines()))
    page = leaderboard.page(published.root)
    assert there.about["root"] in page
    means = [line for line in lines if not re.search(r"-s\d+$", line["model"])]
    assert len(means) < len(lines)
    shown = [line for line in means if line["column"] == "clean-accuracy"]
    rows = [row.split(" | ") for row in page.splitlines() if " | authors | 20" in row]
    assert sorted(row[1].split(" ")[0] for row in rows) == sorted(f"{100 * float(one['value']):.1f}" for one in shown)
    assert len({row[0] for row in rows}) == len(rows)
    assert "seed" not in " ".join(row[0] for row in rows)


def test_checkpoints_say_how_many_parameters_a_model_has(published, there):
    plan = published.plan()
    counts = there.about["parameters"]
    assert set(counts) == {without_seed(ref.name)[0] for ref in plan.artifacts if ref.kind == "checkpoints"}
    for ref in (ref for ref in plan.artifacts if ref.kind == "checkpoints"):
        state = load_file(published.root / ref.path)
        count = sum(array.size for name, array in state.items() if not re.search("running_|num_batches", name))
        assert counts[without_seed(ref.name)[0]] == count > 0
    assert all(f" | {count:,} | " in leaderboard.page(published.root) for count in counts.values())
