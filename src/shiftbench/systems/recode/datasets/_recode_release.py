"""The files released with ReCode, in a clone of the user's: problems as JSON lines, one file per perturbation and seed.

    dataset-release/nominal/*.jsonl
    dataset-release/perturbed_finalized/SET/full/FAMILY/SET_NAME_sSEED.jsonl

SET is `humaneval` or `mbpp`, FAMILY one of `FAMILIES`. Each line has task_id, prompt, entry_point, canonical_solution,
test. Source: https://github.com/amazon-science/recode (Apache-2.0).
"""

import json
import re
from functools import cache
from pathlib import Path

from shiftbench.base.errors import DataError, suggest

FAMILIES = {"nlaugmenter": 73, "func_name": 51, "natgen": 25, "format": 15}
"""Family -> files for each set, seeds counted."""
FIELDS = ("task_id", "prompt", "entry_point", "canonical_solution", "test")
_NAME = re.compile(r"(?P<name>.+)_s(?P<seed>\d+)\.jsonl")


def counts(folder: Path, name: str) -> dict[str, int]:
    """Number of files of a set in each family.

    Args:
        folder: `dataset-release/perturbed_finalized`.
        name: `humaneval` or `mbpp`.
    """
    return {family: len(_files(folder, name, family)) for family in FAMILIES}


def _files(folder: Path, name: str, family: str) -> dict[tuple[str, int], Path]:
    files = {}
    for file in sorted((folder / name / "full" / family).glob(f"{name}_*.jsonl")):
        parts = _NAME.fullmatch(file.name.removeprefix(f"{name}_"))
        if parts:
            files[parts["name"], int(parts["seed"])] = file
    return files


def perturbed(folder: Path, name: str, family: str, perturbation: str, seed: int) -> Path:
    """The file of one perturbation and seed.

    Raises:
        DataError: there is none; names what there is.
    """
    files = _files(folder, name, family)
    if (perturbation, seed) not in files:
        names = {known_name for known_name, _ in files}
        seeds = sorted(known_name for one, known_name in files if one == perturbation)
        hint = f"it has seeds {seeds}" if seeds else suggest(perturbation, names)
        raise DataError(f"{folder}/{name}/full/{family} has no {name}_{perturbation}_s{seed}.jsonl ({hint})")
    return files[perturbation, seed]


@cache
def rows(file: Path) -> dict[str, dict[str, str]]:
    """The problems of a file by task_id.

    Raises:
        DataError: it is missing, a line is no JSON or lacks a field, or a problem comes twice; names the line.
    """
    if not file.is_file():
        raise DataError(f"{file} does not exist; give the path of a file of a clone of amazon-science/recode")
    problems: dict[str, dict[str, str]] = {}
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        try:
            row = json.loads(line)
            missing = [field for field in FIELDS if not isinstance(row.get(field), str)]
        except (ValueError, AttributeError) as error:
            raise DataError(f"{file.name}, line {number} is no JSON object: {error}") from None
        if missing:
            raise DataError(f"{file.name}, line {number} has no {missing[0]!r}")
        if row["task_id"] in problems:
            raise DataError(f"{file.name}, line {number}: {row['task_id']!r} comes twice")
        problems[row["task_id"]] = row
    return problems
