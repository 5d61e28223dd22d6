"""The same item in another language, which its `meta.translations` holds; takes no random words.

Any severity above 0 is the language, 0 the item as it was stated: a language has no degrees. Text, label (where the
translation has one of its own), instruction, options and demonstrations are the language's; translations are dropped.

Source: the language axis of XTRUST, Li et al. 2024, arXiv:2409.15762.
"""

from typing import Annotated

from pydantic import Field

from shiftbench.base.errors import DataError, suggest
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.plugins.shifts import _levels

FIELD = None
TASK = "text_classification"
LEVELS: dict[int, float] = {}
RANGE = (0.0, 1.0)
_OF_SAMPLE = ("text", "label")


def apply(
    value: Sample,
    severity: float,
    rng: RandomStream,
    *,
    to: Annotated[str, Field(description="language of the item, for example `ar`")] = "",
) -> Sample:
    """The item in the language `to`.

    Raises:
        RangeError: the severity lies outside 0 to 1.
        DataError: the item is not stated in that language.
    """
    _levels.check(f"language_{to}", severity, RANGE)
    if not severity:
        return value
    meta = dict(value.fields["meta"])
    translations = meta.pop("translations", {})
    if to not in translations:
        raise DataError(f"{value.key} is not stated in {to!r}; {suggest(to, translations)}")
    version = translations[to]
    fields = {name: version[name] for name in _OF_SAMPLE if name in version}
    other_meta = {name: content for name, content in version.items() if name not in _OF_SAMPLE}
    return Sample(value.key, {**value.fields, **fields, "meta": {**meta, **other_meta}})
