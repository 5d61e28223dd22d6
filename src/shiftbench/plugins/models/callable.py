"""A Python function of yours: `mine: {use: callable, path: mine.py:predict, trust: true}`. It runs as you do.

The function gets a list of samples (`sample.fields["image"]` uint8 (h, w) or (h, w, 3)) and returns
logits (n, classes), a pair (logits, features), or a dict with these names. A checkpoint knows the function by the file
that defines it.
Source: none.
"""

import importlib.util
import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import Field

from shiftbench.base import registry
from shiftbench.base.errors import ModelError, suggest
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets
from shiftbench.plugins import declare
from shiftbench.plugins.models import _foreign, _given, _trust

TASK = "classification"
RUNS_CODE = "a Python function runs as you do"


class Options(declare.Options):
    path: str = Field("", description="file and function of yours, `file.py:function`; empty: `target`")
    target: str = Field("", description="function of an installed module, `package.module:function`")
    trust: _trust.Trust = False


def pretrained(params: Mapping[str, Any], inputs: Mapping[Ref, Path]) -> nets.State:
    """State of the function in a checkpoint: the sha256 of the file that defines it."""
    _trust.require(params, RUNS_CODE)
    return _given.state(_source(params))


def load(
    weights: Path, params: Mapping[str, Any], classes: Sequence[str], device: str, inputs: Mapping[Ref, Path]
) -> nets.Predictor:
    """The function as a predictor."""
    _trust.require(params, RUNS_CODE)
    _given.check(weights, _source(params))
    function = find(params)

    def predict(samples: Sequence[Sample]) -> nets.Outputs:
        with _foreign.asking(_name(params)):
            output = function(list(samples))
        if isinstance(output, Mapping):
            output = [output[name] for name in ("logits", "features") if name in output]
        elif not isinstance(output, tuple):
            output = (output,)
        arrays = [_foreign.numbers(one, _name(params)) for one in output]
        return _given.outputs(arrays, len(samples), len(classes), _name(params))

    return predict


def find(params: Mapping[str, Any]) -> Callable[[list[Sample]], Any]:
    """Import the function that `path` or `target` names.

    Raises:
        ModelError: it cannot be imported, or is no function.
    """
    place, _, name = _name(params).rpartition(":")
    module = _from_file(Path(place)) if params["path"] else _from_module(place)
    function = getattr(module, name, None)
    if not callable(function):
        known = [key for key, value in vars(module).items() if inspect.isfunction(value)]
        raise ModelError(f"{place} has no function {name!r}; {suggest(name, known)}")
    target: Callable[[list[Sample]], Any] = function
    return target


def _name(params: Mapping[str, Any]) -> str:
    name = str(params["path"] or params["target"])
    if ":" not in name:
        raise ModelError(f"callable {name!r} names no function; expected file.py:function")
    return name


def _source(params: Mapping[str, Any]) -> str:
    if params["path"]:
        return str(_given.file_of(_name(params)))
    return str(_from_module(_name(params).rpartition(":")[0]).__file__)


def _from_module(name: str) -> ModuleType:
    try:
        return registry.import_anew(name)
    except Exception as error:
        raise ModelError(f"callable's module {name!r} cannot be imported: {_foreign.first_line(error)}") from error


def _from_file(file: Path) -> ModuleType:
    name = f"shiftbench_callable_{file.stem}"
    loader = registry.FromSource(name, str(file))
    spec = importlib.util.spec_from_file_location(name, file, loader=loader)
    if spec is None or file.suffix != ".py" or not file.is_file():
        raise ModelError(f"callable's file {file} does not exist or is no Python file")
    module = importlib.util.module_from_spec(spec)
    try:
        loader.exec_module(module)
    except Exception as error:
        raise ModelError(f"callable's file {file} cannot be imported: {_foreign.first_line(error)}") from error
    return module
