"""What the official code of PoseExaminer writes, read: searches of each model, and its tests on 3DPW and on failures.

    analyses:
      released_searches: {path: /data/poseexaminer, models: [pare]}

Below the folder, for each of `models`,

- `MODEL/exps/Proc_N_training/training_loss.txt` and `MODEL/exps/Proc_N_evaluation/evaluation_error.txt`, N from 1
  (train_advTesting.py and test_advTesting.py): searcher N - 1 of weights `MODEL-examiner`, under the metrics of
  `region_summary`, in mm and radians;
- `MODEL/random_poses/Proc_N_evaluation/evaluation_error.txt`, the same of poses of the prior: `prior_error`;

and `evaluation_results.txt` (tools/test.py): MPJPE, PA-MPJPE and PVE of checkpoints, whose file's name `checkpoints`
translates to weights with a seed, as `mpjpe_mm`, `pa_mpjpe_mm` and `pve_mm` on what the `--name` of the test ends
with (`TESTS`).

Numbers are found by their names, not by their places in a line. A searcher succeeds when its region is larger than
`size`; only those that do enter the group `successful` and `region_error_of`, the mean of a model over them.

Source: Liu, Kortylewski and Yuille 2023, PoseExaminer, arXiv:2303.07337, and its code (qihao067/PoseExaminer,
`tools/`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from shiftbench.contracts import Measurement, Observation
from shiftbench.errors import DataError
from shiftbench.refs import Ref

PARAMS: dict[str, object] = {
    "path": "",
    "models": ["pare", "spin", "hmr"],
    "checkpoints": {
        "hrnet_w32_conv_pare": "pare-pretrained-s0",
        "exp_best_pare": "pare-failures-s0",
    },
    "size": 0.6,
}
DATASET = "smpl_bodies"
TESTS = {"3dpw": "threedpw", "failures": "failures"}
MEASURES = {"MPJPE": "mpjpe_mm", "PA-MPJPE": "pa_mpjpe_mm", "PVE": "pve_mm"}
REAL, EASY = "OUTPUT_MPJPE(real error", "Per_C(percent of samples < 90)"
Numbers = dict[str, float]


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """Return nothing: the folder is the user's, and pinned by its sha256."""
    return []


def measure(job: Measurement) -> Iterator[Observation]:
    """Yield what the files say.

    Raises:
        DataError: a file is missing, or a line is not as the official code writes it.
    """
    folder, params = Path(job.params["path"]), job.params
    for model in params["models"]:
        yield from _model(folder / model, model, params["size"])
    yield from _tests(folder / "evaluation_results.txt", params["checkpoints"])


def _model(folder: Path, model: str, size: float) -> Iterator[Observation]:
    exps = folder / "exps"
    numbers = sorted(
        int(found.parent.name.split("_")[1])
        for found in exps.glob("Proc_*_evaluation/evaluation_error.txt")
    )
    if not numbers:
        raise DataError(
            f"{exps} has no Proc_N_evaluation/evaluation_error.txt; run tools/test_advTesting.py of PoseExaminer"
        )
    for number in numbers:
        name = f"{DATASET}/{model}-examiner-s{number - 1}"
        found = last(exps / f"Proc_{number}_evaluation/evaluation_error.txt")
        prior = last(folder / f"random_poses/Proc_{number}_evaluation/evaluation_error.txt")
        first = first_phase(exps / f"Proc_{number}_training/training_loss.txt")
        success = found["NormGap"] > size
        values = {
            "region_error": found[f"{REAL} mean)"],
            "prior_error": prior[f"{REAL} mean)"],
            "centre_error": first[f"{REAL})"],
            "region_size": found["NormGap"],
            "success": float(success),
        }
        for metric, value in values.items():
            yield Observation(metric, "searcher", value, name, DATASET)
        if success:
            yield from _successful(found, name)
            own = f"{DATASET}/{model}-pretrained-s0"
            mean = found[f"{REAL} mean)"]
            yield Observation("region_error_of", f"{number:03d}", mean, own, DATASET)


def _successful(found: Numbers, name: str) -> Iterator[Observation]:
    values = {
        **{f"error_{one}": found[f"{REAL} {one})"] for one in ("min", "max", "median")},
        "region_error": found[f"{REAL} mean)"],
        "region_size": found["NormGap"],
        "easy_share": found[EASY],
    }
    for metric, value in values.items():
        yield Observation(metric, "searcher", value, name, DATASET, group="successful")


def numbers_of(line: str) -> Numbers:
    """Return the numbers of a line as the official code writes it, ` ### NAME [NUMBER] / NAME [NUMBER]`, by name."""
    found = re.findall(r"(?:###|/) *([^\[\]/]+?) *\[ *([^\[\]]+?) *\]", line)
    numbers = {}
    for name, value in found:
        try:
            numbers[name] = float(value)
        except ValueError:
            raise DataError(f"{name} is {value!r}, no number, in the line {line[:80]!r}") from None
    return numbers


def _lines(file: Path) -> list[Numbers]:
    if not file.is_file():
        raise DataError(f"{file} does not exist; the official code of PoseExaminer writes it")
    return [numbers_of(line) for line in file.read_text().splitlines() if "###" in line]


def last(file: Path) -> Numbers:
    """Return what the last line of an evaluation says.

    Raises:
        DataError: there is none, or a number is missing.
    """
    lines = _lines(file)
    wanted = {"NormGap", EASY, *(f"{REAL} {one})" for one in ("mean", "min", "max", "median"))}
    if not lines or wanted - set(lines[-1]):
        lacking = ", ".join(sorted(wanted - set(lines[-1] if lines else ())))
        raise DataError(f"{file}: the last line says nothing of {lacking}")
    return lines[-1]


def first_phase(file: Path) -> Numbers:
    """Return what the last line of the first phase says: only those of the second tell of the inverse of VPoser.

    Raises:
        DataError: there is no such line.
    """
    lines = [one for one in _lines(file) if not any(name.startswith("InvVposer") for name in one)]
    if not lines or f"{REAL})" not in lines[-1]:
        raise DataError(f"{file} has no line of the first phase with {REAL})")
    return lines[-1]


def _tests(file: Path, checkpoints: Mapping[str, str]) -> Iterator[Observation]:
    if not file.is_file():
        raise DataError(f"{file} does not exist; tools/test.py of PoseExaminer writes it")
    weights = dataset = ""
    for number, line in enumerate(file.read_text().splitlines(), 1):
        where = f"{file}, line {number}"
        tested = re.match(r"#+ Now testing checkpoints : \[ *(\S+) *\]", line)
        named = re.match(r"-+ \[ *(\S+) *\] -+", line)
        value = re.match(r"(\S+) : ([0-9.]+)\s*$", line)
        if tested:
            weights = _known(Path(tested[1]).stem, checkpoints, "checkpoints", where)
        elif named:
            dataset = _known(named[1].rpartition("-")[2], TESTS, "tests", where)
        elif value and value[1] in MEASURES:
            if not (weights and dataset):
                raise DataError(f"{where}: a result before the checkpoint and the test are named")
            own = f"{DATASET}/{weights}"
            yield Observation(MEASURES[value[1]], "all", float(value[2]), own, dataset)


def _known(name: str, known: Mapping[str, str], what: str, where: str) -> str:
    if name not in known:
        raise DataError(
            f"{where}: {name!r} is none of the {what} that are known: {', '.join(known)}"
        )
    return known[name]
