"""The tokens of a text are predicted, each from those before it; an answer is how unlikely they were.

A model gives `nll`, float (n,): the mean over a text's tokens of -log probability in nats, and `tokens`, int (n,): over
how many. Texts count alike in metrics, whatever their length, and are what is resampled.

Source: Shannon, "Prediction and Entropy of Printed English", Bell System Technical Journal 30, 1951.
"""

from typing import Any

import numpy as np
import pyarrow as pa

from shiftbench.base.errors import ModelError
from shiftbench.base.sample import Sample
from shiftbench.data.formats import E9, NLL_LIMIT, Column, Format
from shiftbench.plugins.tasks import _classified, _shown
from shiftbench.plugins.tasks._classes import LabelSpace

FIELDS = {"text": "txt", "meta": "json"}
REQUIRED = ("text",)
METRICS = ("nll",)
OUTPUTS = ("nll", "tokens")

RECORDS = Format(
    "records/language_modelling",
    "One row per text of an evaluation artifact: how unlikely its tokens were.",
    ("key",),
    (
        Column("key", pa.string(), "", "sample key"),
        Column("group", pa.string(), "", "group of the sample", nullable=True),
        Column("cluster", pa.string(), "", "what is resampled together", nullable=True),
        Column("tokens", pa.int64(), "", "tokens that were foretold", 1),
        Column("nll_e9", pa.int64(), "1e-9 nat", "mean over tokens of -log probability", 0, NLL_LIMIT),
    ),
)
FORMATS = (RECORDS,)


def schema(classes: int, outputs: str) -> pa.Schema:
    """The record schema, whatever the outputs mode."""
    return RECORDS.arrow


def check(sample: Sample, classes: list[str]) -> None:
    """Refuse nothing: every text can be predicted."""


def shown(sample: Sample) -> dict[str, Any]:
    """Preview of a sample; see `_shown.shown`."""
    return _shown.shown(sample)


def rows(samples: list[Sample], outputs: dict[str, np.ndarray], space: LabelSpace, outputs_mode: str) -> pa.Table:
    """One record per text, in their order.

    `outputs`: `nll` float (n,), `tokens` int (n,).
    """
    for name in OUTPUTS:
        if name not in outputs or outputs[name].shape != (len(samples),):
            shapes = {key: value.shape for key, value in outputs.items()}
            raise ModelError(f"expected {name} of shape ({len(samples)},), the model gives {shapes}")
    nll = np.asarray(outputs["nll"], np.float64)
    wrong = ~(np.isfinite(nll) & (nll >= 0) & (outputs["tokens"] > 0))
    if wrong.any():
        at = int(wrong.argmax())
        raise ModelError(
            f"sample {samples[at].key!r}: nll is {nll[at]} over {outputs['tokens'][at]} tokens; expected a finite "
            "number of at least 0 over one token or more"
        )
    columns = {
        "key": [sample.key for sample in samples],
        **_classified.metas(samples),
        "tokens": np.asarray(outputs["tokens"], np.int64),
        "nll_e9": np.minimum(np.rint(nll * E9), NLL_LIMIT).astype(np.int64),
    }
    return pa.table(columns, schema=RECORDS.arrow)
