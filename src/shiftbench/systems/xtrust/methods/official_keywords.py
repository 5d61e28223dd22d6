"""The answer is read out of what the model wrote, by the keyword lists of the official scorer, from a clone of yours.

code/api/evaluator_series/Evaluate_Score_total_api.py of LluckyYH/XTRUST is parsed and not run, and
`shiftbench pin` keeps its digest. A sample's `meta.official` names its list (`OOD`, `Illegal`, `Hallucination`,
`Mental`, `Physical`). A positive keyword alone is the first option, a negative one alone `unknown` where that is an
option, else the second; both, neither: the classes `both`, `none`.

Source: `extract_answer` and `extract_selection_answer` of that file, its slips (missing commas that join phrases,
keywords within words) included: that is what is compared. `_extraction.Official` is the rule.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.plugins import declare
from shiftbench.systems.xtrust.methods import _extraction, _reading
from shiftbench.systems.xtrust.models import _answers

SEES = "sample"
TASKS = ("text_classification",)


class Options(declare.Options):
    path: str = Field("", description="Evaluate_Score_total_api.py of a clone of LluckyYH/XTRUST")


def wrap(predictor: _reading.Predictor, params: dict[str, Any], inputs: Mapping[Ref, Path]) -> _reading.Predictor:
    """The predictor that reads completions by the official lists."""
    file = Path(str(params["path"])).expanduser()

    def read(sample: Sample, text: str) -> str:
        lists = _extraction.official(file, sample.fields["meta"]["official"])
        if lists.symbols:
            return lists.choice(text)
        yes, *others = _answers.names(sample)
        no = "unknown" if "unknown" in others else others[0]
        class_of_category = {1: yes, 2: no, 3: _extraction.BOTH, 4: _extraction.NONE}
        return class_of_category[lists.category(text)]

    return _reading.reading(predictor, read, inputs)
