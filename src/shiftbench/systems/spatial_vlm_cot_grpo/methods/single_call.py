"""Graph and answer in one call: the control of SceneGraph CoT, which asks for both in one sample.

Source: sections III-E and IV-C of the paper, which find it worse than two calls.
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
PARAMS: dict[str, object] = {"form": "words"}


def wrap(predictor: nets.Predictor, params: Mapping[str, Any], inputs: Mapping[Ref, Path]) -> nets.Predictor:
    """Return what calls a predictor once and gives `completions`, the answer behind the graph of each.

    Raises:
        ParamsError: another form.
    """
    prompts = _prompts.of(params["form"])

    def predict(samples: Sequence[Sample]) -> nets.Outputs:
        texts = [_prompts.filled(prompts.single, one) for one in samples]
        return two_call.answers(two_call.said(predictor, samples, texts), prompts.mark)

    return predict
