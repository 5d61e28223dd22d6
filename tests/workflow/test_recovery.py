"""Every state recovers: outputs are damaged in drawn ways, and one run makes them right, or says what bars it.

RECOVERY_STATES=200 RECOVERY_SEED=7 pytest tests/workflow/test_recovery.py -rP    # another 200 states
"""

import os
import random  # noqa: TID251 - of damages, and seeded
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from makers.damages import Benchmark
from makers.repositories import Repository

pytestmark = pytest.mark.workflow


RECORD = "results/records/tiny/convnet-erm-s0/plain/tiny/test/contrast/3.parquet"
NET = "checkpoints/tiny/convnet-erm-s0.safetensors"


@pytest.fixture
def benchmark(author: Repository, tmp_path: Path) -> Benchmark:
    """A copy of the author's checkout, with everything that was made there."""
    return Benchmark(author.path, tmp_path / "repository")


def every_97th_number(data: bytes) -> bytes:
    start = 8 + int.from_bytes(data[:8], "little")
    numbers = bytearray(data)
    numbers[start + 3 :: 4 * 97] = b"\0" * len(numbers[start + 3 :: 4 * 97])
    return bytes(numbers)


def no_header(data: bytes) -> bytes:
    return b"\xff" * 8 + data[8:]


@pytest.mark.parametrize("damage", [every_97th_number, no_header])
def test_no_record_is_made_from_a_damaged_checkpoint(benchmark: Benchmark, damage: Callable[[bytes], bytes]) -> None:
    """Its receipt would state the digest of bytes that nothing read."""
    net, record = benchmark.home / NET, benchmark.home / RECORD
    net.write_bytes(damage(net.read_bytes()))
    record.unlink()
    done = benchmark.repository.make("--keep-going", "--", "records")
    assert f"to repair: {NET}: bytes changed: {net.name}" in done.stderr
    assert list(benchmark.wrong()) == []
    assert record.exists()
    assert benchmark.repository.planned() == set()


@pytest.mark.timeout(0)
def test_every_state_recovers(benchmark: Benchmark) -> None:
    """Whatever was done to outputs: success with right bytes, or one clear error; never a traceback."""
    seed, count = (os.environ.get(f"RECOVERY_{name}", default) for name, default in (("SEED", "0"), ("STATES", "3")))
    figures, wrong = Counter[str](), []
    for number in range(int(count)):
        outcome = benchmark.after(random.Random(f"{seed} {number}"))
        figures[outcome.kind] += 1
        print(number, outcome.kind, len(outcome.done), outcome.why, flush=True)
        if outcome.kind == "wrong":
            wrong.append(f"state {number} of seed {seed}: {outcome.why}\n  " + "\n  ".join(outcome.done))
    print(dict(figures))
    assert not wrong, "\n".join(wrong)
