"""Metric rows computed a second time from records and scores, with Polars and NumPy and without `metrics`.

Counts and sums are integers, so that values are equal to the last bit. Covered: accuracy, error, nll and brier of
conditions and their groups; auroc and fpr95 of each OOD set; means over training seeds of all metrics but curves.
"""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shiftbench.base.refs import Ref, without_seed

E9 = 1_000_000_000
Value = tuple[float | None, int]
"""A value (None: not defined) and the number of samples."""
Key = tuple[Any, ...]


class Second:
    """The rows of one benchmark below an output root, as the recipe of its tables names them."""

    def __init__(self, root: Path, spec: dict[str, Any]) -> None:
        self.root, self.spec = root, spec
        self.rows = spec["rows"]
        self._used = {name: (about["use"], about["options"]) for name, about in spec["metrics"].items()}
        self._frame = functools.lru_cache(maxsize=64)(self._read)

    def _read(self, kind: str, name: str) -> pl.DataFrame:
        file = self.root / Ref(kind, name).path
        there = pl.read_parquet_schema(file)  # records of texts have neither loss nor Brier score
        columns = ["key", "score"] if kind == "scores" else [one for one in _COLUMNS if one in there]
        return pl.read_parquet(file, columns=columns)

    def values(self, columns: list[str]) -> Iterator[tuple[Key, Value]]:
        """Yield the key (values of `columns`) and the value of each covered row, without means."""
        yield from self._conditions(columns)
        yield from self._detection(columns)

    def _conditions(self, columns: list[str]) -> Iterator[tuple[Key, Value]]:
        metrics = {name: use for name, (use, _) in self._used.items() if use in _SAMPLE}
        for row in self.rows if metrics else ():
            if row["detector"] or row["ood"]:
                continue
            frame = self._frame("records", row["records"])
            groups = [None, *sorted(frame["group"].drop_nulls().unique())]
            for group in groups:
                part = frame if group is None else frame.filter(pl.col("group") == group)
                for name, use in metrics.items():
                    place = {**row, "group": group, "metric": name}
                    yield self._key(columns, place), _mean(part, use)

    def _detection(self, columns: list[str]) -> Iterator[tuple[Key, Value]]:
        scored = [row for row in self.rows if row["detector"]]
        clean_rows = (row for row in scored if not row["ood"] and (row["reference"] is None or row["step"] is not None))
        clean = {_evaluation(row): row for row in clean_rows}
        for row in scored:
            if not row["ood"]:
                continue
            inside = clean[_evaluation(row)]
            id = self._frame("scores", inside["scores"])["score"].to_numpy()
            ood = self._frame("scores", row["scores"])["score"].to_numpy()
            for name, (use, options) in self._used.items():
                value = _separated(use, options, np.sort(id), ood)
                if value is not None:
                    place = {**row, "reference": _position(inside), "group": None, "metric": name}
                    n = len(id) + len(ood)
                    yield self._key(columns, place), (None if np.isnan(value) else value, n)

    def _key(self, columns: list[str], place: dict[str, Any]) -> Key:
        whole = {"benchmark": self.spec["benchmark"], "task": self.spec["task"], **place}
        step, severity = whole.get("step"), whole.get("severity")
        whole["step"] = None if step is None else int(step)
        whole["severity"] = None if severity is None else float(severity)
        return tuple(whole[name] for name in columns)


def _evaluation(row: dict[str, Any]) -> Key:
    return row["model"], row["method"], row["detector"], row["split"], row["step"]


def _position(row: dict[str, Any]) -> str:
    return f"{row['dataset']}/{row['split']}/{row['shift']}/{float(row['severity'] or 0):g}"


# ---------------------------------------------------------------------- sample metrics

_COLUMNS = ["key", "correct", "nll_e9", "brier_e9", "group"]

_SAMPLE = {"accuracy": ("correct", 1), "error": ("correct", 1), "nll": ("nll_e9", E9), "brier": ("brier_e9", E9)}
"""Metric -> the column whose mean it is (of `error`, the share without), and the unit of the column."""


def _mean(frame: pl.DataFrame, use: str) -> Value:
    column, unit = _SAMPLE[use]
    known = frame[column].drop_nulls()
    total = int(known.sum()) if use != "error" else len(known) - int(known.sum())
    return _divided(total, len(known) * unit), len(known)


def _divided(part: int, whole: int) -> float | None:
    return float(part) / float(whole) if whole else None


# ---------------------------------------------------------------------- detection metrics


def _separated(use: str, options: dict[str, Any], id: NDArray[np.float64], ood: NDArray[np.float64]) -> float | None:
    """A detection metric of sorted ID scores and of OOD scores; None: it is not computed here."""
    if use == "auroc":
        return _area(id, ood)
    if use == "fpr95" and options.get("rule", "first") == "first":
        return _false_positives(id, ood, options.get("tpr", 0.95))
    return None


def _area(id: NDArray[np.float64], ood: NDArray[np.float64]) -> float:
    """P(OOD > ID) + P(equal) / 2, by counting pairs."""
    if not len(id) or not len(ood):
        return float("nan")
    below, upto = np.searchsorted(id, ood, "left"), np.searchsorted(id, ood, "right")
    return float(int((below + upto).sum())) / float(2 * len(id) * len(ood))


def _false_positives(id: NDArray[np.float64], ood: NDArray[np.float64], tpr: float) -> float:
    """Share of ID samples at or above the highest threshold that detects `tpr` of the OOD samples."""
    if not len(id) or not len(ood):
        return float("nan")
    falling = np.sort(ood)[::-1]
    goal = -(-round(tpr * 1_000_000) * len(ood) // 1_000_000)  # rounded up
    threshold = falling[goal - 1]
    return float(len(id) - int(np.searchsorted(id, threshold, "left"))) / float(len(id))


# ---------------------------------------------------------------------- means over seeds


def means(
    table: pl.DataFrame, columns: list[str], curves: set[str], recomputed: dict[Key, Value]
) -> Iterator[tuple[Key, Value]]:
    """Yield the mean over training seeds of each row that has one, in the order of the seeds.

    Args:
        table: metric rows.
        columns: key of a row.
        curves: metrics that are computed from means, and not averaged.
        recomputed: rows that were computed again, which replace those of the table.
    """
    at, metric = columns.index("model"), columns.index("metric")
    seeded = table.filter(pl.col("seed").is_not_null())
    known: dict[Key, Value] = {
        tuple(row[name] for name in columns): (row["value"], row["n"]) for row in seeded.iter_rows(named=True)
    }
    families: dict[Key, list[tuple[int, Value]]] = {}
    for key, value in (known | recomputed).items():
        family, seed = without_seed(key[at])
        if seed is not None and key[metric] not in curves:
            families.setdefault((*key[:at], family, *key[at + 1 :]), []).append((seed, value))
    for key, members in families.items():
        pairs = [value for _, value in sorted(members, key=lambda member: member[0])]
        values = [value for value, _ in pairs if value is not None]
        mean = sum(values) / len(values) if len(values) == len(pairs) else None
        yield key, (mean, min(n for _, n in pairs))
