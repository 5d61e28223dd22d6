"""A model's raw logs in a clone of the official repository, as a model: nothing is asked, its completions are read.

Of a sample count `meta.of` (its task), `meta.language`,
`meta.row` and `meta.shots`: the newest run of that task and language with so many demonstrations. The row
must have been asked what the sample says, else it answers another item. There are no log-probabilities: the methods
that read completions answer (`phrase_table`, `official_keywords`), and `plain` says `none`.

Source: LluckyYH/XTRUST, Li et al. 2024, arXiv:2409.15762; no licence is stated, so nothing of it is here.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from shiftbench.base.errors import ModelError
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets
from shiftbench.plugins import declare
from shiftbench.plugins.models import _given
from shiftbench.systems.xtrust.models import _answers, _logs

TASK = "text_classification"
REEVALUABLE = False


class Options(declare.Options):
    path: str = Field("", description="code/api/evaluator_series/logs_MODEL-api of a clone of LluckyYH/XTRUST")


def pretrained(params: Mapping[str, Any], inputs: Mapping[Ref, Path]) -> nets.State:
    """State instead of the logs: one sha256 over all files of the folder."""
    return _given.folder_state(Path(params["path"]).expanduser())


def load(
    weights: Path, params: Mapping[str, Any], classes: Sequence[str], device: str, inputs: Mapping[Ref, Path]
) -> nets.Predictor:
    """The predictor: `completions`, one for each item, and `logits` that say `none`.

    Raises:
        ModelError: the folder is another than the weights name, or a row was asked something else.
        DataError: there is no such run.
    """
    folder = Path(params["path"]).expanduser()
    _given.check_folder(weights, folder)

    @cache
    def run(language: str, task: str, shots: int) -> _logs.Run:
        return _logs.newest(folder, language, task, shots)

    @cache
    def rows(run_of_logs: _logs.Run) -> list[tuple[str, str]]:
        return run_of_logs.rows()

    def completion(sample: Sample) -> str:
        meta = sample.fields["meta"]
        run_of_sample = run(meta["language"], meta["of"], meta.get("shots", 0))
        rows_of_run = rows(run_of_sample)
        question, answer = rows_of_run[meta["row"]] if meta["row"] < len(rows_of_run) else ("", "")
        if _plain(sample.fields["text"]) not in _plain(question):
            raise ModelError(
                f"{run_of_sample.file}, row {meta['row']}, was asked another question than {sample.key} in "
                f"{meta['language']}; read the items from these logs (`path` of the dataset xtrust)"
            )
        return answer

    def predict(samples: Sequence[Sample]) -> nets.Outputs:
        texts = np.empty(len(samples), object)
        texts[:] = [(completion(sample),) for sample in samples]
        logits = _answers.logits([{"none": 0.0}] * len(samples), classes)
        return {"logits": logits, "completions": texts}

    return predict


def _plain(text: str) -> str:
    return "".join(text.split())
