"""Problems of the files released with ReCode (HumanEval, MBPP, whole or partial), from a clone of the user's.

Their perturbed versions are the shift `recode_released`.
Source: Wang et al. 2023, https://arxiv.org/abs/2212.10264; https://github.com/amazon-science/recode.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import Field

from shiftbench.base.sample import Sample
from shiftbench.plugins import declare
from shiftbench.plugins.datasets import _human_eval
from shiftbench.systems.recode.datasets import _recode_release

TASK = "generation"
CLASSES = ()
NATIVE = ("test",)
SOURCES = ()
LICENCE = "Apache-2.0 (the release); HumanEval MIT, MBPP CC BY 4.0"
CITATION = "Wang et al., ReCode: Robustness Evaluation of Code Generation Models, ACL 2023, arXiv:2212.10264"
REDISTRIBUTE = False


class Options(declare.Options):
    path: str = Field("", description="a file of `dataset-release/nominal`, from a clone of amazon-science/recode")


def wants(split: str, params: dict[str, Any]) -> dict[str, str]:
    """The user's file."""
    return {str(params["path"]): "a file of dataset-release/nominal, from amazon-science/recode"}


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample]:
    """Yield all problems in the file's order, as `NAME/test/NUMBER`.

    Raises:
        DataError: the file is not as it should be; names the line.
    """
    problems = _recode_release.rows(Path(str(params["path"])))
    for number, row in enumerate(problems.values()):
        yield _human_eval.sample(f"{params['name']}/test/{number:04d}", row, partial=False)
