"""Errors that shiftbench raises on purpose, with their exit codes on the command line.

ShiftbenchError          1
├── ParamsError          2  params.yaml or a command-line argument is wrong
│   └── PluginError      2  no such plugin, or a plugin that breaks the contract of its type
│       └── NotRunError  2  a plugin would have to be imported, and only its text may be read
├── DataError            3  bytes are missing, damaged or not what they claim to be
│   ├── ChecksumError    3  a file's sha256 is not the expected one
│   ├── DuplicateKeyError 3 two samples have the same key
│   ├── SchemaError      3  a table has other columns or types than declared in schema.py
│   ├── UndeclaredError  3  a job opened a file that neither its recipe nor the system names
│   ├── RangeError       3  a value (label, pixel, severity, probability) is outside its range
│   └── FetchError       3  no provider could download a source file
├── ModelError           3  a model's outputs do not fit (shape, NaN, unsafe checkpoint)
├── UntrustedError       2  code of a checkout would have to run, and the user has not trusted it
├── SandboxError         5  generated code cannot be run safely here
└── StaleError           4  code or inputs changed after planning; nothing was written

A message says what was wrong, where (file, key, sample), what was expected and what to do.
"""

import difflib
import json
from collections.abc import Callable, Iterable


class ShiftbenchError(Exception):
    """Base of all errors raised on purpose; the command line prints it without a traceback."""

    code = 1


class ParamsError(ShiftbenchError):
    """A wrong parameter: names its file, key, value and what is allowed."""

    code = 2


class PluginError(ParamsError):
    """No plugin of that name, or its file breaks the contract of its plugin type."""


class NotRunError(PluginError):
    """A plugin of an untrusted checkout would have to be imported; only the text of such plugins is read."""


class UntrustedError(ShiftbenchError):
    """Code of a checkout would have to run, or one of its settings would apply, and the user has not trusted it."""

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
    """A value is outside its declared range; the message names the sample's key."""


class UndeclaredError(DataError):
    """A job opened a file that is neither an input, an asset, installed, nor of the operating system."""


class FetchError(DataError):
    """No provider could download a source file; the message lists the error of each one."""


class ModelError(ShiftbenchError):
    """A model's outputs or checkpoint cannot be used."""

    code = 3


class SandboxError(ShiftbenchError):
    """The kernel or the user's permissions do not allow the isolation of generated code; nothing was run."""

    code = 5


class StaleError(ShiftbenchError):
    """Code or inputs changed between planning and writing."""

    code = 4


def skippable(error: DataError) -> DataError:
    """The error of one sample, with a note on how to skip such samples."""
    error.add_note("`on_error: skip` at its dataset in params.yaml leaves out what cannot be read, and counts it")
    return error


def check_all(checks: Iterable[Callable[[], object]]) -> None:
    """Run independent checks of params, and raise all of their errors at once.

    Raises:
        ParamsError: the only error, or one with the messages of all, each on its own line.
    """
    errors: list[ParamsError] = []
    for check in checks:
        try:
            check()
        except ParamsError as error:
            errors.append(error)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise ParamsError("\n".join(dict.fromkeys(map(str, errors)))) from None


def suggest(name: str, known: Iterable[str]) -> str:
    """Advice for a wrong name: similar names, or all names if none is similar, or the first few of many.

    Example:
        >>> suggest("foq", ["fog", "snow"])
        'did you mean fog?'
        >>> suggest("campaigns", ["benchmarks", "models"])
        'it is called benchmarks now'
    """
    known = sorted(known)
    new_names = [new for new in RENAMED.get(name, ()) if new in known]
    if new_names:
        return f"it is called {new_names[0]} now"
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
"""Names in params, claims and tables of version 0.1, each with its present names."""

_MANY = 300
"""Most characters of the list of all names in a message."""


def yaml_text(value: object) -> str:
    """A value as text in YAML, shortened if it is long.

    Example:
        >>> yaml_text([True, "a", 0.5]), yaml_text("x" * 99)[-5:]
        ('[true, "a", 0.5]', 'xx...')
    """
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
    except TypeError:  # a key is not a text
        text = str(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


_LONGEST = 60
"""Most characters of a value in a message."""
