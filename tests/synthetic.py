"""Tables of made-up campaigns, as aggregate would write them."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from shiftbench import bootstrap, formats, schema
from shiftbench.metrics import _reliability as reliability

DRAWS = 40
PAIRED = [name for name in formats.METRICS.key if name != "weights"]
DIRECTION = {"accuracy": 1, "error": -1, "ece": -1, "nll": -1, "brier": -1}


@dataclass
class Maker:
    """Rows of one campaign, filled place by place."""

    campaign: str
    dataset: str
    task: str = "classification"
    rows: list[dict[str, Any]] = field(default_factory=list)
    words: np.random.Generator = field(default_factory=lambda: np.random.default_rng(7))

    def add(self, weights: str, metric: str, value: float, **place: Any) -> None:
        """Add the row of one training seed; the noise of its draws is shared by all rows."""
        draws = (
            value
            + 0.01 * np.random.default_rng(3).standard_normal(DRAWS)
            + 0.002 * self.words.standard_normal(DRAWS)
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
                "campaign": self.campaign,
                "task": self.task,
                "weights": weights,
                "metric": metric,
                "value": value,
                "draws": draws,
                "n": 2000,
                "seed": int(weights.rpartition("-s")[2]),
                "unit": "key",
            }
            | place
        )

    def finished(self) -> list[dict[str, Any]]:
        """Return all rows with means over seeds and intervals."""
        groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
        for row in self.rows:
            groups.setdefault(
                (row["weights"].rpartition("-s")[0], *(row[name] for name in PAIRED)), []
            ).append(row)
        means = [
            members[0]
            | {
                "weights": family,
                "seed": None,
                "value": np.mean([m["value"] for m in members]),
                "draws": np.mean([m["draws"] for m in members], axis=0),
            }
            for (family, *_), members in groups.items()
        ]
        return [
            row
            | dict(
                zip(
                    ("ci_low", "ci_high"), map(float, bootstrap.interval(row["draws"])), strict=True
                )
            )
            for row in self.rows + means
        ]

    def write(self, root: Path, *, bins: bool = True) -> None:
        """Write the tables, and a receipt that names them."""
        folder = root / "results/tables" / self.campaign
        folder.mkdir(parents=True)
        rows = self.finished()
        for row in rows:
            row["draws"] = row["draws"].tolist()
        content = {
            formats.METRICS: [{name: row[name] for name in formats.METRICS.names} for row in rows],
            formats.REPLICATES: [
                {name: row[name] for name in formats.REPLICATES.names} for row in rows
            ],
            formats.DIFFERENCES: list(differences(rows)),
        }
        if bins:
            content[reliability.RELIABILITY] = self.bins()
        for form, lines in content.items():
            schema.write(schema.table(lines, form), folder / f"{form.name}.parquet", "0" * 64, form)
        made = {f"{form.name}.parquet": "0" * 64 for form in content}
        (folder / "metrics.parquet.receipt.json").write_text(
            json.dumps({"made": made, "fingerprint": "", "recipe": {}, "consumed": {}})
        )

    def bins(self) -> list[dict[str, Any]]:
        """Return bins of confidence for each cell that has an accuracy; confidence is 5 points too high."""
        cells = [row for row in self.rows if row["metric"] == "accuracy"]
        names = (
            "campaign",
            "weights",
            "method",
            "dataset",
            "split",
            "reference",
            "shift",
            "severity",
            "step",
        )
        return [
            {
                **{name: row[name] for name in names},
                "bin": b,
                "n": 20 * b,
                "correct": int(20 * b * (b + 0.5) / 15 - b),
                "confidence_e9": int(20 * b * (b + 0.5) / 15 * 1e9),
            }
            for row in cells
            for b in range(3, 15)
        ]


def differences(rows: list[dict[str, Any]]) -> Any:
    """Yield the paired differences of all means."""
    places: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        if row["seed"] is None:
            places.setdefault(tuple(row[name] for name in PAIRED), []).append(row)
    for members in places.values():
        for a, b in itertools.combinations(sorted(members, key=lambda row: row["weights"]), 2):
            draws = np.subtract(a["draws"], b["draws"])
            low, high = bootstrap.interval(draws)
            yield {name: a[name] for name in PAIRED} | {
                "weights_a": a["weights"],
                "weights_b": b["weights"],
                "difference": a["value"] - b["value"],
                "ci_low": float(low),
                "ci_high": float(high),
                "p_value": float(bootstrap.p_value(draws)),
                "n": a["n"],
            }


SKILL = {"convnet-erm": 0.90, "convnet-augmix": 0.895, "vit-erm": 0.86, "vit-augmix": 0.862}


def clothes(shifts: tuple[str, ...] = ("gaussian_noise", "fog", "contrast")) -> Maker:
    """A campaign with corruptions and OOD sets."""
    maker = Maker("clothes", "fashion_mnist")
    clean = "fashion_mnist/test/identity/0"
    for name, skill in SKILL.items():
        robust = 0.04 if "augmix" in name else 0.09
        for seed in (0, 1):
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
        "ece": (1 - accuracy) / 5,
        "nll": 2 * (1 - accuracy),
        "brier": 1.5 * (1 - accuracy),
    }
    for metric, value in values.items():
        maker.add(weights, metric, value, **place)


def reviews() -> Maker:
    """A campaign on text, with one weights, a domain shift and a value that is not defined."""
    maker = Maker("reviews", "vader_amazon", "text_classification")
    clean = "vader_amazon/test/identity/0"
    weights = "vader_amazon/tfidf-tfidf_logreg-s0"
    _cell(maker, weights, 0.81)
    for severity in (1.0, 3.0, 5.0):
        _cell(
            maker,
            weights,
            0.81 - 0.05 * severity,
            shift="char_noise",
            severity=severity,
            reference=clean,
        )
    for shift, value in (("amazon_to_movie", 0.7), ("amazon_to_nyt", 0.61)):
        _cell(maker, weights, value, shift=shift, severity=None, reference=clean)
    undefined = next(row for row in maker.rows if row["metric"] == "nll")
    undefined |= {"value": np.nan, "draws": np.full(DRAWS, np.nan), "n": 0}
    return maker
