"""A flipped byte in a shard: found by the next run and by `repair`, named, and repaired."""

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


def test_a_flipped_byte_is_named_and_repaired(colleague: Repository) -> None:
    tar, record = colleague.path / TAR, (colleague.path / RECORD).read_bytes()
    good = flip(tar)
    done = colleague.make("logs/jobs/evaluate/tiny/convnet-erm-s0/plain.done")
    manifest = TAR.replace("000000.tar", "manifest.json")
    assert f"to repair: {manifest}: bytes changed: 000000.tar" in done.stderr
    assert tar.read_bytes() == good
    assert (colleague.path / RECORD).read_bytes() == record
    log = colleague.path / "logs/shift/tiny/test/contrast.log"
    assert log.read_text() == "000000.tar: from DVC's cache\nshift contrast: 0 made\n"

    for kept in (colleague.path / ".dvc/cache/files").rglob("*"):
        if kept.is_file() and kept.read_bytes() == good:
            kept.chmod(0o644)
            flip(kept)
    flip(tar)
    colleague.make("shards")
    assert log.read_text() == "shift contrast: 1 made\n", "the cache is damaged, too"
    assert tar.read_bytes() == good

    flip(tar)
    repaired = colleague.run("shiftbench", "repair", TAR)
    assert f"damaged: {manifest}" in repaired.stdout
    assert re.search(rf"{TAR}.* 'tiny/all/\S+'", repaired.stdout)
    assert tar.read_bytes() == good
    assert "nothing to repair" in colleague.run("shiftbench", "repair", TAR).stdout
