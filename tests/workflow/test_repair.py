"""A flipped byte in a shard: found by the next run and by `repair`, named, and made again."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from makers.repositories import Repository

pytestmark = pytest.mark.workflow

TAR = "data/shards/tiny/test/contrast/3/000000.tar"
RECORD = "results/records/tiny/convnet-erm-s0/plain/tiny/test/contrast/3.parquet"


def flip(tar: Path) -> bytes:
    """Flip a bit of a file; returns the bytes that it had."""
    good = tar.read_bytes()
    tar.write_bytes(good[:2000] + bytes([good[2000] ^ 1]) + good[2001:])
    return good


def test_a_flipped_byte_is_named_and_made_again(colleague: Repository) -> None:
    tar, record = colleague.path / TAR, (colleague.path / RECORD).read_bytes()
    good = flip(tar)
    done = colleague.make("logs/jobs/evaluate/tiny/convnet-erm-s0/plain.done")
    manifest = TAR.replace("000000.tar", "manifest.json")
    assert f"made again: {manifest}: bytes changed: 000000.tar" in done.stderr
    assert tar.read_bytes() == good
    assert (colleague.path / RECORD).read_bytes() == record

    flip(tar)
    repaired = colleague.run("shiftbench", "repair", TAR)
    assert f"damaged: {manifest}" in repaired.stdout
    assert re.search(rf"{TAR}.* 'tiny/all/\S+'", repaired.stdout)
    assert tar.read_bytes() == good
    assert "nothing to repair" in colleague.run("shiftbench", "repair", TAR).stdout
