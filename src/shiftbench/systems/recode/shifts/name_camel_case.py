"""Name, CamelCase: snake case becomes camel case, and camel case snake case.

Source: Wang et al. 2023 (ReCode), https://arxiv.org/abs/2212.10264, section 3.2; replacement
of names as in `_names`. Deterministic: all seeds are alike. Takes no random words.
"""

from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.systems.recode.shifts import _code, _names

FIELD = None
TASK = "generation"
LEVELS: dict[int, float] = {}
RANGE = _code.RANGE


def apply(value: Sample, severity: float, rng: RandomStream) -> Sample:
    """A prompt whose function has another name.

    Raises:
        RangeError: the severity is no whole number in 0 to 10.
        DataError: no code prompt.
    """
    stream = _code.seeded(__name__, severity, rng)
    name = _code.Code.of(value).entry
    parts = [part.lower() for part in _names.split(name)]
    camel = parts[0] + "".join(part.capitalize() for part in parts[1:])
    new = camel if "_" in name.strip("_") else "_".join(parts)
    usable = stream is not None and new != name and new.isidentifier()
    return _names.with_name(value, new) if usable else value
