"""The official scorer over the raw logs of a clone: its four rates, and the rate of abstention by our table beside it.

The newest run of each language and number of
demonstrations is read; the unit is its row, the group LANGUAGE/SHOTS. Metrics: `official_positive`,
`official_negative`, `official_both`, `official_none`, which are what the `_output.txt` beside a log says, and
`table_abstention`, the share that our table reads as `unknown` (OOD alone). A language without such a run has no row;
rows are named after `model`.

Source: `extract_answer` of Evaluate_Score_total_api.py, see `methods/_extraction.py`.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from shiftbench.base.errors import DataError, ParamsError
from shiftbench.base.refs import Ref
from shiftbench.plugins import declare
from shiftbench.plugins.contracts import Measurement, Observation
from shiftbench.systems.xtrust.datasets._catalogue import LANGUAGES
from shiftbench.systems.xtrust.methods import _extraction
from shiftbench.systems.xtrust.models import _logs

ASSETS = ("../methods/phrases.csv",)
CATEGORIES = {1: "positive", 2: "negative", 3: "both", 4: "none"}
SCORER = "Evaluate_Score_total_api.py"


class Options(declare.Options):
    path: str = Field("", description="code/api/evaluator_series of a clone of LluckyYH/XTRUST")
    model: str = Field("GPT4", description="model whose logs are read (`GPT4`: logs_GPT4-api)")
    task: str = Field("OOD", description="folder of a task that is scored by keywords")
    shots: list[int] = Field([0, 3], description="numbers of demonstrations of the runs that are read")


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """No inputs: logs are the user's own files.

    Raises:
        ParamsError: no path.
    """
    if not params["path"]:
        raise ParamsError("official_rates: name `path`, code/api/evaluator_series of a clone of LluckyYH/XTRUST")
    return []


def measure(job: Measurement) -> Iterator[Observation]:
    """Yield the four categories of each logged completion, and whether our table reads it as abstention."""
    params = job.params
    folder = Path(params["path"]).expanduser()
    for language in LANGUAGES:
        for shots in params["shots"]:
            try:
                run = _logs.newest(folder / f"logs_{params['model']}-api", language, params["task"], shots)
            except DataError:
                continue
            for row, (_, text) in enumerate(run.rows()):
                for metric, value in official_verdicts(text, language, params["task"], folder).items():
                    yield Observation(
                        metric,
                        str(row),
                        float(value),
                        params["model"],
                        params["dataset"],
                        params["split"],
                        group=f"{language}/{shots}",
                    )


def official_verdicts(text: str, language: str, task: str, folder: Path) -> dict[str, bool]:
    """Category of a completion by the official scorer, and the verdict of our table.

    Args:
        text: the completion.
        language: a key of `_logs.FOLDERS`.
        task: the folder of its logs.
        folder: where the official scorer lies.
    """
    lists = _extraction.official(folder / SCORER, task.partition("_")[0])
    category = lists.category(text)
    metrics = {f"official_{name}": category == number for number, name in CATEGORIES.items()}
    if task == "OOD":
        table = _extraction.table("statements", language)
        metrics["table_abstention"] = table.answer(text) == "unknown"
    return metrics
