"""Records of random logits, and what aggregate reads of them."""

from pathlib import Path

import numpy as np

from shiftbench.base.sample import Sample
from shiftbench.data import schema
from shiftbench.plugins.tasks import LabelSpace, classification
from shiftbench.workflow.stages.aggregate import EvaluationFile

CLASSES = ("a", "b", "c", "d")
SPACE = LabelSpace(CLASSES, CLASSES)
DRAWS = 50


def logits(number: int, n: int = 40) -> np.ndarray:
    return np.random.default_rng(number).normal(scale=2, size=(n, len(CLASSES))).astype(np.float32)


def samples(n: int = 40, **meta: list[str]) -> list[Sample]:
    labels = np.random.default_rng(99).integers(0, len(CLASSES), n)
    metas = [{name: values[i] for name, values in meta.items()} for i in range(n)]
    return [Sample(f"toy/test/{i:03d}", {"label": int(label), "meta": metas[i]}) for i, label in enumerate(labels)]


def artifact(
    folder: Path, weights: str, shift: str, severity: float, data: np.ndarray, some: list[Sample] | None = None
) -> EvaluationFile:
    file = folder / weights / f"{shift}{severity}.parquet"
    file.parent.mkdir(parents=True, exist_ok=True)
    some = samples(len(data)) if some is None else some
    schema.write(classification.rows(some, {"logits": data}, SPACE, "full"), file, "f")
    reference = None if shift == "identity" else "toy/test/identity/0"
    who = ("toys", "classification", f"toy/{weights}", "plain")
    return EvaluationFile(*who, "toy", "test", shift, severity, file, reference)
