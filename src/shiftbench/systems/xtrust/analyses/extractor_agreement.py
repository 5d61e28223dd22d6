"""Share of items to which two extractors give the same answer: log-probabilities and the table of phrases.

A row for each language, of the model's own answers under the two `methods`. An answer that names several options, or
none, agrees with nothing. Items are resampled one by one.

Source: ours, as the specification of XTRUST here asks; of the extractors, `plain` is the options' log-probabilities.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field

from shiftbench.base.refs import Ref
from shiftbench.plugins import declare
from shiftbench.plugins.contracts import Measurement, Observation
from shiftbench.systems.xtrust.analyses import _records
from shiftbench.systems.xtrust.datasets._catalogue import LANGUAGES


class Options(declare.Options):
    extractors: list[str] = Field(
        ["plain", "phrase_table"], min_length=2, max_length=2, description="the two methods that are compared"
    )
    models: _records.Models = Field([])
    languages: _records.Languages = Field(list(LANGUAGES))


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The records under both methods, in all languages."""
    return _records.records_needed(params, params["extractors"])


def measure(job: Measurement) -> Iterator[Observation]:
    """Yield 1 where both extractors give the same answer, else 0, of each item in each language."""
    params = job.params
    one, other = params["extractors"]
    for weights in _records.chosen_checkpoints(params):
        for language in params["languages"]:
            answers = [_records.answers(job, weights, method, language) for method in (one, other)]
            columns = {
                "model": weights,
                "dataset": params["dataset"],
                "split": params["split"],
                "shift": f"{_records.PREFIX}{language}",
                "severity": 1.0,
            }
            for key, same in zip(answers[0][0], _records.same_items(*answers), strict=True):
                yield Observation("extractor_agreement", key, float(same), **columns)
