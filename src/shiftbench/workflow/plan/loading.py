"""Loading of params files: they are read, merged, and checked as a whole."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pydantic
import yaml

from shiftbench.base import errors, registry
from shiftbench.base.errors import ParamsError, check_all
from shiftbench.base.files import from_yaml
from shiftbench.workflow.plan import own_models, params_check, params_pairs, params_words
from shiftbench.workflow.plan.params import Params

_DEEPEST = 6
"""Deepest level of keys that a message names."""


def load(*files: str | Path) -> Params:
    """Read params.yaml and the files over it (later files win, key by key), and check the result.

    Raises:
        ParamsError: unreadable YAML, unknown key, wrong type, value out of range, unknown plugin or
            option; the message names file, key, value and the allowed values.
    """
    if not files:
        raise ParamsError("no params file given; expected params.yaml")
    merged: dict[str, Any] = {}
    for file in files:
        merged = merge(merged, read(Path(file)))
    where = file_names(files)
    try:
        return check(merged, where, Path(files[0]).parent)
    except ParamsError as error:
        raise type(error)(_with_lines(str(error), where, map(Path, files))) from error


def file_names(files: Iterable[str | Path]) -> str:
    """The files that params come from, as text."""
    return " + ".join(map(str, files))


def with_position(error: ParamsError, files: Sequence[Path]) -> ParamsError:
    """An error of the plan with the files, and the line of the key that its message begins with."""
    where = file_names(files)
    return type(error)(_with_lines(f"{where}: {error}", where, files))


def check(content: Mapping[str, Any], where: str, home: Path) -> Params:
    """Checked params of a mapping.

    Args:
        content: the content of params.yaml.
        where: the files that it comes from.
        home: the folder that `plugins:` are relative to.

    Raises:
        ParamsError: as in `load`.
    """
    params_words.check_values(where, content)
    try:
        params = Params.model_validate(content)
    except pydantic.ValidationError as error:
        raise ParamsError(params_words.explain(where, error, Params)) from None
    for folder in params.plugins:
        if not (home / folder).is_dir():
            raise ParamsError(f"{where}: plugins names {folder!r}, which is not a folder in {home.resolve()}")
    _search(home, params.plugins)
    params_check.check_plugins(where, params)
    completed = own_models.with_trainers(where, params)
    check_all([partial(own_models.check, where, completed), partial(params_pairs.check, where, completed)])
    return completed


def use_plugins(*files: str | Path) -> None:
    """Search the folders under `plugins:` in params files, without a check of the other parameters.

    Args:
        files: as in `load`.

    Raises:
        ParamsError: unreadable YAML, or `plugins:` is no list of folders.
    """
    folders: Any = []
    for file in files:
        folders = read(Path(file)).get("plugins", folders) or []
        if not isinstance(folders, list) or not all(isinstance(folder, str) for folder in folders):
            raise ParamsError(f"{file}: plugins = {folders!r}: expected a list of folders")
    _search(Path(files[0]).parent, folders)


def _search(home: Path, folders: Iterable[str]) -> None:
    registry.Folders.use(tuple((home.resolve() / folder).resolve() for folder in folders))


def read(file: Path) -> dict[str, Any]:
    """The content of a params file, unchecked.

    Raises:
        ParamsError: the file does not exist, or is no mapping in YAML.
    """
    if not file.is_file():
        raise ParamsError(f"{file} does not exist; run in the repository's root or name another file")
    try:
        content = from_yaml(file.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ParamsError(f"{file} is not valid YAML: {error}{_missing_colon(file, error)}") from None
    except UnicodeDecodeError as error:
        raise ParamsError(
            f"{file} is not UTF-8: byte {error.object[error.start]:#04x} at {error.start}; save it as UTF-8"
        ) from None
    if not isinstance(content, dict):
        raise ParamsError(f"{file} {_describe_content(content)}")
    return content


def _missing_colon(file: Path, error: yaml.YAMLError) -> str:
    """Advice for a line `blobs {}`, a key whose colon is missing; empty for other faults."""
    number = re.search(r"line (\d+)", str(error))
    lines = file.read_text(encoding="utf-8").splitlines()
    around = lines[max(0, int(number[1]) - 2) : int(number[1])] if number else []
    for line in around:
        if match := re.fullmatch(r"\s*([\w+-]+)\s+([{\[].*)", line):
            return f"\nwrite a colon after the key: `{match[1]}: {match[2].strip()}`"
    return ""


def _describe_content(content: object) -> str:
    """The part of a message that describes a file without keys."""
    if content is None:
        return "is empty; expected a mapping of keys, `benchmarks:` among them"
    if isinstance(content, str) and content.lstrip().startswith("<"):
        return "is an HTML or XML page; expected YAML, a mapping of keys"
    description = "a list" if isinstance(content, list) else f"only {errors.yaml_text(content)}"
    return f"must be a mapping of keys (`key: value`), found {description}"


def _with_lines(message: str, where: str, files: Iterable[Path]) -> str:
    """A message with the file and line of each key that it names; the last file with a key decides."""
    lines: dict[tuple[str, ...], str] = {}
    for file in files:
        root = yaml.compose(file.read_text(encoding="utf-8"), yaml.SafeLoader)
        lines |= {path: f"{file.name}, line {line}" for path, line in _lines(root, ())}
    located = []
    for text in message.splitlines():
        key = re.match(rf"(?:{re.escape(where)}: | {{2}})([\w+]+(?:\.[\w+]+)*)", text)
        path = tuple(key[1].split(".")) if key else ()
        while path and path not in lines:
            path = path[:-1]
        located.append(f"{text} ({lines[path]})" if path else text)
    return "\n".join(located)


def _lines(node: yaml.Node | None, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], int]]:
    """Yield the keys below a node with their lines; the keys of list members are numbers from 0."""
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
    """Merge a mapping over another; `null` removes a mapping or list."""
    merged = dict(base)
    for key, value in over.items():
        if value is None and isinstance(base.get(key), Mapping | list | tuple):
            merged.pop(key)
        elif isinstance(value, Mapping) and isinstance(base.get(key), Mapping):
            merged[key] = merge(base[key], value)
        else:
            merged[key] = value
    return merged
