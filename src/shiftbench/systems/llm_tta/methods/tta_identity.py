"""Test-time augmentation by copies of the text: what averaging alone does, which is nothing.

Source: the control of O'Brien et al. 2024, arXiv:2402.08225; `_tta` has what is done with the copies.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.systems.llm_tta.methods import _tta

SEES = "sample"
TASKS = ("text_classification",)


class Options(_tta.Options):
    pass


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """No inputs."""
    return []


def wrap(predictor: Callable[..., Any], params: dict[str, Any], inputs: Mapping[Ref, Path]) -> _tta.Averaging:
    """The predictor with its rewriter."""

    def rewrite(samples: Sequence[Sample]) -> list[list[str]]:
        return [[sample.fields["text"]] * params["k"] for sample in samples]

    return _tta.Averaging(predictor, rewrite, params)
