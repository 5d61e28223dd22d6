"""Aggregation of many synthetic records with intervals, against pandas on what pandas can hold.

    python benchmarks/aggregation.py [--samples 100000] [--cells 1000] [--draws 1000] [--threads 2]
                                     [--pandas-cells 4] [--pandas-draws 100] [--folder DIR]

Writes `cells` record files of `samples` rows (the columns that the metrics read, and a few logits), then
times `aggregate` for accuracy, nll, brier and ece with all replicates and paired differences, reading
included. pandas does the same, without differences, for `pandas-cells` of the files and `pandas-draws` draws.
Prints one JSON object: seconds, peak memory of either process, and the ratio of rows x draws per second.
Goal on 2 cores with AMX, at the defaults: under 15 s, 1.5 GB. Needs pandas (extra `bench`) unless `--pandas-cells 0`.
"""

import argparse
import json
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from shiftbench.data import formats, schema
from shiftbench.statistics import bootstrap
from shiftbench.statistics.benchmark_rows import EvaluationFile
from shiftbench.workflow.stages.aggregate import aggregate

METRICS: dict[str, dict[str, Any]] = {"accuracy": {}, "nll": {}, "brier": {}, "ece": {}}
MODELS = 10


def synthesise(folder: Path, samples: int, cells: int) -> list[EvaluationFile]:
    """Write records of 10 weights under cells / 10 shifts; all share their keys."""
    keys = pa.array([f"synthetic/test/{i:09d}" for i in range(samples)])
    found = []
    for number in range(cells):
        file = folder / f"{number:05d}.parquet"
        if not file.exists():
            schema.write(_records(keys, number), file, "benchmark")
        weights, shift = f"synthetic/net{number % MODELS}", f"shift{number // MODELS}"
        found.append(
            EvaluationFile("bench", "classification", weights, "plain", "synthetic", "test", shift, 1.0, file, "x")
        )
    return found


def _records(keys: pa.Array, number: int) -> pa.Table:
    random = np.random.default_rng(number)
    n = len(keys)
    confidence = random.beta(4, 2, n)
    correct = random.random(n) < confidence
    label = random.integers(0, 10, n, dtype=np.int32)
    nll = np.where(correct, -np.log(confidence), -np.log((1 - confidence) / 9))
    brier = np.where(correct, (1 - confidence) ** 2, confidence**2 + 1)
    columns = {
        "key": keys,
        "label": label,
        "prediction": np.where(correct, label, (label + 1) % 10).astype(np.int32),
        "correct": correct,
        "confidence_e9": np.rint(confidence * formats.E9).astype(np.int64),
        "nll_e9": np.clip(np.rint(nll * formats.E9), 0, formats.NLL_LIMIT).astype(np.int64),
        "brier_e9": np.clip(np.rint(brier * formats.E9), 0, 2 * formats.E9).astype(np.int64),
        "group": pa.nulls(n, pa.string()),
        "cluster": pa.nulls(n, pa.string()),
        "logits": pa.ListArray.from_arrays(np.arange(n + 1, dtype=np.int32), pa.array(confidence.astype(np.float32))),
    }
    return pa.table(columns, schema=formats.RECORDS_FULL.arrow)


def ours(cells: list[EvaluationFile], draws: int, threads: int) -> None:
    """Aggregate all cells."""
    tables = aggregate(cells, METRICS, draws, 0, threads)
    assert len(tables.metrics) == len(cells) * len(METRICS)


def theirs(cells: list[EvaluationFile], draws: int) -> None:
    """The same of fewer cells, as one would write it in pandas: join once, group by under every draw."""
    import pandas as pd

    columns = ["key", "correct", "confidence_e9", "nll_e9", "brier_e9"]
    frames = [pd.read_parquet(cell.file, columns=columns).assign(cell=i) for i, cell in enumerate(cells)]
    records = pd.concat(frames, ignore_index=True)
    keys = frames[0]["key"]
    matrix = pd.DataFrame(bootstrap.weights(pa.array(keys.astype(str)), draws, 0), index=keys)
    weights = matrix.reindex(records["key"])
    records["bin"] = np.maximum((records["confidence_e9"] * 15 - 1) // formats.E9, 0)
    records["gap"] = records["correct"] - records["confidence_e9"] / formats.E9
    for draw in range(1 + draws):
        weight = weights[draw].to_numpy()
        summed = records[["correct", "nll_e9", "brier_e9"]].mul(weight, axis=0).assign(weight=weight)
        totals = summed.groupby(records["cell"]).sum()
        totals.div(totals["weight"], axis=0)
        gaps = (records["gap"] * weight).groupby([records["cell"], records["bin"]]).sum().abs()
        gaps.groupby(level=0).sum() / totals["weight"]


def measure(work: Callable[..., None], *arguments: Any) -> dict[str, float]:
    """Run in a fresh process; return seconds and peak memory in GB, imports included."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_timed, args=(sender, work, arguments))
    process.start()
    sender.close()  # so that a process that dies ends the wait
    result: dict[str, float] = receiver.recv()
    process.join()
    return result


def _timed(sender: Any, work: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    start = time.perf_counter()
    work(*arguments)
    seconds, used = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF)
    # On a busy machine seconds grow with its load; cpu_seconds / threads is what an idle one would take.
    cpu = used.ru_utime + used.ru_stime
    facts = {"seconds": seconds, "cpu_seconds": cpu, "peak_gb": used.ru_maxrss / 1e6}
    sender.send({name: round(value, 2) for name, value in facts.items()})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (
        ("samples", 100_000),
        ("cells", 1000),
        ("draws", 1000),
        ("threads", 2),
        ("pandas-cells", 4),
        ("pandas-draws", 100),
    ):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--folder", type=Path, help="keep the synthetic records here")
    given = parser.parse_args()
    if given.pandas_cells:
        import pandas as _  # noqa: F401 - missing is told now, not after the long half
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        cells = synthesise(folder, given.samples, given.cells)
        result: dict[str, Any] = {"rows": given.samples * given.cells, "draws": given.draws, "threads": given.threads}
        result["shiftbench"] = measure(ours, cells, given.draws, given.threads)
        few = cells[: given.pandas_cells]
        if few:
            peer = measure(theirs, few, given.pandas_draws)
            result["pandas"] = {"rows": given.samples * len(few), "draws": given.pandas_draws, **peer}
            work = len(cells) * given.draws / (len(few) * given.pandas_draws)
            result["times_pandas"] = round(work * peer["seconds"] / result["shiftbench"]["seconds"], 1)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
