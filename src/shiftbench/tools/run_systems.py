"""Several scales made side by side, each in one process of its own: nothing is imported twice within it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from shiftbench.plan import scales


@dataclass(frozen=True, slots=True)
class Made:
    """How one scale was made.

    Attributes:
        scale: its name, `systems/palm`.
        status: exit status of its process.
        cpu: seconds of processor time, of all that it started.
        wall: seconds.
        log: what it printed.
    """

    scale: str
    status: int
    cpu: float
    wall: float
    log: Path


def make(names: Sequence[str], cores: int) -> Iterator[Made]:
    """Make systems (`shiftbench make`), at most `cores` at a time; yield them in order.

    Args:
        names: `SLUG` or `SLUG/SCALE`.
        cores: how many at a time; each computes with the threads that its params name, one by default.
    """
    with ThreadPoolExecutor(cores) as pool:
        yield from pool.map(_make, [f"{scales.SYSTEMS}/{name}" for name in names])


def _make(scale: str) -> Made:
    log = Path(scales.root(*scales.split(scale))) / "logs/make.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    with log.open("w") as stream:
        command = [sys.executable, "-m", "shiftbench.cli", "make", "--scale", scale]
        process = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    cpu = used.ru_utime + used.ru_stime
    return Made(scale, process.returncode, cpu, time.monotonic() - begun, log)
