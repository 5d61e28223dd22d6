"""A perturbation as released with ReCode: the prompt of the same problem in a file of a user's clone.

In `file`, the set is `humaneval` or `mbpp`, the family `nlaugmenter` (docstrings), `func_name`, `natgen` (syntax) or
`format`, the name as in the file's (`BackTranslation`). Severity j is the file with seed j - 1, so that 1 to 5 are the
five seeds of the paper. Prompt, entry point, solution and tests are the file's.

Source: Wang et al. 2023, https://arxiv.org/abs/2212.10264; https://github.com/amazon-science/recode. In files of
before August 2023 the seeds of name perturbations are identical (issue 5); `perturbed_rate` tells which files
change nothing. Takes no random words.
"""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from shiftbench.base.errors import DataError, ParamsError
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.systems.recode.datasets import _recode_release
from shiftbench.systems.recode.shifts import _code

FIELD = None
TASK = "generation"
LEVELS: dict[int, float] = {}
RANGE = _code.RANGE


def apply(
    value: Sample,
    severity: float,
    rng: RandomStream,
    *,
    path: Annotated[str, Field(description="the folder `dataset-release/perturbed_finalized` of a clone")] = "",
    file: Annotated[
        str, Field(description="file below `path`, SET/FAMILY/NAME")
    ] = "humaneval/nlaugmenter/BackTranslation",
) -> Sample:
    """The released version of a prompt.

    Raises:
        RangeError: the severity is no whole number in 0 to 10.
        DataError: no such file, or the problem is not in it.
        ParamsError: `file` has other parts than three.
    """
    if _code.seeded(__name__, severity, rng) is None:
        return value
    parts = file.split("/")
    if len(parts) != 3:
        raise ParamsError(f"shift 'recode_released': file is {file!r}; expected SET/FAMILY/NAME")
    name, family, perturbation = parts
    seed = int(severity) - 1
    released = _recode_release.perturbed(Path(path), name, family, perturbation, seed)
    problems, task = _recode_release.rows(released), value.fields["meta"]["task_id"]
    if task not in problems:
        raise DataError(f"{released.name} has no problem {task!r}")
    row = problems[task]
    meta = {**value.fields["meta"], "test": row["test"]}
    changed = value.with_field("meta", meta)
    return _code.with_code(changed, row["prompt"], row["canonical_solution"], row["entry_point"])
