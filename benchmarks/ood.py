"""Detectors over several choices of unknown classes: means over benchmarks of replicates, beside the baseline.

    python benchmarks/ood.py [--root build/ood] [--baseline msp] BENCHMARK...

Reads the tables of benchmarks that differ in their ID classes (params/ood.yaml: unknown_0 unknown_1 unknown_2),
each a mean over its training seeds. A row is the unweighted mean over benchmarks; its 95% interval is of resampled
samples. `spread` is the lowest and the highest of the benchmarks: what another choice of classes would change.
`far - baseline` has Holm's correction for the number of detectors.
"""

import argparse
from pathlib import Path

import numpy as np
import polars as pl

from shiftbench.statistics import bootstrap
from shiftbench.statistics.detector_comparisons import holm

GROUPS = ("near", "far")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("benchmarks", nargs="*", default=["unknown_0", "unknown_1", "unknown_2"])
    parser.add_argument("--root", type=Path, default=Path("build/ood"))
    parser.add_argument("--baseline", default="msp")
    parser.add_argument("--metric", default="auroc")
    options = parser.parse_args()
    found = {name: of_benchmark(options.root / "results/tables" / name, options.metric) for name in options.benchmarks}
    detectors = sorted(next(iter(found.values())))
    means = {name: np.mean([rows[name] for rows in found.values()], axis=0) for name in detectors}
    gaps = {name: means[name][1] - means[options.baseline][1] for name in detectors}
    others = [name for name in detectors if name != options.baseline]
    corrected = holm(bootstrap.p_value(np.stack([gaps[name][1:] for name in others])))
    p_values = dict(zip(others, corrected, strict=True))
    print(f"| detector | near | spread | far | spread | far - {options.baseline} | corrected p |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name in sorted(detectors, key=lambda name: -means[name][1, 0]):
        artifacts = [name]
        for at in range(len(GROUPS)):
            single = [100 * rows[name][at, 0] for rows in found.values()]
            artifacts += [interval(means[name][at]), f"{min(single):.1f} to {max(single):.1f}"]
        same = name == options.baseline
        artifacts += ["", ""] if same else [interval(gaps[name]), f"{p_values[name]:.3f}"]
        print("| " + " | ".join(artifacts) + " |")


def of_benchmark(folder: Path, metric: str) -> dict[str, np.ndarray]:
    """Return value and replicates (groups, 1 + draws) of each detector, means over training seeds."""
    table = pl.read_parquet(folder / "metrics.parquet")
    keys = [name for name in pl.read_parquet_schema(folder / "replicates.parquet") if name != "draws"]
    table = table.join(pl.read_parquet(folder / "replicates.parquet"), on=keys, nulls_equal=True)
    table = table.filter(pl.col("seed").is_null() & (pl.col("metric") == metric) & pl.col("shift").is_null())
    rows = {(row["detector"], row["dataset"]): row for row in table.iter_rows(named=True)}
    return {
        name: np.array([[rows[name, g]["value"], *rows[name, g]["draws"]] for g in GROUPS])
        for name in {name for name, _ in rows}
    }


def interval(values: np.ndarray) -> str:
    low, high = bootstrap.interval(values[None, 1:])
    return f"{100 * values[0]:.1f} [{100 * low[0]:.1f}, {100 * high[0]:.1f}]"


if __name__ == "__main__":
    main()
