"""A flipped byte in a shard: refused by name, then made again on request."""

from __future__ import annotations

import re

import pytest

from makers.repositories import Repository

pytestmark = pytest.mark.workflow

TAR = "data/shards/tiny/test/contrast/3/000000.tar"
RECORD = "results/records/tiny/convnet-erm-s0/plain/tiny/test/contrast/3.parquet"


def test_a_flipped_byte_is_refused_by_name_then_repaired(colleague: Repository) -> None:
    tar = colleague.path / TAR
    good, record = tar.read_bytes(), (colleague.path / f"{RECORD}.receipt.json").read_bytes()
    tar.write_bytes(good[:2000] + bytes([good[2000] ^ 1]) + good[2001:])

    colleague.edit("params.yaml", "bootstrap:", "evaluate: {batch_size: 16}\nbootstrap:")
    refused = colleague.run("snakemake", "--cores", "2", RECORD, check=False)
    assert refused.returncode == 1
    said = refused.stdout + refused.stderr
    assert f"{TAR}: sample 'tiny/all/" in "".join(said.split("\n"))
    assert "is damaged" in said
    assert (colleague.path / f"{RECORD}.receipt.json").read_bytes() == record

    repaired = colleague.run("shiftbench", "repair", TAR)
    assert "damaged: data/shards/tiny/test/contrast/3/manifest.json" in repaired.stdout
    assert re.search(rf"{TAR}.* 'tiny/all/\S+'", repaired.stdout)
    assert tar.read_bytes() == good
    assert "nothing to repair" in colleague.run("shiftbench", "repair", TAR).stdout
