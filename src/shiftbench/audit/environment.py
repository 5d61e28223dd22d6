"""Each result tells in which environment it was made, and its libraries are those of the lock.

Pass rule: each run file holds the environment (Python, system, CPU and its features, cores, BLAS, codecs, packages,
the lock's digest), commit, dirty files, when it was finished, seconds and determinism; those of records and features
also device, batch size and sensitivity. Every package that the lock names had the locked version. torch and
torchvision are ranges in pyproject.toml and are not compared. Another lock with the same versions, and results of
several environments, are noted: `rebuild` and `reevaluation` tell whether that changes bytes.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shiftbench import environment
from shiftbench.audit._case import Case
from shiftbench.audit._finding import Finding, Note
from shiftbench.refs import Ref

NUMBER, LEVEL = "A6", 0
_RUN = ("environment", "commit", "dirty", "finished", "seconds", "determinism")
_OF_RECORDS = ("device", "batch_size", "sensitivity")
_ENVIRONMENT = "python system os cpu cpu_features cores lock packages blas codecs".split()
_GPU = ("gpu", "cuda", "cudnn", "driver")
_SHOWN = 4


def check(case: Case) -> Iterator[Finding | Note]:
    """Look at each run file: is it complete, and are its packages those of the lock?"""
    locked = versions(environment.LOCK)
    digest = hashlib.sha256(environment.LOCK.read_bytes()).hexdigest() if locked else None
    places: Counter[str] = Counter()
    other_locks = 0
    for ref in case.whole:
        run = case.run_file(ref)
        if run is None:
            continue  # `chain` tells
        yield from _complete(case, ref, run)
        around = run.get("environment") or {}
        yield from _versions(case, ref, around.get("packages") or {}, locked)
        other_locks += digest is not None and around.get("lock") not in (None, digest)
        places[_spelled(around)] += 1
    yield Note(f"{sum(places.values())} run files; {len(locked)} packages are locked")
    yield from _notes(places, other_locks, is_locked=bool(locked))


def versions(lock: Path) -> dict[str, str]:
    """Return the locked version of each package by its normalised name; empty without a lock."""
    if not lock.is_file():
        return {}
    pins = re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", lock.read_text(), re.MULTILINE)
    return {_normal(name): version for name, version in pins}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _complete(case: Case, ref: Ref, run: dict[str, Any]) -> Iterator[Finding]:
    lacking = [key for key in _RUN if key not in run]
    lacking += [
        f"environment.{key}" for key in _ENVIRONMENT if key not in (run.get("environment") or {})
    ]
    if ref.kind in ("records", "features"):
        lacking += [key for key in _OF_RECORDS if key not in run]
        if str(run.get("device", "")).startswith("cuda"):
            lacking += [f"environment.{key}" for key in _GPU if key not in run["environment"]]
    file = f"{ref.path}.run.json"
    if lacking:
        why = f"the run file does not tell {', '.join(lacking[:_SHOWN])}; run again, or restore it"
        yield case.failed(ref, why, file=file, found=f"{len(lacking)} facts are missing")
    elif not _is_date(run["finished"]):
        why = "the run file does not tell when it was finished"
        yield case.failed(ref, why, file=file, expected="an ISO date", found=str(run["finished"]))


def _is_date(text: object) -> bool:
    try:
        return bool(datetime.datetime.fromisoformat(str(text)))
    except ValueError:
        return False


def _versions(
    case: Case, ref: Ref, packages: dict[str, str], locked: dict[str, str]
) -> Iterator[Finding]:
    for name, version in packages.items():
        wanted = locked.get(_normal(name))
        if wanted not in (None, version):
            why = (
                f"a library differs from the lock: {name} {version} made it, the lock says {wanted}"
            )
            yield case.failed(
                ref, why, file=f"{ref.path}.run.json", expected=f"{name} {wanted}", found=version
            )


def _spelled(around: dict[str, Any]) -> str:
    """Return an environment without what differs between two runs of one machine."""
    kept = {key: around.get(key) for key in (*_ENVIRONMENT, *_GPU) if key != "cores"}
    return json.dumps(kept, sort_keys=True)


def _notes(places: Counter[str], other_locks: int, *, is_locked: bool) -> Iterator[Note]:
    if not is_locked:
        yield Note(f"there is no {environment.LOCK} here, so versions were compared with nothing")
    if other_locks:
        yield Note(
            f"{other_locks} outputs were made under another lock, with the same versions of what touches bytes"
        )
    different = [json.loads(text) for text in places]
    if len(different) > 1:
        keys = sorted(
            {key for one in different for key in one if one[key] != different[0][key]} - set(_GPU)
        )
        counts = ", ".join(str(number) for number in places.values())
        yield Note(
            f"{len(places)} environments made {counts} outputs; they differ in {', '.join(keys) or 'the GPU'}"
        )
