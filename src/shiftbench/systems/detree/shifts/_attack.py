"""One of the nine attacks that DETree trains with and is tested under; `attack` says which (`_edits`).

Severity 1 is the released share of the places, 0 changes none, and between them it is a part of that share: a stronger
attack keeps what a weaker one changed.

Source: He et al. 2025 (DETree), arXiv:2510.17489; detree/utils/adversarial in https://github.com/heyongxin233/DETree.

Takes one 16-bit word and one raw word per place, then one 16-bit word for each.
"""

from collections.abc import Mapping
from pathlib import Path

from pydantic import Field

from shiftbench.base.rng import RandomStream
from shiftbench.plugins import declare
from shiftbench.plugins.shifts import _levels
from shiftbench.systems.detree.shifts import _edits

FIELD = "text"
LEVELS: dict[int, float] = {}
RANGE = (0.0, 1.0)


class Options(declare.Options):
    attack: str = Field("", description="name of the attack, a key of `_edits.ATTACKS`")
    released: bool = Field(False, description="as the released code, where it differs from the paper")


def facts(options: Mapping[str, object]) -> dict[str, object]:
    """Name of the attack, and the lists that it reads."""
    attack = options["attack"]
    return {"ATTACK": attack, "SOURCES": (_edits.LISTS,) if attack in _edits.FILES else ()}


def apply(
    value: str,
    severity: float,
    rng: RandomStream,
    *,
    attack: str,
    released: bool = False,
    sources: Mapping[str, Path] | None = None,
) -> str:
    """The text under the attack.

    Raises:
        RangeError: severity outside 0 to 1.
        DataError: the attack's list is not here.
    """
    _levels.check(attack, severity, RANGE)
    return _edits.edit_text(value, attack, severity, rng, sources or {}, released=released)
