"""Checks of machines: the environment that each result states, and the files of the installed libraries."""

import datetime
import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterator
from typing import Any

from shiftbench.audit.case import Case, Flaw
from shiftbench.audit.check import check
from shiftbench.audit.finding import Finding, Note
from shiftbench.base.refs import Ref
from shiftbench.provenance import environment as machine
from shiftbench.provenance import installed as wheels
from shiftbench.release import bill_of_materials

_RUN = ("environment", "commit", "dirty", "finished", "seconds", "determinism")
_OF_RECORDS = ("device", "batch_size", "sensitivity")
_ENVIRONMENT = "python system os cpu cpu_features cores lock packages blas codecs".split()
_GPU = ("gpu", "cuda", "cudnn", "driver")
_NEEDS = {
    "AVX2": ("avx2", "fma"),
    "AVX512": ("avx512f", "avx512bw", "avx512vl"),
    "Haswell": ("avx2", "fma"),
    "SkylakeX": ("avx512f",),
}
"""Kernels that torch and BLAS name in a run file -> the CPU features without which they do not run."""
_SHOWN = 4
Run = dict[str, Any]


@check("A6", level=0)
def environment(case: Case) -> Iterator[Finding | Note]:
    """Each result states its environment, and its libraries have the versions of the lock.

    Pass rule: each run file has the environment (Python, system, CPU and its features, cores, BLAS, codecs, packages,
    the lock's digest), the commit, changed files, the time of its end, seconds and determinism. Run files of records
    and features also have device, batch size and sensitivity. Run files of a GPU also have the GPU, its driver, CUDA
    and cuDNN. The stated CPU features can run the kernels that torch and BLAS chose. Every package of the lock had the
    locked version.

    Limits: torch and torchvision are ranges in pyproject.toml and are not compared. Two facts are notes: another lock
    with the same versions, and results of several environments. `rebuild` and `reevaluation` tell whether these change
    bytes.
    """
    locked = dict(bill_of_materials.pins(machine.LOCK).keys())
    runs = {ref: run for ref in case.complete if (run := case.run_file(ref))}  # `chain` tells of others
    wrong = [one for ref, run in runs.items() for one in (*_complete(ref, run), *_versions(ref, run, locked))]
    yield from case.grouped(wrong)
    yield Note(f"{len(runs)} run files; {len(locked)} packages are locked")
    yield from _locks(runs.values())
    yield from _points(runs.values())
    yield from _startup(runs.values())


def _environment_of(run: Run) -> Run:
    """Environment of a run file; empty where there is none."""
    stated = run.get("environment")
    return stated if isinstance(stated, dict) else {}


def _complete(ref: Ref, run: Run) -> Iterator[Flaw]:
    missing = [key for key in _RUN if key not in run]
    missing += [f"environment.{key}" for key in _ENVIRONMENT if key not in _environment_of(run)]
    if ref.kind in ("records", "features"):
        missing += [key for key in _OF_RECORDS if key not in run]
    if str(run.get("device", "")).startswith("cuda"):
        missing += [f"environment.{key}" for key in _GPU if key not in _environment_of(run)]
    file = f"{ref.path}.run.json"
    if missing:
        why = f"the run file does not state {', '.join(missing[:_SHOWN])}; run again, or restore it"
        yield ref, why, {"file": file, "found": f"{len(missing)} facts are missing"}
    elif not _is_date(run["finished"]):
        why = "the run file does not state when the output was finished; run again, or restore it"
        yield ref, why, {"file": file, "expected": "an ISO date", "found": str(run["finished"])}
    for kernels, lacking in _impossible(_environment_of(run)):
        why = "the run file contradicts itself: its kernels need CPU features that it does not name; restore it"
        yield ref, why, {"file": file, "expected": lacking, "found": kernels}


def _impossible(stated: Run) -> Iterator[tuple[str, str]]:
    """Yield kernels that the stated CPU features cannot run, with the features that are missing."""
    named = stated.get("cpu_features")
    if "NPY_DISABLE_CPU_FEATURES" in (stated.get("variables") or {}):
        return  # NumPy was told to name fewer
    features = set(named) if isinstance(named, list) else set()
    chosen = f"{stated.get('torch_cpu')}, {stated.get('blas_core')}".split(", ")
    for kernels, needed in _NEEDS.items():
        lacking = [name for name in needed if name not in features]
        if kernels in chosen and lacking:
            yield kernels, ", ".join(lacking)


def _is_date(text: object) -> bool:
    try:
        return bool(datetime.datetime.fromisoformat(str(text)))
    except ValueError:
        return False


def _versions(ref: Ref, run: Run, locked: dict[str, str]) -> Iterator[Flaw]:
    for name, version in (_environment_of(run).get("packages") or {}).items():
        locked_version = locked.get(bill_of_materials.normal_name(name))
        if locked_version not in (None, version):
            why = f"a library differs from the lock: {name} {version} made it, the lock says {locked_version}"
            details = {"expected": f"{name} {locked_version}", "found": f"{name} {version}"}
            yield ref, why, {"file": f"{ref.path}.run.json", **details}


def _locks(runs: Collection[Run]) -> Iterator[Note]:
    if not machine.LOCK.is_file():
        yield Note(f"there is no {machine.LOCK} here, so versions were not compared")
        return
    here = hashlib.sha256(machine.LOCK.read_bytes()).hexdigest()
    others = sum(_environment_of(run).get("lock") not in (None, here) for run in runs)
    if others:
        yield Note(f"{others} outputs were made under another lock than the one here")


def _startup(runs: Collection[Run]) -> Iterator[Note]:
    """Note what Python loaded before the program, or that a run file does not state it."""
    startups = [facts["startup"] for run in runs if "startup" in (facts := _environment_of(run))]
    unknown = len(runs) - len(startups)
    if unknown:
        yield Note(
            f"of {unknown} outputs it is unknown whether PYTHONPATH, LD_PRELOAD or a sitecustomize was set", limits=True
        )
    names = Counter(name for one in startups if isinstance(one, dict) for name in one if name != "pth")
    if names:
        summary = ", ".join(f"{name} ({count} outputs)" for name, count in sorted(names.items()))
        yield Note(f"made with more than the installed packages on Python's path or preloaded: {summary}", limits=True)


def _points(runs: Collection[Run]) -> Iterator[Note]:
    """Note the environments of results, if there are several; the number of cores may differ."""
    kept = [key for key in _ENVIRONMENT if key not in ("cores", "lock")]
    places = Counter(json.dumps([_environment_of(run).get(key) for key in kept], sort_keys=True) for run in runs)
    values = [json.loads(text) for text in places]
    columns = zip(kept, zip(*values, strict=True), strict=False)
    differ = [key for key, column in columns if column.count(column[0]) < len(column)]
    if len(places) > 1:
        counts = ", ".join(str(number) for number in places.values())
        yield Note(f"{len(places)} environments made {counts} outputs; they differ in {', '.join(differ)}")
    gpus = sorted({str(_environment_of(run)["gpu"]) for run in runs if "gpu" in _environment_of(run)})
    if gpus:
        yield Note(f"computed on {', '.join(gpus)}")


PACKAGES = (
    *(name for name in machine.PACKAGES if name not in ("shiftbench", "snakemake", "dvc")),
    *("polars-runtime-32", "llvmlite", "threadpoolctl", "joblib"),
)


@check("A31", level=1)
def installed(case: Case) -> Iterator[Finding | Note]:
    """The libraries that decide results are unchanged: each file has the hash of its wheel's RECORD.

    Pass rule: covers NumPy, Pillow, OpenCV, SciPy, numba, Arrow, Polars, torch and the others in `PACKAGES`, if they
    are installed where the audit computes. Each file that has a hash in the RECORD of its wheel has this sha256. A
    finding names an edited file. `import` takes a file of that wheel.

    Limits: the audit trusts an installation from a wheel with an edited RECORD; `pip install --require-hashes -r
    requirements.lock` does not. Interpreter, C library and kernel are the machine's. `rebuild` and `reevaluation`
    compare the digests of wheels between the run files and here, if bytes differ.
    """
    here = [name for name in PACKAGES if wheels.records([name])]
    stated = {file: (name, digest) for name in here for file, digest in wheels.files(name)}
    case.digests.read(dict.fromkeys(stated, ("sha256",)))
    for file, (name, digest) in stated.items():
        actual = case.digests.of(file)
        if actual != digest:
            why = f"this file of {name} differs from its wheel; `pip install --force-reinstall {name}`"
            yield case.failed(str(file), why, expected=digest, found=str(actual or "no such file"))
    for name in PACKAGES:
        for module, place in wheels.imported_from_elsewhere(name):
            why = f"`import {module}` takes this file, which {name} did not install; remove it from the path"
            yield case.failed(place, why, expected=f"a file of {name}", found=place)
    names = {name for name, _ in stated.values()}
    yield Note(f"{len(stated)} files of {len(names)} packages have the hashes of their wheels")
