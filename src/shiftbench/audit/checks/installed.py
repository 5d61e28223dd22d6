"""The libraries that decide results are unchanged: each file has the hash of its wheel's RECORD.

Pass rule: covers NumPy, Pillow, OpenCV, SciPy, numba, Arrow, Polars, torch and the others in `PACKAGES`, if they are
installed where the audit computes. Each file that has a hash in the RECORD of its wheel has this sha256. A finding
names an edited file. `import` takes a file of that wheel.

Limits: the audit trusts an installation from a wheel with an edited RECORD; `pip install --require-hashes -r
requirements.lock` does not. Interpreter, C library and kernel are the machine's. `rebuild` and `reevaluation` compare
the digests of wheels between the run files and here, if bytes differ.
"""

from collections.abc import Iterator
from pathlib import Path

from shiftbench.audit.case import Case
from shiftbench.audit.finding import Finding, Note
from shiftbench.provenance import environment, installed

NUMBER, LEVEL = "A31", 1
PACKAGES = (
    *(name for name in environment.PACKAGES if name not in ("shiftbench", "snakemake", "dvc")),
    *("polars-runtime-32", "llvmlite", "threadpoolctl", "joblib"),
)


def check(case: Case) -> Iterator[Finding | Note]:
    """Read every file of the packages."""
    stated = {file: (name, digest) for name in PACKAGES for file, digest in _files(name)}
    case.digests.read(dict.fromkeys(stated, ("sha256",)))
    for file, (name, digest) in stated.items():
        actual = case.digests.of(file)
        if actual != digest:
            why = f"this file of {name} differs from its wheel; `pip install --force-reinstall {name}`"
            yield case.failed(str(file), why, expected=digest, found=str(actual or "no such file"))
    for name in PACKAGES:
        for module, place in installed.imported_from_elsewhere(name):
            why = f"`import {module}` takes this file, which {name} did not install; remove it from the path"
            yield case.failed(place, why, expected=f"a file of {name}", found=place)
    names = {name for name, _ in stated.values()}
    yield Note(f"{len(stated)} files of {len(names)} packages have the hashes of their wheels")


def _files(name: str) -> list[tuple[Path, str]]:
    return list(installed.files(name)) if installed.records([name]) else []
