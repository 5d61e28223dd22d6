"""Labelled filter: CNS-Bench's filter with its published thresholds, judged on images labelled by hand.

The images are those of `cns_labelled`, with the four scores that the released code computed. Nothing is fitted: an
image passes a score above its threshold, which alone removes 90% of the authors' images out of class.

| row (detector) | score | threshold |
| --- | --- | --- |
| `clip_text` | 100 cos(image, "a photo of a CLASS"), CLIP ViT-B/16 | 28.739 |
| `clip_text_nuisance` | the same of "a photo of a CLASS in NUISANCE" | 35.293 |
| `clip_image` | cos with the image at scale 0, CLIP ViT-B/16 | 0.8059 |
| `dino_image` | the same of the softmax of DINOv2 ViT-L/14's class token (with registers) | 0.7812 |
| `keep_K_of_4` | K of these pass | |

`keep_2_of_4` is the released code, `keep_3_of_4` the paper's text; see `_validity`. Metrics are `true_positive_rate`
(of images out of class, removed), `false_positive_rate` (of others, removed), `filter_accuracy` and
`balanced_accuracy`. In the last an image counts by the size of its kind in the set as it is, so that it is a mean over
images; in resampled sets these sizes are not computed again.

Source: CNS-Bench, ICCV 2025, arXiv 2507.17651; the digits are those of `evaluation/sliders_filter.ipynb` of
odunkel/CNS-Bench.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from pydantic import Field

from shiftbench.base import refs
from shiftbench.base.errors import DataError
from shiftbench.base.refs import Ref
from shiftbench.plugins import declare
from shiftbench.plugins.contracts import Measurement, Observation
from shiftbench.systems.cns_bench.analyses import _validity
from shiftbench.systems.cns_bench.analyses._validity import Flags, Floats
from shiftbench.systems.cns_bench.datasets import cns_labelled

NAMES = ("clip_text", "clip_text_nuisance", "clip_image", "dino_image")


class Options(declare.Options):
    CLIP_class: float = Field(28.7394449, description="threshold of `clip_text`")
    CLIP_class_shift: float = Field(35.2928484, description="threshold of `clip_text_nuisance`")
    CLIP_ref: float = Field(0.805859378, description="threshold of `clip_image`")
    DINO_ref_no_head: float = Field(0.781161878, description="threshold of `dino_image`")


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The shards of the labelled images."""
    return [refs.shards(params["dataset"], params["split"])]


def measure(job: Measurement) -> Iterator[Observation]:
    """Yield what each score alone and each vote does to each image.

    Raises:
        DataError: all images are out of class, or none is, or the set is another one.
    """
    (ref,) = needs(job.params)
    samples = job.samples(ref)
    try:
        meta = [sample.fields["meta"] for sample in samples]
        scores = np.array([[one[name] for name in cns_labelled.SCORES] for one in meta], np.float64)
        out = np.array([one[cns_labelled.OUT] for one in meta], dtype=np.bool_)
    except KeyError as error:
        raise DataError(f"labelled_filter takes images of cns_labelled; no {error} here") from None
    if out.all() or not out.any():
        raise DataError(f"labelled_filter: {int(out.sum())} of {len(out)} images are out of class")
    thresholds = np.array([float(job.params[name]) for name in cns_labelled.SCORES])
    keys = [sample.key for sample in samples]
    for voter in _validity.voters(NAMES, thresholds):
        keep = voter.keeps(scores)
        yield from _rows(job.params, voter.name, keys, keep, out)


def _rows(params: Mapping[str, Any], detector: str, keys: list[str], keep: Flags, out: Flags) -> Iterator[Observation]:
    correct = (keep != out).astype(np.float64)
    share = np.where(out, out.mean(), (~out).mean())
    metrics: dict[str, tuple[Floats, Flags]] = {
        "true_positive_rate": ((~keep).astype(np.float64), out),
        "false_positive_rate": ((~keep).astype(np.float64), ~out),
        "filter_accuracy": (correct, np.ones_like(out)),
        "balanced_accuracy": (correct / (2 * share), np.ones_like(out)),
    }
    model = refs.checkpoint(params["dataset"], "labelled", "filter", 0).name
    for metric, (values, counts) in metrics.items():
        for key, value, is_counted in zip(keys, values, counts, strict=True):
            if is_counted:
                yield Observation(
                    metric, key, float(value), model, params["dataset"], params["split"],
                    detector=detector, shift="identity",
                )  # fmt: skip
