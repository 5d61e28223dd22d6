"""The raw logs of the official repository, in a clone of the user's: which run answers a task in a language, and how.

    logs_MODEL-api/LANGUAGE/TASK/LANGUAGE_TASK_SCENARIO_YYYY-MM-DD_HH-MM-SS/NAME_test.csv

A CSV has a row for each item, in the order of data/val_LANGUAGE/TASK, its column `model_output` the completion; beside
it stands what the official scorer said of it (`NAME_test_output.txt`). A run is of demonstrations where its folder's
name has `3shot` or `5shot`, whatever else its scenario is called (zero-shot OOD runs are named after other tasks). Of
several the newest counts that has a CSV.

Source: code/api/evaluator_series of LluckyYH/XTRUST, of which no licence is stated: nothing of it is here.
"""

import csv
import re
from dataclasses import dataclass
from pathlib import Path

from shiftbench.base.errors import DataError

FOLDERS = {
    "ar": "Arabic", "zh": "Chinese", "fr": "French", "de": "German", "hi": "Hindi",
    "it": "Italian", "ko": "Korean", "pt": "Portuguese", "ru": "Russian", "es": "Spanish",
}  # fmt: skip
"""Names of languages in the official repository."""
_RUN = re.compile(r"(?P<name>.+)_(?P<time>\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d)")
_SHOTS = re.compile(r"_(\d)shot")
LONGEST = 10_000_000


@dataclass(frozen=True, slots=True)
class Run:
    """One run over the items of a task in a language.

    Attributes:
        file: its CSV.
        time: when it began, as its folder is named; later is greater.
        shots: demonstrations before each item.
    """

    file: Path
    time: str
    shots: int

    def rows(self) -> list[tuple[str, str]]:
        """Question and completion of each item, in the order of the items.

        Raises:
            DataError: the CSV has no such columns.
        """
        csv.field_size_limit(LONGEST)
        with self.file.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            if not {"question", "model_output"} <= set(reader.fieldnames or ()):
                raise DataError(f"{self.file} has no columns question and model_output; expected a log of XTRUST")
            return [(row["question"] or "", row["model_output"] or "") for row in reader]


def runs(folder: Path, language: str, task: str) -> list[Run]:
    """The runs of a task in a language, the oldest first.

    Args:
        folder: `logs_MODEL-api`.
        language: a key of FOLDERS.
        task: `OOD`, `Mental_Health`, ...: the folder below the language's.
    """
    runs_of_task = []
    for folder_of_run in sorted((folder / FOLDERS[language] / task).glob("*")):
        name, files = _RUN.fullmatch(folder_of_run.name), sorted(folder_of_run.glob("*_test.csv"))
        if name and files:
            shots = _SHOTS.search(name["name"])
            runs_of_task.append(Run(files[0], name["time"], int(shots[1]) if shots else 0))
    return sorted(runs_of_task, key=lambda run: run.time)


def newest(folder: Path, language: str, task: str, shots: int) -> Run:
    """The newest run with so many demonstrations.

    Raises:
        DataError: there is none; names those that there are.
    """
    available = runs(folder, language, task)
    fitting = [run for run in available if run.shots == shots]
    if not fitting:
        names = ", ".join(run.file.parent.name for run in available) or "none"
        raise DataError(
            f"{folder / FOLDERS[language] / task} has no run with {shots} demonstrations; runs with a CSV: {names}"
        )
    return fitting[-1]
