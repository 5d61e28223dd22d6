"""Numbers that the authors released for a detector, next to those that are computed here from their weights.

    analyses:
      released_scale:
        use: released_scores
        path: /data/openood/ascood/openoodv1.5_results/ascood/cifar10_.../ood/scale.csv
        detector: scale_mixed
        names: {nearood: near, farood: far}

The CSV is that of OpenOOD's evaluator: a row for each OOD set, `nearood` and `farood` the means of theirs, with the
columns `FPR@95` (OOD positive), `AUROC` and `ACC` in percent, as `mean` or `mean ± deviation` over training seeds.
`names` says which row is which OOD set, or group, of the benchmark. Rows become the metrics `published_auroc`,
`published_fpr95` and `published_accuracy`, in shares, one unit each (so without an interval), for all weights of the
benchmark, since only the mean over seeds is printed.

Source: sudarshanregmi/ASCOOD, folder `openoodv1.5_results`.
"""

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from shiftbench.base.errors import DataError
from shiftbench.base.refs import Ref
from shiftbench.plugins import declare
from shiftbench.plugins.contracts import Measurement, Observation

COLUMNS = {"AUROC": "published_auroc", "FPR@95": "published_fpr95", "ACC": "published_accuracy"}
UNIT = "published"


class Options(declare.Options):
    path: str = Field("", description="CSV file of OpenOOD's evaluator")
    detector: str = Field("", description="detector that the numbers are of, as rows name it")
    names: dict[str, str] = Field({}, description="rows of the file, and the OOD set or group that each one is")


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """No inputs: the user supplies the file, and its sha256 pins it."""
    return []


def measure(job: Measurement) -> Iterator[Observation]:
    """Yield each number, as a share.

    Raises:
        DataError: the file is missing, has no such row, or a cell is no number.
    """
    params = job.params
    rows = read_scores(Path(params["path"]))
    for row, dataset in params["names"].items():
        if row not in rows:
            raise DataError(f"{params['path']} has no row {row!r}; it has {', '.join(rows)}")
        for metric, value in rows[row].items():
            for model in params["checkpoints"]:
                yield Observation(metric, UNIT, value, model, dataset, params["split"], detector=params["detector"])


def read_scores(file: Path) -> dict[str, dict[str, float]]:
    """The numbers of a released file as shares: row -> metric -> mean.

    Raises:
        DataError: it is missing, lacks a column, or a cell is no number.
    """
    if not file.is_file():
        raise DataError(f"{file} does not exist; bring `openoodv1.5_results` of sudarshanregmi/ASCOOD")
    with file.open(encoding="utf-8", newline="") as stream:
        lines = list(csv.DictReader(stream))
    missing = [column for column in ("", *COLUMNS) if not lines or column not in lines[0]]
    if missing:
        raise DataError(f"{file}: column {missing[0]!r} is missing; expected OpenOOD's evaluator's CSV")
    return {line[""]: {metric: _share(line[column], file) for column, metric in COLUMNS.items()} for line in lines}


def _share(cell: str, file: Path) -> float:
    mean = cell.partition("±")[0].strip()
    try:
        return float(mean) / 100
    except ValueError:
        raise DataError(f"{file}: {cell!r} is no `mean ± deviation` in percent") from None
