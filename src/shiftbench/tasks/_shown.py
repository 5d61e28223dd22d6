"""What previews hold of samples: the fields that a page can draw; helper of the tasks."""

from __future__ import annotations

import base64
from typing import Any

from shiftbench.data import codecs
from shiftbench.sample import Sample


def shown(sample: Sample) -> dict[str, Any]:
    """Return the label (None: there is none), the image as PNG in base64 and the text, as far as they are there."""
    row: dict[str, Any] = {"label": sample.fields.get("label")}
    if "image" in sample.fields:
        row["png"] = base64.b64encode(codecs.encode("png", sample.fields["image"])).decode()
    if "text" in sample.fields:
        row["text"] = sample.fields["text"]
    return row
