"""The answer alone in one call: what SceneGraph CoT is compared with, in the words of its form.

Of the forms `words` and `paper` the prompt is the sample's text, as without a method; the released scripts have a
system text and list the options in one line. The answer is read as in two calls.

Source: Yvonne511/spatial-vlm-investigator, CoT/CV_Bench_kluster_batch.py and, as the form `sat`,
CoT/SAT_kluster_batch.py.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets
from shiftbench.systems.spatial_vlm_cot_grpo.methods import _prompts, two_call

SEES = "sample"
TASKS = ("free_text",)
PARAMS: dict[str, object] = {"form": "released"}


def wrap(predictor: nets.Predictor, params: Mapping[str, Any], inputs: Mapping[Ref, Path]) -> nets.Predictor:
    """Return what calls a predictor once and gives `completions`, the answer of each.

    Raises:
        ParamsError: another form.
    """
    prompts = _prompts.of(params["form"])

    def predict(samples: Sequence[Sample]) -> nets.Outputs:
        texts = [_prompts.filled(prompts.direct, one) for one in samples]
        return two_call.answers(two_call.said(predictor, samples, texts))

    return predict
