"""A11: a tar holds what the index says and nothing else, and the store nothing that nobody planned."""

import os

import pytest
import yaml

from makers import forgeries
from shiftbench.data import sample_bytes
from shiftbench.data.sample_bytes import BLOCK
from shiftbench.data.shards import END


def head(data: bytes, at: int, change: slice, value: bytes) -> bytes:
    """Change a header, and its checksum with it."""
    block = bytearray(data[at : at + BLOCK])
    block[change] = value
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return data[:at] + bytes(block) + data[at + BLOCK :]


MEMBER = sample_bytes.header(b"tiny/all/9999.png", 4) + b"abcd" + bytes(BLOCK - 4)
TARS = {
    "a member more": (lambda data: data[: -len(END)] + MEMBER + END, "instead of two empty blocks"),
    "bytes behind the end": (lambda data: data + b"hidden", "bytes follow its end"),
    "no end": (lambda data: data[: -len(END)], "instead of two empty blocks"),
    "a time": (lambda data: head(data, 0, slice(136, 148), b"00000000001\0"), "not the canonical one"),
    "an owner": (lambda data: head(data, 0, slice(108, 116), b"0001750\0"), "not the canonical one"),
    "a mode": (lambda data: head(data, 0, slice(100, 108), b"0000755\0"), "not the canonical one"),
    "a checksum": (lambda data: data[:148] + b"000000\0 " + data[156:], "not the canonical one"),
    "no tar": (lambda data: data[:0], "the tar is empty"),
}


def test_a_clean_benchmark_is_exact(made):
    assert made.result("archives").verdict == "exact"


def test_a_tar_in_another_form_fails_though_all_digests_match(made):
    plan, ref = made.plan(), made.one("shards", "test/contrast/3")
    good = (made.root / ref.path).with_name("000000.tar").read_bytes()
    for fault, (change, why) in TARS.items():
        forgeries.tar(made.root, ref, lambda _: change(good))  # noqa: B023
        assert [one for one in made.findings("digests", plan=plan) if ref.name in one.file] == [], fault
        (finding,) = made.findings("archives", plan=plan)
        assert (finding.verdict, finding.file[-24:]) == ("failed", "test/contrast/3/000000.tar"[-24:])
        assert why in finding.why, fault


def test_samples_out_of_order_fail(made):
    ref = made.one("shards", "test/contrast/3")
    forgeries.index(made.root, ref, lambda frame: frame.reverse())
    assert "the index is not in the order of keys and tars" in [one.why for one in made.findings("archives")]


STRAYS = {
    ".cache.npy": "a hidden file",
    "cache.npy": "no planned output has this file",
    ".000000.tar.12.part": "a part of a killed run",
}


def test_a_file_that_nobody_planned_fails(made):
    plan = made.plan()
    for kind in ("shards", "checkpoints", "records", "scores", "tables", "report"):
        for name, why in STRAYS.items():
            file = (made.root / made.one(kind).path).with_name(name)
            file.write_bytes(b"x")
            (finding,) = made.findings("archives", plan=plan)
            assert finding.file == str(file.relative_to(made.root))
            assert why in finding.why
            file.unlink()


def test_a_file_that_a_receipt_was_made_to_name_fails(made):
    ref = made.one("records")
    (made.root / ref.path).with_name("cache.npy").write_bytes(b"x")
    forgeries.update(made.root, ref, "cache.npy")
    (finding,) = made.findings("archives")
    assert finding.file == f"{ref.path}.receipt.json"


def test_a_symbolic_link_must_be_one_that_dvc_made(made, tmp_path):
    """It leads to the object that dvc.lock records of its own path, where DVC is told to link at all."""
    path = made.one("records").path
    oid = "ab" + 15 * "cd"
    file, kept = made.root / path, made.root / ".dvc/cache/files/md5/ab" / oid[2:]
    kept.parent.mkdir(parents=True)
    file.rename(kept)
    file.symlink_to(kept)
    lock, config = made.root / "dvc.lock", made.root / ".dvc/config"
    outs = {"schema": "2.0", "stages": {"run": {"outs": [{"path": path, "md5": oid}]}}}
    lock.write_text(yaml.safe_dump(outs))
    (finding,) = made.findings("archives")
    assert "which DVC did not make" in finding.why
    config.write_text("[cache]\n    type = symlink\n")
    assert made.findings("archives") == []
    lock.write_text(lock.read_text().replace(oid, oid[::-1]))
    (finding,) = made.findings("archives")
    assert (finding.verdict, finding.file) == ("failed", path)


def test_what_is_no_file_fails(made):
    file = made.root / made.one("records").path
    file.unlink()
    os.mkfifo(file)
    (finding,) = made.findings("archives")
    assert "a pipe, a socket or a device" in finding.why


def test_pages_of_the_audit_are_its_own(made):
    for name in ("audit.html", "audit.json", "audit.svg"):
        (made.root / "results/report" / name).touch()
    assert made.findings("archives") == []


@pytest.mark.parametrize("place", ["results", "results/records", "checkpoints"])
def test_a_folder_of_outputs_that_is_a_link_is_named(made, place):
    elsewhere = made.root.with_name("elsewhere")
    (made.root / place).rename(elsewhere)
    (made.root / place).symlink_to(elsewhere)
    found = {one.file: one for one in made.findings("archives")}
    assert found[place].verdict == "failed"
    assert "symbolic link" in found[place].why
