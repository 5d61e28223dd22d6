"""Tables of made-up benchmarks, as aggregate would write them."""

import itertools
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from shiftbench.base.files import sha256
from shiftbench.data import formats, schema
from shiftbench.report.measures import Measure
from shiftbench.statistics import bootstrap, intervals, reliability
from shiftbench.statistics import score_curves as shown
from shiftbench.statistics.detector_comparisons import holm
from shiftbench.statistics.failure_prediction import RISK_COVERAGE
from shiftbench.statistics.search_tables import SEARCHED

DRAWS = 40
OTHERS = {"comparisons": formats.COMPARISONS, "risk_coverage": RISK_COVERAGE, "searches": SEARCHED, "roc": shown.ROC}
PAIRED = [name for name in formats.METRICS.key if name != "model"]
DIRECTION = {"accuracy": 1, "error": -1, "ece": -1, "nll": -1, "brier": -1}


@dataclass
class Maker:
    """Rows of one benchmark, filled place by place."""

    benchmark: str
    dataset: str
    task: str = "classification"
    rows: list[dict[str, Any]] = field(default_factory=list)
    others: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    words: np.random.Generator = field(default_factory=lambda: np.random.default_rng(7))

    def add(self, weights: str, metric: str, value: float, **place: Any) -> None:
        """Add the row of one training seed; the noise of its draws is shared by all rows."""
        draws = (
            value + 0.01 * np.random.default_rng(3).standard_normal(DRAWS) + 0.002 * self.words.standard_normal(DRAWS)
        )
        default = {
            "method": "plain",
            "detector": None,
            "dataset": self.dataset,
            "split": "test",
            "reference": None,
            "shift": "identity",
            "severity": 0.0,
            "group": None,
            "step": None,
        }
        self.rows.append(
            default
            | {
                "benchmark": self.benchmark,
                "task": self.task,
                "model": weights,
                "metric": metric,
                "value": value,
                "draws": draws,
                "n": 2000,
                "seed": int(weights.rpartition("-s")[2]),
                "seeds": None,
                "seed_low": None,
                "seed_high": None,
                "unit": "key",
                "units": 2000,
            }
            | place
        )

    def finished(self) -> list[dict[str, Any]]:
        """Return all rows with means over seeds and intervals."""
        groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
        for row in self.rows:
            groups.setdefault((row["model"].rpartition("-s")[0], *(row[name] for name in PAIRED)), []).append(row)
        means = [
            members[0]
            | {
                "model": family,
                "seed": None,
                "value": np.mean([m["value"] for m in members]),
                "draws": np.mean([m["draws"] for m in members], axis=0),
                "seeds": len(members),
                "seed_low": np.min([m["value"] for m in members]),
                "seed_high": np.max([m["value"] for m in members]),
                "members": members,
            }
            for (family, *_), members in groups.items()
        ]
        found = []
        for row in self.rows + means:
            if len(row.get("members", ())) > 1:
                low, high = map(float, intervals.of_seed_mean(by_seed(row), Measure.of(row["metric"], {}).kind))
            else:
                low, high = map(float, bootstrap.interval(row["draws"]))
            ends = {"value": row["value"], "ci_low": low, "ci_high": high}
            ends |= {name: row[name] for name in ("seed_low", "seed_high") if row[name] is not None}
            found.append(row | {name: None if np.isnan(end) else end for name, end in ends.items()})
        return found

    def write(self, root: Path, *, bins: bool = True) -> None:
        """Write the tables, and a receipt that names them."""
        folder = root / "results/tables" / self.benchmark
        folder.mkdir(parents=True)
        rows = self.finished()
        for row in rows:
            row["draws"] = row["draws"].tolist()
        content = {
            formats.METRICS: [{name: row[name] for name in formats.METRICS.names} for row in rows],
            formats.REPLICATES: [{name: row[name] for name in formats.REPLICATES.names} for row in rows],
            formats.DIFFERENCES: list(differences(rows)),
        }
        if bins:
            content[reliability.RELIABILITY] = self.bins()
        files = {form.name: (form, lines) for form, lines in content.items()}
        files |= {name: (OTHERS[name], lines) for name, lines in self.others.items()}
        for name, (form, lines) in files.items():
            schema.write(schema.table(lines, form), folder / f"{name}.parquet", "0" * 64, form)
        made = {f"{name}.parquet": sha256(folder / f"{name}.parquet") for name in files}
        (folder / "metrics.parquet.receipt.json").write_text(
            json.dumps({"made": made, "fingerprint": "", "recipe": {}, "consumed": {}})
        )

    def bins(self) -> list[dict[str, Any]]:
        """Return bins of confidence for each artifact that has an accuracy; confidence is 5 points too high."""
        artifacts = [row for row in self.rows if row["metric"] == "accuracy"]
        names = ("benchmark", "model", "method", "dataset", "split", "reference", "shift", "severity", "step")
        return [
            {
                **{name: row[name] for name in names},
                "bin": b,
                "n": 20 * b,
                "correct": int(20 * b * (b + 0.5) / 15 - b),
                "confidence_e9": int(20 * b * (b + 0.5) / 15 * 1e9),
            }
            for row in artifacts
            for b in range(3, 15)
        ]


def by_seed(row: dict[str, Any]) -> Any:
    """Return value and draws of each training seed of a mean, float64 (seeds, 1 + draws)."""
    return np.stack([[one["value"], *one["draws"]] for one in row["members"]])


def differences(rows: list[dict[str, Any]]) -> Any:
    """Yield the paired differences of all means."""
    places: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        if row["seed"] is None and row["value"] is not None:
            places.setdefault(tuple(row[name] for name in PAIRED), []).append(row)
    for members in places.values():
        for a, b in itertools.combinations(sorted(members, key=lambda row: row["model"]), 2):
            gap = (by_seed(a) - by_seed(b)).mean(axis=0)
            sides = [dict(enumerate(by_seed(one))) for one in (a, b)]
            low, high, p_value = map(_known, intervals.of_gap(gap, sides))
            yield {name: a[name] for name in PAIRED} | {
                "model_a": a["model"],
                "model_b": b["model"],
                "difference": a["value"] - b["value"],
                "ci_low": low,
                "ci_high": high,
                "p_value": p_value,
                "n": a["n"],
            }


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


SKILL = {"convnet-erm": 0.90, "convnet-augmix": 0.895, "vit-erm": 0.86, "vit-augmix": 0.862}


def clothes(shifts: tuple[str, ...] = ("gaussian_noise", "fog", "contrast")) -> Maker:
    """A benchmark with corruptions and OOD sets."""
    maker = Maker("clothes", "fashion_mnist")
    clean = "fashion_mnist/test/identity/0"
    for name, skill in SKILL.items():
        robust = 0.04 if "augmix" in name else 0.09
        for seed in (0, 1, 2):
            weights = f"fashion_mnist/{name}-s{seed}"
            top = skill + 0.004 * seed
            _cell(maker, weights, top)
            for number, shift in enumerate(shifts):
                for severity in (1.0, 3.0, 5.0):
                    _cell(
                        maker,
                        weights,
                        top - robust * severity * (0.6 + 0.3 * number),
                        shift=shift,
                        severity=severity,
                        reference=clean,
                    )
            for metric, value in (
                ("mce", robust / 0.09),
                ("relative_mce", robust / 0.1),
                ("auc_severity", top - robust),
            ):
                maker.add(weights, metric, value, shift=None, severity=None, reference=clean)
            for ood, easy in (("mnist", 0.0), ("animal_shape", -0.1)):
                for detector, gain in (("energy", 0.03), ("msp", 0.0)):
                    place = {"dataset": ood, "detector": detector, "reference": clean, "n": 4000}
                    maker.add(weights, "auroc", top + gain + easy, **place)
                    maker.add(weights, "fpr95", 1 - top - easy, **place)
    return maker


def _cell(maker: Maker, weights: str, accuracy: float, **place: Any) -> None:
    values = {
        "accuracy": accuracy,
        "error": 1 - accuracy,
        "ece": (1 - accuracy) / 5 + _wobble(weights),
        "nll": 2 * (1 - accuracy),
        "brier": 1.5 * (1 - accuracy),
    }
    for metric, value in values.items():
        maker.add(weights, metric, value, **place)


def _wobble(weights: str) -> float:
    """Return how far a seed lies from its mean over three seeds: models have another order of seeds."""
    return 0.002 * ((int(weights[-1]) * (1 + ("augmix" in weights))) % 3 - 1)


def reviews() -> Maker:
    """A benchmark on text, with one weights, a domain shift and a value that is not defined."""
    maker = Maker("reviews", "vader_amazon", "text_classification")
    clean = "vader_amazon/test/identity/0"
    weights = "vader_amazon/tfidf-tfidf_logreg-s0"
    _cell(maker, weights, 0.81)
    for severity in (1.0, 3.0, 5.0):
        _cell(maker, weights, 0.81 - 0.05 * severity, shift="char_noise", severity=severity, reference=clean)
    for shift, value in (("amazon_to_movie", 0.7), ("amazon_to_nyt", 0.61)):
        _cell(maker, weights, value, shift=shift, severity=None, reference=clean)
    undefined = next(row for row in maker.rows if row["metric"] == "nll")
    undefined |= {"value": np.nan, "draws": np.full(DRAWS, np.nan), "n": 0}
    return maker


DETECTORS = {"msp": 0.0, "odin": -0.03, "knn": 0.0995, "vim": 0.1}
OOD = {"near": ["unknown"], "far": ["mnist", "<b>noise</b>"]}


def unknown(*models: str) -> Maker:
    """A benchmark with groups of OOD sets, four detectors, and all that is told of them; default: one weights."""
    maker = Maker("unknown", "known")
    clean = "known/test/identity/0"
    easy = {"unknown": -0.1, "mnist": 0.0, "<b>noise</b>": 0.04}
    for number, model in enumerate(models or ("convnet-erm",)):
        for seed in (0, 1, 2):
            weights = f"known/{model}-s{seed}"
            _cell(maker, weights, 0.86 - 0.01 * number)
            for detector, gain in DETECTORS.items():
                values = {name: 0.8 + gain + gap - 0.02 * number + 0.001 * seed for name, gap in easy.items()}
                for group, sets in OOD.items():
                    place = {"detector": detector, "reference": clean, "n": 3000}
                    for name in sets:
                        _against(maker, weights, values[name], dataset=name, **place)
                    mean = float(np.mean([values[name] for name in sets]))
                    _against(maker, weights, mean, dataset=group, shift=None, severity=None, **place)
                maker.add(weights, "aurc", 0.05 - gain / 10, detector=detector)
    empty = next(row for row in maker.rows if (row["dataset"], row["detector"]) == ("mnist", "odin"))
    empty |= {"value": np.nan, "draws": np.full(DRAWS, np.nan), "n": 2000}
    rows = maker.finished()
    maker.others = {"comparisons": list(comparisons(rows)), "searches": _searches(rows), "roc": _roc(rows)}
    maker.others["risk_coverage"] = _risks(rows)
    return maker


def _against(maker: Maker, weights: str, value: float, **place: Any) -> None:
    maker.add(weights, "auroc", value, **place)
    maker.add(weights, "fpr95", 1 - value, **place)


def comparisons(rows: list[dict[str, Any]]) -> Any:
    """Yield the comparisons of each detector with the best one in its place."""
    sign = {"auroc": 1, "fpr95": -1, "aurc": -1}
    places: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        if row["detector"] is not None and row["value"] is not None:
            place = tuple(row[name] for name in formats.METRICS.key if name != "detector")
            places.setdefault(place, []).append(row)
    for members in places.values():
        best = max(members, key=lambda row: sign[row["metric"]] * row["value"])
        others = [row for row in members if row is not best]
        gaps = np.array([row["draws"] - best["draws"] for row in others])
        p_values = bootstrap.p_value(gaps)
        for row, gap, p_value, p_holm in zip(others, gaps, p_values, holm(p_values), strict=True):
            low, high = bootstrap.interval(gap)
            yield {name: row[name] for name in formats.METRICS.key} | {
                "against": "best",
                "other": best["detector"],
                "difference": row["value"] - best["value"],
                "ci_low": float(low),
                "ci_high": float(high),
                "p_value": float(p_value),
                "p_holm": float(p_holm),
                "p_delong": None,
                "n": row["n"],
            }


def _seeds(rows: list[dict[str, Any]]) -> list[str]:
    return sorted({row["model"] for row in rows if row["seed"] is not None})


def _searches(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Searches of k for knn, which matters, and of T for odin, which does not; seeds choose another k."""
    points = []
    for weights in _seeds(rows):
        grids = {
            "knn": ("k", (10, 50, 5000), (0.9, 0.91 - 0.02 * weights.endswith("s1"), None)),
            "odin": ("T", (1.0, 1000.0), (0.7, 0.7)),
        }
        for detector, (option, values, areas) in grids.items():
            best = max(area for area in areas if area is not None)
            for number, (value, area) in enumerate(zip(values, areas, strict=True)):
                row = {"number": number, "options": json.dumps({option: value}), "auroc": area}
                row |= {"reason": None if area else "k = 5000: <i>more</i> than 4,000 samples"}
                row |= {"chosen": area == best and number == areas.index(best), "n_id": 500, "n_ood": 300}
                row |= {"effect": option if len(set(areas)) > 1 else ""}
                evaluation = {"benchmark": "unknown", "model": weights, "method": "plain", "detector": detector}
                points.append({**evaluation, **row})
    return points


def _roc(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Curves and histograms of seed 0."""
    random = np.random.default_rng(5)
    curve_rows = []
    for weights in _seeds(rows):
        for detector, gain in DETECTORS.items() if weights.endswith("s0") else ():
            for dataset in (name for sets in OOD.values() for name in sets):
                id, ood = random.normal(0, 1, 400), random.normal(1 + 10 * gain, 1, 300)
                evaluation = {"benchmark": "unknown", "model": weights, "method": "plain", "detector": detector}
                for kind, columns in (("roc", shown.roc(id, ood)), ("histogram", shown.histogram(id, ood))):
                    for x, one, two in zip(*columns, strict=True):
                        curve_rows.append(
                            {**evaluation, "dataset": dataset, "kind": kind, "x": x, "id": one, "ood": two}
                        )
    return curve_rows


def _risks(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    place = {"benchmark": "unknown", "method": "plain", "dataset": "known", "split": "test", "reference": None}
    place |= {"shift": "identity", "severity": 0.0, "step": None}
    return [
        {**place, "model": weights, "detector": detector, "accepted": 20 * at, "coverage": at / 100,
         "risk": 0.14 * (at / 100) ** (2 + 10 * gain) + 0.01 * weights.endswith("s1")}
        for weights in _seeds(rows)
        for detector, gain in DETECTORS.items()
        for at in range(1, 101)
    ]  # fmt: skip


def overlaps() -> list[dict[str, Any]]:
    """Overlaps of the sets of `unknown`."""
    sets = [("id", "known/test/identity/0"), ("near", "unknown/test/identity/0"), ("far", "mnist/test/identity/0")]
    return [
        {"set_a": a, "set_b": b, "role_a": one, "role_b": two, "n_a": 2000, "n_b": 1000, "shared_keys": 0,
         "shared_contents": 0, "disjoint": one == "id"}
        for (one, a), (two, b) in itertools.combinations(sets, 2)
    ]  # fmt: skip
