"""Reference of commands and of Python functions: build/pages/commands.md, and the table in docs/api.md.

the command line -> commands.md; signatures and docstrings -> docs/api.md
"""

import importlib
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import shiftbench
from shiftbench.cli.documents import markdown
from shiftbench.cli.documents.system_pages import filled

API = "docs/api.md"
COMMANDS = "commands.md"
FUNCTIONS = (
    *(f"shiftbench.{name}" for name in shiftbench._PUBLIC),
    "shiftbench.imagecorruptions.corrupt",
    "shiftbench.imagecorruptions.get_corruption_names",
)
MODULES = {
    "shiftbench.base.sample": "what a shift, a model or a metric gets",
    "shiftbench.plugins.contracts": "what trainers, methods and metrics get",
    "shiftbench.statistics.rows": "what metrics of records get",
    "shiftbench.statistics.contributions": "what metrics of records return",
    "shiftbench.plugins.shifts._levels": "constants and sizes between levels, for shifts",
    "shiftbench.plugins.models._images": "samples as a network's input, for models",
    "shiftbench.plugins.trainers._loop": "the training loop, for trainers",
    "shiftbench.base.refs": "names of outputs",
    "shiftbench.base.rng": "random numbers that depend on keys alone",
    "shiftbench.base.errors": "errors with an exit code",
}
_QUALIFIERS = re.compile(r"\b(?:shiftbench|collections|typing|pathlib|numpy)\.(?:\w+\.)*")
_FORWARD = re.compile(r"ForwardRef\('([^']*)'\)")
_ARRAY = re.compile(r"ndarray\[tuple\[Any, \.\.\.\], dtype\[(\w+)\]\]")
_WIDEST = 88
"""Characters of a line of a signature."""


def api(repository: Path) -> str:
    """docs/api.md with its generated part: signatures and first sentences, which GitHub shows, too."""
    parts = ["### Functions and classes for use"]
    for name in FUNCTIONS:
        module, _, attribute = name.rpartition(".")
        value = getattr(importlib.import_module(module), attribute)
        parts += [f"`{name}`: {_summary(value)}", f"```python\n{signature(attribute, value)}\n```"]
        parts += _example(value)
    parts.append("### Objects for plugins")
    for module, about in MODULES.items():
        rows = [
            [f"`{signature(name, value, _WIDEST * 9)}`", _summary(value)] for name, value in members(module).items()
        ]
        parts += [f"`{module}`: {about}.", "\n".join(markdown.table(["name", "what it is"], rows))]
    return filled(repository / API, "\n\n".join(parts))


def members(module: str) -> dict[str, Any]:
    """Public functions and classes that a module defines, in the order of its source."""
    contents = vars(importlib.import_module(module))
    return {
        name: value
        for name, value in contents.items()
        if not name.startswith("_") and callable(value) and getattr(value, "__module__", None) == module
    }


def signature(name: str, value: Callable[..., Any], widest: int = _WIDEST) -> str:
    """A signature as code; one parameter a line if it is wider than `widest`.

    Example:
        >>> def one(key: str, *, size: int = 3) -> "pathlib.Path": ...
        >>> signature("one", one)
        'one(key: str, *, size: int = 3) -> Path'
    """
    if inspect.isclass(value) and issubclass(value, Exception):
        return name
    found = inspect.signature(value)
    parameters, marked = [], False
    for parameter in found.parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and not marked:
            parameters.append("*")
        marked |= parameter.kind in (parameter.KEYWORD_ONLY, parameter.VAR_POSITIONAL)
        parameters.append(_parameter(parameter))
    has_result = found.return_annotation is not found.empty and not inspect.isclass(value)
    result = f" -> {_type(found.return_annotation)}" if has_result else ""
    line = f"{name}({', '.join(parameters)}){result}"
    if len(line) <= widest:
        return line
    return f"{name}(\n" + "".join(f"    {one},\n" for one in parameters) + f"){result}"


def _parameter(parameter: inspect.Parameter) -> str:
    stars = "*" if parameter.kind is parameter.VAR_POSITIONAL else ""
    stars = "**" if parameter.kind is parameter.VAR_KEYWORD else stars
    annotated = "" if parameter.annotation is parameter.empty else f": {_type(parameter.annotation)}"
    default = parameter.default
    if default is parameter.empty:
        return f"{stars}{parameter.name}{annotated}"
    shown = "..." if "<" in repr(default) else repr(default)  # an object, such as a factory of a dataclass
    return f"{stars}{parameter.name}{annotated} = {shown}"


def _type(annotation: Any) -> str:
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    text = _FORWARD.sub(r"\1", _QUALIFIERS.sub("", text))
    return _ARRAY.sub(r"NDArray[\1]", text)


def _summary(value: Any) -> str:
    """First paragraph of a docstring, on one line."""
    return " ".join((inspect.getdoc(value) or "").partition("\n\n")[0].split())


def _example(value: Any) -> list[str]:
    """The example of a docstring as a fenced block, if it has one."""
    found = re.search(r"^Example:\n((?: {4}.*\n?|\n)+)", inspect.getdoc(value) or "", re.MULTILINE)
    return [f"```pycon\n{inspect.cleandoc(found[1])}\n```"] if found else []


# --- commands -------------------------------------------------------------------------------------


def write_commands(folder: Path, top: Any) -> Path:
    """Write the page of all commands; returns it.

    Args:
        folder: of the page.
        top: the command line, as `typer.main.get_command` makes it.
    """
    page = folder / COMMANDS
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(commands(top))
    return page


def commands(top: Any) -> str:
    """All commands with their whole help, in the groups of `shiftbench --help`."""
    context = top.make_context("shiftbench", [], resilient_parsing=True)
    groups: dict[str, list[tuple[str, Any]]] = {}
    for name in top.list_commands(context):
        command = top.get_command(context, name)
        if not command.hidden:
            groups.setdefault(command.rich_help_panel or "Others", []).append((name, command))
    lines = ["# Commands", "", "`shiftbench COMMAND --help` prints the help of a command.", ""]
    for group, known in groups.items():
        lines += [f"## {group}", ""]
        rows = [[f"[`{name}`](#{name})", _sentence(command.help)] for name, command in known]
        lines += [*markdown.table(["command", "what it does"], rows), ""]
        for name, command in known:
            lines += [*_command(name, command, context), ""]
    return "\n".join(lines)


def _sentence(text: str | None) -> str:
    return " ".join((text or "").partition("\n\n")[0].split())


def _command(name: str, command: Any, parent: Any) -> list[str]:
    context = command.make_context(name, [], parent=parent, resilient_parsing=True)
    usage = command.get_usage(context).removeprefix("Usage: ")
    epilog = ["", "```text", command.epilog, "```"] if command.epilog else []
    lines = [
        f"### {name} {{#{name}}}",
        "",
        "```text",
        usage,
        "```",
        "",
        markdown.paragraphs(command.help or ""),
        *epilog,
    ]
    records = [record for parameter in command.params if (record := parameter.get_help_record(context))]
    rows = [[f"`{option}`", about] for option, about in records]
    return [*lines, "", *markdown.table(["argument or option", "meaning"], rows)] if rows else lines
