"""Speed of the audit: all bytes against `sha256sum` on all cores, and levels 0 and 1 as a whole.

    python benchmarks/audit.py [--config SCALE]   # in a checkout whose benchmark was run

Both read the same files (page cache warm, after one round that does not count), in turn, best of five: ours is what
`digests` does, theirs `xargs -P` with one `sha256sum` per core. The levels run in processes of their own: the seconds
include reading receipts, not the imports. Prints one JSON object. Goals: at least 0.8 of `sha256sum`; level 0 of the
default benchmark under 5 s.
"""

import argparse
import json
import multiprocessing
import os
import platform
import resource
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from shiftbench.audit import run
from shiftbench.audit.case import Case
from shiftbench.audit.checks.contents import _manifests, _receipts, _source_files
from shiftbench.audit.evidence.file_digests import Digests
from shiftbench.workflow.plan import plan as plans

ROUNDS = 5


def files(scale: str | None) -> list[Path]:
    """Return every file whose sha256 is stated, once."""
    planned, root = plans.load(scale)
    case = Case(planned, root, 1, 16, "benchmark", "2099-01-01", Path("/nonexistent"))
    stated = [*_receipts(case), *_manifests(case), *_source_files(case)]
    return sorted({one.file.resolve() for one in stated if one.file.is_file()})


def ours(names: list[Path]) -> None:
    Digests().read(dict.fromkeys(names, ("sha256",)))


def theirs(names: list[Path]) -> None:
    cores = str(len(os.sched_getaffinity(0)))
    listed = b"\0".join(os.fsencode(name) for name in names)
    command = ["xargs", "-0", "-P", cores, "-n", "128", "sha256sum"]
    subprocess.run(command, input=listed, stdout=subprocess.DEVNULL, check=True)


def seconds(work: Callable[[list[Path]], None], names: list[Path]) -> float:
    started = time.perf_counter()
    work(names)
    return time.perf_counter() - started


def level(number: int, scale: str | None) -> dict[str, Any]:
    """Audit at one level in a fresh process; its seconds and peak memory."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_level, (number, scale))


def _level(number: int, scale: str | None) -> dict[str, Any]:
    started = time.perf_counter()
    planned, root = plans.load(scale)
    planning = time.perf_counter() - started
    done = run.run(planned, root, run.AuditRequest(number))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    slowest = sorted(done.results, key=lambda result: -result.seconds)[:6]
    return {
        "verdict": done.verdict,
        "planning": round(planning, 2),
        "seconds": done.about["seconds"],
        "peak_gb": round(peak, 2),
        "slowest": {result.name: result.seconds for result in slowest},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config")
    scale = parser.parse_args().scale
    names = files(scale)
    size = sum(name.stat().st_size for name in names)
    rounds = [(seconds(theirs, names), seconds(ours, names)) for _ in range(ROUNDS + 1)][1:]
    peer, own = (min(column) for column in zip(*rounds, strict=True))
    found = {
        "machine": f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f}",
        "files": len(names),
        "bytes": size,
        "sha256sum_mb_s": round(size / peer / 1e6),
        "ours_mb_s": round(size / own / 1e6),
        "ratio": round(peer / own, 2),
        "level 0": level(0, scale),
        "level 1": level(1, scale),
    }
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
