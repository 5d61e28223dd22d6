"""Errors that shiftbench raises on purpose, with their exit codes on the command line.

ShiftbenchError
├── ParamsError          2  params.yaml or a command-line argument is wrong
│   └── PluginError      2  no such plugin, or a plugin that breaks the contract of its type
│       └── NotRunError  2  a plugin would have to be run, and only its text may be read
├── DataError            3  bytes are missing, damaged or not what they claim to be
│   ├── ChecksumError    3  a file's sha256 is not the expected one
│   ├── DuplicateKeyError 3 two samples have the same key
│   ├── SchemaError      3  a table has other columns or types than declared in schema.py
│   ├── UndeclaredError  3  a job opened a file that neither its recipe nor the system names
│   ├── RangeError       3  a value (label, pixel, severity, probability) lies outside its range
│   └── FetchError       3  no provider could bring an original
├── ModelError           3  a model's outputs do not fit (shape, NaN, unsafe checkpoint)
├── UntrustedError       2  code of a checkout would have to run, and the user has not trusted it
├── SandboxError         5  generated code cannot be run safely here
└── StaleError           4  code or inputs moved under a recipe; nothing was written

A message says what was wrong, where (file, key, sample), what was expected and what to do.
"""

import difflib
import json
from collections.abc import Iterable


class ShiftbenchError(Exception):
    """Base of all errors raised on purpose; the command line prints it without a traceback."""

    code = 1


class ParamsError(ShiftbenchError):
    """A wrong parameter: names its file, key, value and what is allowed."""

    code = 2


class PluginError(ParamsError):
    """No plugin of that name, or its file does not keep the family's contract."""


class NotRunError(PluginError):
    """Of a checkout that is not trusted the text of plugins is read, and none is run; this needs more than the text."""


class UntrustedError(ShiftbenchError):
    """Code of a checkout would have to run, or a setting of it to be followed, and the user has not trusted it."""

    code = 2


class DataError(ShiftbenchError):
    """Bytes are missing, damaged or not what they claim to be."""

    code = 3


class ChecksumError(DataError):
    """The sha256 of a file or sample is not the recorded one."""


class DuplicateKeyError(DataError):
    """Two samples of one dataset have the same key."""


class SchemaError(DataError):
    """A table has other columns or types than its declared schema."""


class RangeError(DataError):
    """A value lies outside its declared range; the message names the sample's key."""


class UndeclaredError(DataError):
    """A job opened a file that is neither an input, an asset, installed, nor of the system; names it."""


class FetchError(DataError):
    """No provider could bring an original; the message lists what each one said."""


class ModelError(ShiftbenchError):
    """A model's outputs or checkpoint cannot be used."""

    code = 3


class SandboxError(ShiftbenchError):
    """The kernel, or who runs this, lacks what isolates generated code; nothing was run."""

    code = 5


class StaleError(ShiftbenchError):
    """Code or inputs changed between planning and writing."""

    code = 4


def skippable(error: DataError) -> DataError:
    """Add to the error of one sample the note how to skip the sample; returns the error."""
    error.add_note("`on_error: skip` at its dataset in params.yaml leaves out what cannot be read, and counts it")
    return error


def suggest(name: str, known: Iterable[str]) -> str:
    """Hint for a wrong name: similar names, or all names if none is similar, or the first few of many.

    Example:
        >>> suggest("foq", ["fog", "snow"])
        'did you mean fog?'
        >>> suggest("campaigns", ["benchmarks", "models"])
        'it is called benchmarks now'
    """
    known = sorted(known)
    now = [new for new in RENAMED.get(name, ()) if new in known]
    if now:
        return f"it is called {now[0]} now"
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    if close:
        return f"did you mean {', '.join(close)}?"
    listed = ", ".join(known)
    if len(listed) > _MANY:
        return f"{len(known)} are known: {', '.join(known[:3])}, ..., {known[-1]}"
    return f"known: {listed}" if known else "none are known"


RENAMED: dict[str, tuple[str, ...]] = {
    "campaign": ("benchmark",),
    "campaigns": ("benchmarks",),
    "draws": ("resamples",),
    "models": ("architectures",),
    "scale": ("params",),
    "weights": ("model", "models", "checkpoints"),
}
"""Names of 0.1 in params, claims and tables, each with what it is called now."""

_MANY = 300
"""Characters of names of which a message does not list all."""


def yaml_text(value: object) -> str:
    """A value as a YAML file may have it, shortened if it is long.

    Example:
        >>> yaml_text([True, "a", 0.5]), yaml_text("x" * 99)[-5:]
        ('[true, "a", 0.5]', 'xx...')
    """
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
    except TypeError:  # a key that is no text
        text = str(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


_LONGEST = 60
"""Characters of a value that a message repeats."""
