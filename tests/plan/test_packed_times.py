"""What is read of `seconds.json.gz`, which comes with a checkout: at most 16 MiB, whatever it unpacks to."""

import gzip
import json
import random  # noqa: TID251 - of archives, and seeded
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from makers import attacks
from shiftbench.workflow.plan import estimate

WHOLE = estimate.pack({"shift": 1.5, "train": 2})
LARGE = 300 << 20


def bomb(draw: random.Random) -> bytes:
    """Return an archive that unpacks to 300 MiB."""
    pack = zlib.compressobj(1, wbits=31)
    piece = draw.choice((b"\0", b" ", b"[", b"9", b'"', b"[0,", b'{"a":', b"1e9,")) * (1 << 18)
    pieces = [pack.compress(piece) for _ in range(LARGE // len(piece))]
    return draw.choice((b"", WHOLE)) + b"".join([*pieces, pack.flush()])


def members(draw: random.Random) -> bytes:
    """Return many archives, one after the other."""
    return gzip.compress(b" " * draw.choice((0, 1, 1 << 20))) * draw.choice((40, 4_000))


def damaged(draw: random.Random) -> bytes:
    return attacks.damaged(draw, WHOLE)


def other_values(draw: random.Random) -> bytes:
    values = draw.sample(attacks.VALUES, 6)
    return gzip.compress(json.dumps(dict(zip("abcdef", values, strict=True))).encode())


@pytest.mark.parametrize("make", [bomb, members, damaged, other_values])
def test_drawn_archives_are_read_up_to_a_limit(tmp_path: Path, make: Callable[[random.Random], bytes]) -> None:
    file = tmp_path / "published/default" / estimate.SECONDS_FILE
    file.parent.mkdir(parents=True)
    for draw in attacks.draws(1 if make is bomb else 6, make.__name__):
        file.write_bytes(make(draw))
        tracemalloc.start()
        found = estimate.published_seconds(None, tmp_path)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 64 << 20  # 16 MiB, and what JSON makes of them
        assert all(isinstance(time, float) and 0 <= time < 1e12 for time in found.values())


def test_the_whole_archive_is_read(tmp_path: Path) -> None:
    file = tmp_path / "published/default" / estimate.SECONDS_FILE
    file.parent.mkdir(parents=True)
    file.write_bytes(WHOLE)
    assert estimate.published_seconds(None, tmp_path) == {"shift": 1.5, "train": 2.0}
