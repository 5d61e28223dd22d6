"""A clone that pulled has it all and nothing to redo; a change there redoes exactly what it touches.

The expected jobs are written out by hand: they are the promise, not what the plan computes.
"""

import json
import shutil

import pytest

from makers.repositories import Repository, clone
from shiftbench.data import schema

pytestmark = pytest.mark.workflow

NOISE, CONTRAST = "shift/tiny/test/gaussian_noise", "shift/tiny/test/contrast"
JPEG = "shift/tiny/test/jpeg_compression"  # not stored: golden samples only
TRAIN = {"train/tiny/convnet-erm-s0", "train/tiny/convnet-erm-s1"}
SAMPLES = {"report/samples/tiny", "report/samples/tiny/index"}  # of the evaluated ones
EVALUATE = SAMPLES | {"evaluate/tiny/convnet-erm-s0/plain", "evaluate/tiny/convnet-erm-s1/plain"}
SCORE = {"score/tiny/convnet-erm-s0/plain", "score/tiny/convnet-erm-s1/plain"}
OVERLAPS = "score/tiny"
END = {"aggregate/tiny", "report/index"}
SECRET = {"shift/secret/test/identity"}  # may not be passed on, so a clone makes it where it is needed

ALL = "shifts: [gaussian_noise, contrast, jpeg_compression]"
PARAMS, SHIFT = "params.yaml", "src/shiftbench/plugins/shifts/contrast.py"

LEVELS = "src/shiftbench/plugins/shifts/_levels.py"
CASES = {
    "a severity": (
        (PARAMS, "gaussian_noise: {severities: [1, 3]}", "gaussian_noise: {severities: [1, 2.5]}"),
        {NOISE} | EVALUATE | END,
        "train/tiny/convnet-erm-s0",
    ),
    "the seed": (
        (PARAMS, "seed: 0", "seed: 1"),
        {NOISE, CONTRAST, JPEG} | SECRET | TRAIN | EVALUATE | SCORE | END,
        "shift/tiny/train/identity",
    ),
    "a trainer's epochs": ((PARAMS, "epochs: 1", "epochs: 2"), SECRET | TRAIN | EVALUATE | SCORE | END, CONTRAST),
    "a detector's option": (
        (PARAMS, "gamma: [0.1, 0.5]", "gamma: [0.2, 0.5]"),
        SCORE | END,
        "evaluate/tiny/convnet-erm-s0/plain",
    ),
    "a metric's parameter": ((PARAMS, "bins: 10", "bins: 12"), END, "evaluate/tiny/convnet-erm-s0/plain"),
    "the batch size": (
        (PARAMS, "bootstrap:", "evaluate: {batch_size: 16}\nbootstrap:"),
        SECRET | EVALUATE | SCORE | END,
        "train/tiny/convnet-erm-s0",
    ),
    "a severity of a shift that is not stored": (
        (PARAMS, "severities: [3], materialise", "severities: [3, 4], materialise"),
        {JPEG} | EVALUATE | END,
        NOISE,
    ),
    "a shift is stored from now on": (
        (PARAMS, "materialise: false", "materialise: true"),
        {JPEG} | EVALUATE | END,
        NOISE,
    ),
    "a shift more": ((PARAMS, ALL, ALL.replace("]", ", fog]")), {"shift/tiny/test/fog"} | EVALUATE | END, CONTRAST),
    "a shift less": ((PARAMS, ALL, ALL.replace(", contrast", "")), SAMPLES | END, "evaluate/tiny/convnet-erm-s0/plain"),
    "a model more": (
        (PARAMS, "architectures: [convnet]", "architectures: [convnet, vit]"),
        {"train/tiny/vit-erm-s0", "train/tiny/vit-erm-s1"}
        | {"evaluate/tiny/vit-erm-s0/plain", "evaluate/tiny/vit-erm-s1/plain"}
        | SAMPLES
        | {"score/tiny/vit-erm-s0/plain", "score/tiny/vit-erm-s1/plain"}
        | SECRET
        | END,
        "evaluate/tiny/convnet-erm-s0/plain",
    ),
    "a comment": ((SHIFT, "FIELD =", "# what it changes\nFIELD ="), set(), CONTRAST),
    "a docstring": ((SHIFT, '"""Contrast', '"""The contrast'), set(), CONTRAST),
    "arithmetic of a shift": ((SHIFT, "FIELD =", "CHANGED = 1\nFIELD ="), {CONTRAST} | EVALUATE | END, NOISE),
    "a helper that two shifts share": (
        (LEVELS, "low = min(int(severity), 4)", "low = min(int(severity), 3)"),
        {NOISE, CONTRAST, JPEG} | EVALUATE | END,
        "train/tiny/convnet-erm-s0",
    ),
    "a constant that no job reaches": (
        (LEVELS, "RANGE = (0.0, 5.0)", "CHANGED = 1\nRANGE = (0.0, 5.0)"),
        set(),
        "train/tiny/convnet-erm-s0",
    ),
    "a class-list file": (
        ("tests/workflow/mine/datasets/classes.txt", "zero one two", "zero one two three"),
        {"shift/tiny/test/identity", "shift/tiny/train/identity", "shift/tiny/val/identity"}
        | {"shift/other/test/identity", OVERLAPS}
        | {NOISE, CONTRAST, JPEG}
        | SECRET
        | TRAIN
        | EVALUATE
        | SCORE
        | END,
        "fetch/tiny",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_change_plans_exactly_what_it_touches(colleague, case):
    edit, expected, untouched = CASES[case]
    colleague.edit(*edit)
    planned = colleague.planned()
    assert planned == expected
    assert untouched not in planned


def test_nothing_to_redo_and_equal_results(author, colleague):
    assert colleague.planned() == set()
    assert "up to date" in colleague.run("dvc", "status").stdout
    outs = (
        "data/shards",
        "checkpoints",
        "results/records",
        "results/overlaps",
        "results/searches",
        "results/scores",
        "results/tables",
        "results/report",
    )
    assert colleague.bytes(*outs) == author.bytes(*outs)


def test_a_shift_that_is_not_stored_has_records_and_no_shards(author):
    place = "tiny/test/jpeg_compression"
    assert not (author.path / f"data/shards/{place}").exists()
    record = author.path / f"results/records/tiny/convnet-erm-s0/plain/{place}/3.parquet"
    receipt = json.loads(record.with_name("3.parquet.receipt.json").read_text())
    assert f"results/previews/{place}/3.json" in receipt["consumed"]
    assert len(receipt["facts"]["pixels"]) == 64
    assert "JPEG compression, severity 3" in (author.path / "results/report/index.html").read_text()


def test_what_may_not_be_passed_on_is_never_pushed(author, colleague):
    secret = author.bytes("data/local")
    tars = [data for name, data in secret.items() if name.endswith(".tar")]
    remote = {file.read_bytes() for file in (author.path.parent / "remote").rglob("*") if file.is_file()}
    assert tars
    assert not remote & set(tars)
    assert not any(b"secret/all/" in data for data in remote if not data.startswith(b"PAR1"))
    assert not (colleague.path / "data/local").exists()


def test_detectors_are_searched_on_sets_that_share_no_sample(author):
    searches = author.path / "results/searches/tiny/convnet-erm-s0/plain"
    assert [file.name for file in searches.glob("*.parquet")] == ["gen.parquet"]
    tried = schema.read(searches / "gen.parquet").to_pylist()
    assert {json.loads(row["options"])["gamma"] for row in tried} == {0.1, 0.5}
    assert sum(row["chosen"] for row in tried) == 1
    proof = schema.read(author.path / "results/overlaps/tiny.parquet").to_pylist()
    needed = [row for row in proof if row["disjoint"]]
    roles = {frozenset((row["role_a"], row["role_b"])) for row in needed}
    pairs = (("id", "ood"), ("id", "val_ood"), ("ood", "val_ood"))
    assert roles == {frozenset(pair) for pair in pairs}
    assert not any(row["shared_keys"] or row["shared_contents"] for row in needed)


def test_no_forward_pass_is_repeated(author, tmp_path):
    """Every call of a torch module in a job is counted from outside (counting/sitecustomize.py)."""
    shutil.copytree(author.path, tmp_path / "repository", symlinks=True)
    copy = Repository(tmp_path / "repository")
    copy.edit(PARAMS, "detectors: [msp, gen]", "detectors: [msp, gen, react, mds, knn]")
    copy.edit(PARAMS, "detectors: {gen", "detectors: {knn: {k: [1, 5]}, gen")
    copy.make("records")
    calls = {
        verb: [
            json.loads(file.read_text())["module_calls"] for file in (copy.path / f"results/{verb}").rglob("*.run.json")
        ]
        for verb in ("records", "features", "scores", "searches")
    }
    assert all(calls.values())
    assert min(calls["records"]) > 0
    assert min(calls["features"]) > 0
    assert set(calls["scores"] + calls["searches"]) == {0}


def test_rerun_right_after_a_run_does_nothing_and_git_is_clean(author):
    assert author.planned() == set()
    assert author.run("git", "status", "--porcelain").stdout == ""
    assert "up to date" in author.run("dvc", "status").stdout


def test_records_without_shards_are_at_rest(author, tmp_path):
    partial = clone(author, tmp_path / "partial")
    partial.run("shiftbench", "pull", "records", "tables")
    assert partial.planned() == set()
    assert not (partial.path / "data/shards/tiny").exists()
    partial.edit(PARAMS, "bins: 10", "bins: 12")
    assert partial.planned() == END
    (partial.path / "results/report/index.html").unlink()  # it is made with the tables
    assert partial.planned() == END
    partial.edit(
        "src/shiftbench/report/templates/page.html", "<html lang", "<html  lang"
    )  # no shard is read for a page
    assert partial.planned() == END | {"report/samples/tiny/index"}


def test_a_model_retrained_to_other_bytes_redoes_its_records(colleague):
    weights = colleague.path / "checkpoints/tiny/convnet-erm-s0.safetensors"
    other = colleague.path / "checkpoints/tiny/convnet-erm-s1.safetensors"
    weights.write_bytes(other.read_bytes())
    receipt = weights.with_name(f"{weights.name}.receipt.json")
    content = json.loads(receipt.read_text())
    content["made"][weights.name] = json.loads(other.with_name(f"{other.name}.receipt.json").read_text())["made"][
        other.name
    ]
    receipt.write_text(json.dumps(content))
    assert colleague.planned() == {
        "evaluate/tiny/convnet-erm-s0/plain",
        "score/tiny/convnet-erm-s0/plain",
        *SECRET,
        *SAMPLES,
        *END,
    }


def test_repro_after_a_change_tells_the_truth_and_prunes(colleague, tmp_path):
    colleague.run("dvc", "remote", "add", "--default", "mine", str(tmp_path / "mine"))
    colleague.edit(PARAMS, ALL, ALL.replace(", contrast", ""))
    colleague.run("dvc", "repro", "--quiet")
    assert "up to date" in colleague.run("dvc", "status").stdout
    assert colleague.planned() == set()
    assert not (colleague.path / "data/shards/tiny/test/contrast").exists()
    assert (colleague.path / ".trash/data/shards/tiny/test/contrast/3/manifest.json").is_file()
    lock = (colleague.path / "dvc.lock").read_text()
    before = colleague.run("git", "show", "HEAD:dvc.lock").stdout
    assert lock != before
