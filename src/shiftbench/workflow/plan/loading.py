"""Params files read, laid over one another, and checked whole."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pydantic
import yaml

from shiftbench.base import errors, registry
from shiftbench.base.errors import ParamsError
from shiftbench.base.files import from_yaml
from shiftbench.workflow.plan import own_models, params_check, params_pairs, params_words
from shiftbench.workflow.plan.params import Params

_DEEPEST = 6
"""Keys below one another that a message names."""


def load(*files: str | Path) -> Params:
    """Read params.yaml and overlays (later files win, key by key), and check all of it.

    Raises:
        ParamsError: unreadable YAML, unknown key, wrong type, value out of range, unknown plugin or
            option; the message names file, key, value and what is allowed.
    """
    if not files:
        raise ParamsError("no params file given; expected params.yaml")
    merged: dict[str, Any] = {}
    for file in files:
        merged = merge(merged, read(Path(file)))
    where = spelled(files)
    try:
        return check(merged, where, Path(files[0]).parent)
    except ParamsError as error:
        raise type(error)(_with_lines(str(error), where, map(Path, files))) from error


def spelled(files: Iterable[str | Path]) -> str:
    """Name the files that params come from."""
    return " + ".join(map(str, files))


def placed(error: ParamsError, files: Sequence[Path]) -> ParamsError:
    """Return an error of the plan with the files, and the line of the key that its message begins with."""
    where = spelled(files)
    return type(error)(_with_lines(f"{where}: {error}", where, files))


def check(content: Mapping[str, Any], where: str, home: Path) -> Params:
    """Return params of a mapping, all of it checked.

    Args:
        content: as params.yaml has it.
        where: the files that it comes from.
        home: the folder that `plugins:` are relative to.

    Raises:
        ParamsError: as `load`.
    """
    params_words.check_values(where, content)
    try:
        checked = Params.model_validate(content)
    except pydantic.ValidationError as error:
        raise ParamsError(params_words.explain(where, error, Params)) from None
    for folder in checked.plugins:
        if not (home / folder).is_dir():
            raise ParamsError(f"{where}: plugins names {folder!r}, which is no folder in {home.resolve()}")
    _search(home, checked.plugins)
    params_check.check_plugins(where, checked)
    completed = own_models.with_trainers(where, checked)
    own_models.check(where, completed)
    params_pairs.check(where, completed)
    return completed


def use_plugins(file: str | Path) -> None:
    """Search the folders that a params file lists under `plugins:`; nothing else of it is checked.

    Raises:
        ParamsError: unreadable YAML, or `plugins:` is no list of folders.
    """
    folders = read(Path(file)).get("plugins") or []
    if not isinstance(folders, list) or not all(isinstance(folder, str) for folder in folders):
        raise ParamsError(f"{file}: plugins = {folders!r}: expected a list of folders")
    _search(Path(file).parent, folders)


def _search(home: Path, folders: Iterable[str]) -> None:
    registry.Folders.use(tuple((home.resolve() / folder).resolve() for folder in folders))


def read(file: Path) -> dict[str, Any]:
    """Read a params file as it stands.

    Raises:
        ParamsError: there is none, or it is no mapping in YAML.
    """
    if not file.is_file():
        raise ParamsError(f"{file} does not exist; run in the repository's root or name another file")
    try:
        content = from_yaml(file.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ParamsError(f"{file} is not valid YAML: {error}") from None
    except UnicodeDecodeError as error:
        raise ParamsError(
            f"{file} is no UTF-8: byte {error.object[error.start]:#04x} at {error.start}; save it as UTF-8"
        ) from None
    if not isinstance(content, dict):
        raise ParamsError(f"{file} {_no_mapping(content)}")
    return content


def _no_mapping(content: object) -> str:
    """Return what a file is that holds no keys."""
    if content is None:
        return "is empty; expected a mapping of keys, `benchmarks:` among them"
    if isinstance(content, str) and content.lstrip().startswith("<"):
        return "is an HTML or XML page; expected YAML, a mapping of keys"
    found = "a list" if isinstance(content, list) else f"only {errors.yaml_text(content)}"
    return f"must be a mapping of keys (`key: value`), found {found}"


def _with_lines(message: str, where: str, files: Iterable[Path]) -> str:
    """Return a message with the file and line of each key that it names; the last file that has a key decides."""
    lines: dict[tuple[str, ...], str] = {}
    for file in files:
        root = yaml.compose(file.read_text(encoding="utf-8"), yaml.SafeLoader)
        lines |= {path: f"{file.name}, line {line}" for path, line in _lines(root, ())}
    told = []
    for text in message.splitlines():
        found = re.match(rf"(?:{re.escape(where)}: | {{2}})([\w+]+(?:\.[\w+]+)*)", text)
        path = tuple(found[1].split(".")) if found else ()
        while path and path not in lines:
            path = path[:-1]
        told.append(f"{text} ({lines[path]})" if path else text)
    return "\n".join(told)


def _lines(node: yaml.Node | None, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], int]]:
    """Yield keys below a node with their lines; those of a list's members are their numbers, from 0."""
    if len(path) > _DEEPEST:
        return
    if isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            yield (*path, str(number)), value.start_mark.line + 1
            yield from _lines(value, (*path, str(number)))
    if not isinstance(node, yaml.MappingNode):
        return
    for key, value in node.value:
        if isinstance(key, yaml.ScalarNode):
            yield (*path, key.value), key.start_mark.line + 1
            yield from _lines(value, (*path, key.value))


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one mapping over another; `null` removes a key, so that an overlay can drop an entry."""
    merged = dict(base)
    for key, value in over.items():
        if value is None and isinstance(base.get(key), Mapping | list | tuple):
            merged.pop(key)
        elif isinstance(value, Mapping) and isinstance(base.get(key), Mapping):
            merged[key] = merge(base[key], value)
        else:
            merged[key] = value
    return merged
