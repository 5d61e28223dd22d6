"""A perturbation of the syntax of given code by dead code or another name for a variable; see `_syntax`.

Source: Wang et al. 2023 (ReCode), https://arxiv.org/abs/2212.10264, section 3.3, after NatGen. The severity is a seed.
"""

import string
from collections.abc import Mapping

from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.systems.recode.shifts import _code, _dead_code, _syntax, _variables

FIELD = None
TASK = "generation"
LEVELS: dict[int, float] = {}
RANGE = _code.RANGE
PARAMS: dict[str, object] = {"change": ""}
CHANGES: dict[str, _syntax.Change] = {
    "dead_code": lambda code, own: _dead_code.inserted(code, own, last=False),
    "dead_code_last": lambda code, own: _dead_code.inserted(code, own, last=True),
    "rename_naive": lambda code, _: _variables.renamed(code, lambda _: "VAR_0"),
    "rename_random": lambda code, own: _variables.renamed(code, lambda name: _random(len(name), own)),
}


def facts(options: Mapping[str, object]) -> dict[str, object]:
    """Return which change it is."""
    return {"CHANGE": options["change"]}


def apply(value: Sample, severity: float, rng: RandomStream, *, change: str) -> Sample:
    """Return a prompt whose given code is written otherwise.

    Raises:
        RangeError: the severity is no whole number in 0 to 10.
        DataError: no code prompt.
    """
    return _syntax.changed(f"syntax_{change}", value, severity, rng, CHANGES[change])


def _random(length: int, rng: RandomStream) -> str:
    draws = rng.uniform(length)
    return "".join(_ALL[int(draw * (len(_ALL) if at else 52))] for at, draw in enumerate(draws))


_ALL = string.ascii_letters + string.digits
