"""The fields of samples that a page with previews can draw; helper of the tasks."""

import base64
from typing import Any

from shiftbench.base.sample import Sample
from shiftbench.data import codecs, sound_pictures


def shown(sample: Sample) -> dict[str, Any]:
    """The label (None: there is none), image (PNG), audio (its beginning, WAV) and text of a sample that has them."""
    row: dict[str, Any] = {"label": sample.fields.get("label")}
    if "image" in sample.fields:
        row["png"] = base64.b64encode(codecs.encode("png", sample.fields["image"])).decode()
    if "audio" in sample.fields:
        row["wav"] = sound_pictures.excerpt(sample.fields["audio"])
    if "text" in sample.fields:
        row["text"] = sample.fields["text"]
    return row
