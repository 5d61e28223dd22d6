"""Few-shot tasks: a sample is a whole task, and a row its risk after adaptation.

`meta` of a sample may have the task's `identifier`, a list of numbers: its place in the distribution of tasks. A model
may give `predicted_risk`, float (n,), what it expected the risk of each task to be (NaN: it does not say). Tasks count
alike in metrics, and are what is resampled.
"""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shiftbench.base.errors import ModelError
from shiftbench.base.sample import Sample
from shiftbench.data.formats import E9, NLL_LIMIT, Column, Format
from shiftbench.plugins.tasks import _classified

METRICS = ("risk", "risk_std", "cvar", "cvar10", "cvar30", "cvar50", "cvar70", "cvar90", "risk_correlation")
RISK_LIMIT = NLL_LIMIT
"""562,949.95 in billionths; what is worse counts as this bad, so that sums stay exact."""


def form(task: str, about: str, risk: str, unit: str) -> Format:
    """The record format of a task, with what its risk is and the risk's unit."""
    return Format(
        f"records/{task}",
        f"One row per task of an evaluation artifact: {about}.",
        ("key",),
        (
            Column("key", pa.string(), "", "sample key"),
            Column("group", pa.string(), "", "group of the sample", nullable=True),
            Column("cluster", pa.string(), "", "what is resampled together", nullable=True),
            Column("identifier", pa.list_(pa.float64()), "", "the task's place in its distribution", nullable=True),
            Column("risk_e9", pa.int64(), f"1e-9 {unit}", f"{risk} over the query", 0, RISK_LIMIT),
            Column(
                "predicted_risk_e9", pa.int64(), f"1e-9 {unit}", "what the model expected it to be",
                -RISK_LIMIT, RISK_LIMIT, nullable=True,
            ),
        ),
    )  # fmt: skip


def identifier(sample: Sample) -> list[float] | None:
    """The task's place in its distribution, if it says so."""
    place: list[float] | None = (sample.fields.get("meta") or {}).get("identifier")
    return place


def rows(samples: list[Sample], risks: list[float], outputs: dict[str, np.ndarray], form: Format) -> pa.Table:
    """One record per task, in their order.

    `risks`: of each.
    `outputs`: `predicted_risk` float (n,) or absent.
    `form`: from `form`.
    """
    columns = {
        "key": [sample.key for sample in samples],
        **_classified.metas(samples),
        "identifier": pa.array(map(identifier, samples), pa.list_(pa.float64())),
        "risk_e9": _e9(np.array(risks, np.float64)),
        "predicted_risk_e9": _predicted(samples, outputs),
    }
    return pa.table(columns, schema=form.arrow)


def _predicted(samples: list[Sample], outputs: dict[str, np.ndarray]) -> pa.Array:
    risks = np.asarray(outputs.get("predicted_risk", np.full(len(samples), np.nan)), np.float64)
    if risks.shape != (len(samples),):
        raise ModelError(f"predicted_risk has the shape {risks.shape}; expected ({len(samples)},)")
    missing = np.isnan(risks)
    return pa.array(_e9(np.where(missing, 0, risks)), mask=missing)


def _e9(values: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.clip(np.rint(values * E9), -RISK_LIMIT, RISK_LIMIT).astype(np.int64)
