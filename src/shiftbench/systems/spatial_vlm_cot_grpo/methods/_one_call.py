"""One call for each question, in the words of a form: for the answer alone, or for graph and answer.

With `ask: direct`, in the forms `words` and `paper` the prompt is the sample's text, as without a
method. The released scripts have a system text and list the options in one line. The answer is
read as in `two_call`.

Source: Yvonne511/spatial-vlm-investigator, CoT/CV_Bench_kluster_batch.py and, as the form `sat`,
CoT/SAT_kluster_batch.py.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets
from shiftbench.plugins import declare
from shiftbench.systems.spatial_vlm_cot_grpo.methods import _prompts, two_call

SEES = "sample"
TASKS = ("free_text",)
ASKS = ("direct", "single")


class Options(declare.Options):
    form: _prompts.Form = "released"
    ask: Literal["direct", "single"] = Field("direct", description="ask for the answer alone, or for graph and answer")


def wrap(predictor: nets.Predictor, params: Mapping[str, Any], inputs: Mapping[Ref, Path]) -> nets.Predictor:
    """Predictor that calls another one once; its `completions` are the answer to each sample.

    Raises:
        ParamsError: another form, or another `ask`.
    """
    if params["ask"] not in ASKS:
        raise ParamsError(f"ask is {params['ask']!r}; {suggest(params['ask'], ASKS)}")
    prompts = _prompts.of(params["form"])
    template, mark = (prompts.direct, "") if params["ask"] == "direct" else (prompts.single, prompts.mark)

    def predict(samples: Sequence[Sample]) -> nets.Outputs:
        texts = [_prompts.filled(template, one) for one in samples]
        return two_call.answers(two_call.replies_to(predictor, samples, texts), mark)

    return predict
