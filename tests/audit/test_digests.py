"""A10: every byte is read; what is not as recorded is named, down to the sample."""

import hashlib
import json
import os
from pathlib import Path

import yaml

from makers.forgeries import flip
from shiftbench.audit.evidence.file_digests import Digests


def test_a_clean_benchmark_is_exact(made):
    result = made.result("digests")
    assert (result.verdict, result.findings) == ("exact", ())
    assert "files of" in result.notes[-1]


def test_a_flipped_byte_of_a_shard_is_followed_to_the_sample(made):
    ref = made.one("shards", "test/contrast/3")
    tar = (made.root / ref.path).with_name("000000.tar")
    flip(tar, 700)
    (finding,) = made.findings("digests")
    assert (finding.verdict, finding.file) == ("failed", str(tar.relative_to(made.root)))
    assert finding.sample.startswith("tiny/all/")
    assert finding.found == hashlib.sha256(tar.read_bytes()).hexdigest()
    assert finding.numbers[0].startswith("tiny: accuracy of convnet-erm-s0 on tiny/test/contrast/3")
    assert "no library" in finding.explanation["environment"]


def test_a_flipped_byte_of_any_file_is_named(made):
    plan = made.plan()
    files = [made.root / made.one(kind).path for kind in ("records", "checkpoints", "scores")]
    files += [(made.root / made.one(kind).path).with_name(name) for kind, name in BESIDE]
    for file in files:
        data = file.read_bytes()
        flip(file)
        found = made.findings("digests", plan=plan)
        assert {one.file for one in found} == {str(file.relative_to(made.root))}
        assert {one.verdict for one in found} == {"failed"}
        file.write_bytes(data)


BESIDE = [("tables", "roc.parquet"), ("report", "curves.csv"), ("shards", "index.parquet"), ("shards", "manifest.json")]


def test_a_manifest_that_names_other_tars_fails(made):
    ref = made.one("shards", "test/contrast/3")
    made.edit(ref.path, lambda about: about["tars"]["000000.tar"].update(sha256="0" * 64))
    said = {(one.file, one.why.partition("that ")[2]) for one in made.findings("digests")}
    assert {Path(file).name for file, _ in said} == {"manifest.json", "000000.tar"}


def test_bytes_that_are_not_here_leave_it_incomplete(made):
    ref = made.one("shards", "test/contrast/3")
    (made.root / ref.path).with_name("000000.tar").unlink()
    (finding,) = made.findings("digests")
    assert finding.verdict == "incomplete"
    assert finding.file.endswith("contrast/3/000000.tar")


def recorded(made, path: str, data: bytes) -> Path:
    """Record a file with DVC; return its object in the cache."""
    md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
    kept = made.root / ".dvc/cache/files/md5" / md5[:2] / md5[2:]
    kept.parent.mkdir(parents=True)
    kept.write_bytes(data)
    (made.root / ".dvc/config").touch()
    out = {"path": path, "md5": md5, "size": len(data)}
    (made.root / "dvc.lock").write_text(yaml.safe_dump({"stages": {"records": {"outs": [out]}}}))
    return kept


def test_a_damaged_object_of_no_planned_output_is_named(made):
    kept = recorded(made, "results/of-an-older-plan.txt", b"as it was recorded")
    kept.write_bytes(b"as it is not")
    (finding,) = made.findings("digests")
    assert (finding.verdict, finding.file) == ("failed", str(kept))


def test_objects_of_the_dvc_cache_are_read_themselves(made):
    ref = made.one("records")
    data = (made.root / ref.path).read_bytes()
    kept = recorded(made, ref.path, data)
    assert made.findings("digests") == []
    flip(kept, 100)
    (finding,) = made.findings("digests")
    assert finding.file == str(kept)
    assert finding.expected == kept.parent.name + kept.name
    kept.write_bytes(data)
    receipt = f"{ref.path}.receipt.json"
    (made.root / ref.path).write_bytes(b"other bytes")
    digest = hashlib.sha256(b"other bytes").hexdigest()
    made.edit(receipt, lambda content: content["made"].update({Path(ref.path).name: digest}))
    (finding,) = made.findings("digests")
    assert finding.why.startswith("dvc.lock records other bytes")


def test_hard_links_are_read_once_and_missing_files_are_none(tmp_path):
    (tmp_path / "a").write_bytes(b"a" * 3_000_000)
    os.link(tmp_path / "a", tmp_path / "b")
    digests = Digests(threads=2)
    digests.read({tmp_path / name: ("sha256", "md5") for name in "abc"})
    assert digests.bytes == 3_000_000
    assert digests.of(tmp_path / "b") == hashlib.sha256(b"a" * 3_000_000).hexdigest()
    assert digests.of(tmp_path / "c") is None
    assert json.dumps(digests.of(tmp_path)) == "null"  # a folder is no file
