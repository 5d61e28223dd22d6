"""Options of plugins: typed fields, each with a default, the allowed values and a meaning.

A plugin states its options in one of two ways:

- a file that is a plugin has a class, whose fields are pydantic's:

      class Options(declare.Options):
          k: int = Field(50, ge=1, description="rank of the neighbour")

- a function that is a plugin, and `apply` of a shift, has keyword parameters with a default, with `Annotated` where the
  type alone does not say enough.

Errors in params.yaml, `shiftbench describe` and the pages in docs/params read these fields. `PARAMS`, a dictionary of
defaults, still works in a plugin of yours; a value must then have the type of its default.
"""

import functools
import inspect
import operator
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any

import pydantic
from pydantic import BaseModel, ConfigDict
from pydantic.fields import FieldInfo

from shiftbench.base.errors import suggest, yaml_text
from shiftbench.base.messages import expected

CLASS = "Options"


class Options(BaseModel):
    """Base of the options of a plugin; a value of another type is an error, it is not converted."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, protected_namespaces=(), arbitrary_types_allowed=True
    )


def of(module: ModuleType) -> type[Options]:
    """Options of a plugin as a class, without the changes of a variant."""
    stated = _stated(module)
    if stated is not None:
        return stated
    if hasattr(module, "PARAMS"):
        return _class({name: (_type(default), default) for name, default in module.PARAMS.items()})
    function = getattr(module, "function", None) or getattr(module, "apply", None)
    return _of_function(function) if inspect.isfunction(function) else Options


def _stated(module: ModuleType) -> type[Options] | None:
    stated = getattr(module, CLASS, None)
    return stated if isinstance(stated, type) and issubclass(stated, Options) else None


@functools.cache
def _of_function(function: Callable[..., Any]) -> type[Options]:
    return _class({name: _parameter(function, name, default) for name, default in keywords(function).items()})


def fields(module: ModuleType) -> dict[str, FieldInfo]:
    """Fields of a plugin's options by their names in params.yaml."""
    return {field.alias or name: field for name, field in of(module).model_fields.items()}


def defaults(module: ModuleType) -> dict[str, Any]:
    """Default of each option; of a variant with the values that it sets."""
    variant = vars(module).get("VARIANT")
    if _stated(module) is None and hasattr(module, "PARAMS"):
        own = module.PARAMS
    else:
        own = {name: field.get_default(call_default_factory=True) for name, field in fields(module).items()}
    return {**own, **(variant.options if variant is not None else {})}


def problems(module: ModuleType, values: Mapping[str, object]) -> list[str]:
    """What is wrong with values of options, a line each, to write after the place of the options and a dot.

    Example:
        'k = "many": expected a whole number (default 50)'
    """
    known = defaults(module)
    unknown = [
        f"{name}: unknown option of {module.__name__}; {suggest(name, known)}" for name in values if name not in known
    ]
    try:
        of(module).model_validate({name: value for name, value in values.items() if name in known})
    except pydantic.ValidationError as error:
        return unknown + list(_lines(error, values, known))
    return unknown


def _lines(error: pydantic.ValidationError, values: Mapping[str, object], known: Mapping[str, object]) -> Iterator[str]:
    """A line for each wrong option, with what each of several allowed types expects."""
    wrong: dict[str, list[str]] = {}
    for problem in error.errors():
        option = str(problem["loc"][0]) if problem["loc"] else ""
        words, place = expected(problem), problem["loc"][1:]
        if place and place[-1] == "[key]":
            words = f"the key {place[-2]!r}: {words}"
        elif place and isinstance(place[0], int):
            words = words.replace("expected ", "expected a list, each ", 1)
        wrong.setdefault(option, []).append(words)
    for option, expectations in wrong.items():
        first, *others = dict.fromkeys(expectations)
        allowed = ", or ".join([first, *(other.removeprefix("expected ") for other in others)])
        if option:
            default = yaml_text(known[option])
            yield f"{option} = {yaml_text(values[option])}: {allowed} (default {default})"
        else:
            yield allowed


def keywords(function: Callable[..., Any]) -> dict[str, object]:
    """Parameters of a function that have a default, each with it; `sources` are files, and no option."""
    parameters = inspect.signature(function).parameters.values()
    defaults = {one.name: one.default for one in parameters if one.default is not inspect.Parameter.empty}
    return {name: default for name, default in defaults.items() if name != "sources"}


def _parameter(function: Callable[..., Any], name: str, default: object) -> tuple[Any, object]:
    """Type and default of a parameter; a type that is still a text is evaluated where the function is written."""
    annotation = function.__annotations__.get(name, inspect.Parameter.empty)
    if isinstance(annotation, str):
        annotation = eval(annotation, {}, _Namespace(function.__globals__))  # noqa: S307 - text of the plugin itself
    return (_type(default) if annotation is inspect.Parameter.empty else annotation), default


class _Namespace(dict[str, Any]):
    """Names of a module, of which one that was read in part runs what is asked for."""

    def __missing__(self, name: str) -> object:
        find = self.get("__getattr__")
        if find is None:
            raise KeyError(name)
        try:
            return find(name)
        except AttributeError:
            raise KeyError(name) from None


def _class(options: Mapping[str, tuple[Any, object]]) -> type[Options]:
    with warnings.catch_warnings():  # an option may be called `validate` or `copy`, as a method of pydantic's is
        warnings.simplefilter("ignore", UserWarning)
        made: type[Options] = pydantic.create_model(CLASS, __base__=Options, **dict(options))  # type: ignore[call-overload]
    return made


def _type(default: object) -> Any:
    """Type of an option of which only the default is known."""
    if default is None:
        return Any
    if isinstance(default, bool):
        return bool
    if isinstance(default, float):
        return float | None
    if isinstance(default, list | tuple):
        return _list(default)
    return type(default)


def _list(members: Sequence[object]) -> Any:
    """Type of a list whose members have the types of those of a default; an empty default says nothing about them."""
    types = [_type(member) for member in members]
    member = functools.reduce(operator.or_, types) if types and Any not in types else Any
    return list.__class_getitem__(member) | tuple.__class_getitem__((member, ...))
