"""Results of the official code of PoseExaminer: searches of a model, and its tests on 3DPW and on failures.

    analyses:
      released_searches: {path: /data/poseexaminer, runs: [run_0, run_1, run_2]}

- `searches` has the folder of each model's searches: train.sh moves those on the original PARE to
  `ADV_TRAINING_PARE/exps_loop_1`. Its `Proc_N_training/training_loss.txt` and `Proc_N_evaluation/evaluation_error.txt`
  (train_advTesting.py, test_advTesting.py) are a searcher of weights `MODEL-examiner`, under the metrics of
  `region_summary`, in mm and radians. Searchers of all runs are numbered on.
- `random_poses` has for some models a folder with the same evaluations of poses of the prior: `prior_error`. Nothing in
  the release writes these.
- `evaluation_results.txt` (tools/test.py) has MPJPE, PA-MPJPE and PVE of checkpoints, as `mpjpe_mm`, `pa_mpjpe_mm` and
  `pve_mm` on what the `--name` of the test ends with (`TESTS`). The checkpoint after round N of search and training,
  `adv_loop_N.pth`, is `pare-failures_N`. The original PARE
  (`pare-pretrained`) is no training: what one run says of it stands for all runs. Of two tests of one checkpoint the
  later one counts.

Numbers are found by their names, not by their places in a line. A searcher succeeds when its region is larger than
`size`; only those that do enter the group `successful` and `region_error_of`, the mean of a model over them.

Source: Liu, Kortylewski and Yuille 2023, PoseExaminer, arXiv:2303.07337, and its code (qihao067/PoseExaminer at
cf5fd11, `train.sh` and `tools/`).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from pydantic import Field

from shiftbench.base.errors import DataError
from shiftbench.base.refs import Ref
from shiftbench.plugins import declare
from shiftbench.plugins.contracts import Measurement, Observation

DATASET = "smpl_bodies"
TESTS = {"3dpw": "threedpw", "failures": "failures"}
ROUND = re.compile(r"adv_loop_(\d+)")
ORIGINAL = "-pretrained"
MEASURES = {"MPJPE": "mpjpe_mm", "PA-MPJPE": "pa_mpjpe_mm", "PVE": "pve_mm"}
REAL, EASY = "OUTPUT_MPJPE(real error", "Per_C(percent of samples < 90)"
Numbers = dict[str, float]
Results = dict[tuple[str, str, str], float]
"""Of weights without their seed, a metric and a dataset."""


class Options(declare.Options):
    path: str = Field("", description="folder with the runs of the official code")
    runs: list[str] = Field(
        ["."], description="folders below `path` in which train.sh was run; their numbers are the seeds"
    )
    searches: dict[str, str] = Field(
        {"pare": "ADV_TRAINING_PARE/exps_loop_1"}, description="model -> folder of its searches"
    )
    random_poses: dict[str, str] = Field({}, description="model -> folder of its evaluations of poses of the prior")
    checkpoints: dict[str, str] = Field(
        {"hrnet_w32_conv_pare": "pare-pretrained", "exp_best_pare": "pare-failures_released"},
        description="name of a checkpoint's file -> name of the model here",
    )
    size: float = Field(0.6, ge=0, description="size of a region above which a search succeeded, in radians")


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """No inputs: the folder is the user's, and pinned by its sha256."""
    return []


def measure(job: Measurement) -> Iterator[Observation]:
    """Yield the numbers of the files.

    Raises:
        DataError: a file is missing, or a line is not as the official code writes it.
    """
    params = job.params
    runs = [Path(params["path"]) / run for run in params["runs"]]
    for model, place in params["searches"].items():
        prior = params["random_poses"].get(model)
        seeds = count()
        for run in runs:
            yield from _searchers(run / place, run / prior if prior else None, model, seeds, params["size"])
    yield from _results(runs, params["checkpoints"])


def _searchers(exps: Path, prior: Path | None, model: str, seeds: Iterator[int], size: float) -> Iterator[Observation]:
    numbers = sorted(
        int(results.parent.name.split("_")[1]) for results in exps.glob("Proc_*_evaluation/evaluation_error.txt")
    )
    if not numbers:
        raise DataError(
            f"{exps} has no Proc_N_evaluation/evaluation_error.txt; run train.sh of PoseExaminer, or name the folder "
            "under `searches`"
        )
    for number in numbers:
        seed = next(seeds)
        name = f"{DATASET}/{model}-examiner-s{seed}"
        results = evaluation(exps / f"Proc_{number}_evaluation/evaluation_error.txt")
        first = first_phase(exps / f"Proc_{number}_training/training_loss.txt")
        success = results["NormGap"] > size
        values = {
            "region_error": results[f"{REAL} mean)"],
            "centre_error": first[f"{REAL})"],
            "region_size": results["NormGap"],
            "success": float(success),
        }
        if prior:
            prior_results = evaluation(prior / f"Proc_{number}_evaluation/evaluation_error.txt")
            values["prior_error"] = prior_results[f"{REAL} mean)"]
        for metric, value in values.items():
            yield Observation(metric, "searcher", value, name, DATASET)
        if success:
            yield from _successful(results, name)
            model_name = f"{DATASET}/{model}-pretrained-s0"
            mean = results[f"{REAL} mean)"]
            yield Observation("region_error_of", f"{seed + 1:03d}", mean, model_name, DATASET)


def _successful(results: Numbers, name: str) -> Iterator[Observation]:
    values = {
        **{f"error_{statistic}": results[f"{REAL} {statistic})"] for statistic in ("min", "max", "median")},
        "region_error": results[f"{REAL} mean)"],
        "region_size": results["NormGap"],
        "easy_share": results[EASY],
    }
    for metric, value in values.items():
        yield Observation(metric, "searcher", value, name, DATASET, group="successful")


def numbers_of(line: str) -> Numbers:
    """The numbers of a line as the official code writes it, ` ### NAME [NUMBER] / NAME [NUMBER]`, by name."""
    pairs = re.findall(r"(?:###|/) *([^\[\]/]+?) *\[ *([^\[\]]+?) *\]", line)
    numbers = {}
    for name, value in pairs:
        try:
            numbers[name] = float(value)
        except ValueError:
            raise DataError(f"{name} is {value!r}, no number, in the line {line[:80]!r}") from None
    return numbers


def _lines(file: Path) -> list[Numbers]:
    if not file.is_file():
        raise DataError(f"{file} does not exist; the official code of PoseExaminer writes it")
    return [numbers_of(line) for line in file.read_text().splitlines() if "###" in line]


def evaluation(file: Path) -> Numbers:
    """Numbers of the first line of an evaluation, as `test_final.py` reads it.

    Raises:
        DataError: there is none, or a number is missing.
    """
    first = next(iter(_lines(file)), {})
    expected = {"NormGap", EASY, *(f"{REAL} {statistic})" for statistic in ("mean", "min", "max", "median"))}
    if expected - set(first):
        missing = ", ".join(sorted(expected - set(first)))
        raise DataError(f"{file}: the first line says nothing of {missing}")
    return first


def first_phase(file: Path) -> Numbers:
    """Numbers of the last line of the first phase: only lines of the second phase give the inverse of VPoser.

    Raises:
        DataError: there is no such line.
    """
    lines = [one for one in _lines(file) if not any(name.startswith("InvVposer") for name in one)]
    if not lines or f"{REAL})" not in lines[-1]:
        raise DataError(f"{file} has no line of the first phase with {REAL})")
    return lines[-1]


def _results(runs: Sequence[Path], checkpoints: Mapping[str, str]) -> Iterator[Observation]:
    """Yield the tests of all runs; those of the original model stand for each run."""
    results = [tests(run / "evaluation_results.txt", checkpoints) for run in runs]
    original = {key: value for result in results for key, value in result.items() if key[0].endswith(ORIGINAL)}
    for seed, result in enumerate(results):
        for (weights, metric, dataset), value in {**result, **original}.items():
            yield Observation(metric, "all", value, f"{DATASET}/{weights}-s{seed}", dataset)


def tests(file: Path, checkpoints: Mapping[str, str]) -> Results:
    """Results of each checkpoint and test in `evaluation_results.txt`.

    Raises:
        DataError: the file is missing, or names a checkpoint or a test that is not known.
    """
    if not file.is_file():
        raise DataError(f"{file} does not exist; tools/test.py of PoseExaminer writes it")
    results: Results = {}
    weights = dataset = ""
    for number, line in enumerate(file.read_text().splitlines(), 1):
        where = f"{file}, line {number}"
        checkpoint_line = re.match(r"#+ Now testing checkpoints : \[ *(\S+) *\]", line)
        dataset_line = re.match(r"-+ \[ *(\S+) *\] -+", line)
        value = re.match(r"(\S+) : ([0-9.]+)\s*$", line)
        if checkpoint_line:
            weights = _checkpoint(Path(checkpoint_line[1]).stem, checkpoints, where)
        elif dataset_line:
            dataset = _checked_name(dataset_line[1].rpartition("-")[2], TESTS, "tests", where)
        elif value and value[1] in MEASURES:
            if not (weights and dataset):
                raise DataError(f"{where}: a result before the checkpoint and the test are named")
            results[weights, MEASURES[value[1]], dataset] = float(value[2])
    return results


def _checkpoint(stem: str, checkpoints: Mapping[str, str], where: str) -> str:
    adversarial_round = ROUND.fullmatch(stem)
    if adversarial_round and int(adversarial_round[1]):
        return f"pare-failures_{int(adversarial_round[1])}"
    known = {**checkpoints, "adv_loop_0": f"pare{ORIGINAL}"}  # train.sh copies the original there
    return _checked_name(stem, known, "checkpoints", where)


def _checked_name(name: str, allowed: Mapping[str, str], kind: str, where: str) -> str:
    if name not in allowed:
        raise DataError(f"{where}: {name!r} is none of the {kind} that are known: {', '.join(allowed)}")
    return allowed[name]
