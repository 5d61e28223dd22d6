"""Every command that messages, README and docs print is one that the command line accepts; quick ones are run."""

import ast
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from isolation import ROOT
from makers.command_line import run
from shiftbench import cli
from shiftbench.cli import commands

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
LEFT_OUT = {"glossary.md": "lists old names", "decisions.md": "states what was decided then"}
QUICK = ("list", "describe", "plan", "cite")
"""Commands that are run as printed: they need no run, network, remote or file of a user."""
_INLINE = re.compile(r"`(shiftbench (?!needs )[^`]+)`")  # `shiftbench needs Python 3.11` is a message
_FENCED = re.compile(r"""^(?:[A-Z_]+=\S+ )*(shiftbench (?:#.*|'[^']*'|"[^"]*"|[^\n'"#])*)$""", re.M)
_PLACEHOLDER = re.compile(r"[A-Z]{3,}|…|\.\.\.")


def of_pages() -> Iterator[tuple[str, str]]:
    """Commands of the pages, each with its page; lines of code blocks that begin with one, and those in backticks."""
    for page in PAGES:
        if page.name in LEFT_OUT:
            continue
        text = page.read_text(encoding="utf-8")
        blocks = re.findall(r"^```(\w*)\n(.*?)^```", text, re.M | re.S)
        for block in (block for language, block in blocks if language in ("sh", "bash", "console")):
            whole = block.replace("\\\n", " ")
            yield from ((str(page.relative_to(ROOT)), line) for line in _FENCED.findall(whole))
        prose = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
        yield from ((str(page.relative_to(ROOT)), " ".join(line.split())) for line in _INLINE.findall(prose))


def of_messages() -> Iterator[tuple[str, str]]:
    """Commands in backticks in string literals of the package that are no docstrings; a value in one is X."""
    for file in sorted((ROOT / "src").rglob("*.py")):
        if "templates" in file.parts:
            continue
        tree = ast.parse(file.read_text(encoding="utf-8"))
        inner = {id(value) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for value in node.values}
        docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if id(node) in inner or id(node) in docs:
                continue
            if isinstance(node, ast.JoinedStr):
                text = "".join(map(_text, node.values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                text = node.value
            else:
                continue
            yield from ((str(file.relative_to(ROOT)), line) for line in _INLINE.findall(text))


def _text(part: Any) -> str:
    """A part of an f-string; of a value that may be left out, nothing."""
    if isinstance(part, ast.Constant):
        return str(part.value)
    return "" if isinstance(part.value, ast.IfExp) else "X"


def of_help() -> Iterator[tuple[str, str]]:
    """Examples of the help."""
    yield from ((f"{name} --help", line) for name, entry in commands.INDEX.items() for line in entry.examples)


def words_of(line: str) -> list[str]:
    """Words of a command line up to a comment, a pipe or a second command; without optional brackets."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|;&>")
    lexer.whitespace_split, lexer.commenters = True, "#"
    words: list[str] = []
    for word in lexer:
        if set(word) <= set("|;&>"):
            break
        words.append(word)
    return [word for word in words[1:] if word not in ("...", "…")]


def complaint(words: list[str], *, is_prose: bool) -> str:
    """Why the command line refuses these words; empty if it accepts them.

    Args:
        words: after `shiftbench`.
        is_prose: whether a command may be named without its arguments.
    """
    group: Any = typer.main.get_command(cli.app)
    top = group.make_context("shiftbench", [], resilient_parsing=True)
    if words[0].startswith("-"):
        return "" if words[0] in [option for one in group.get_params(top) for option in one.opts] else f"no {words[0]}"
    if words[0] not in commands.INDEX and _PLACEHOLDER.fullmatch(words[0]):
        return ""
    command = group.get_command(top, words[0])
    if command is None:
        return f"no command {words[0]}"
    if is_prose and len(words) == 1:
        return ""
    try:
        command.make_context(words[0], words[1:], parent=top)
    except typer.Exit:
        return ""
    except Exception as error:  # noqa: BLE001  # of the vendored click
        message = error.format_message() if hasattr(error, "format_message") else repr(error)
        return "" if "does not exist" in message else message
    return ""


@pytest.mark.parametrize(("lines", "is_prose"), [(of_pages, True), (of_messages, False), (of_help, False)])
def test_every_printed_command_is_accepted(
    lines: Any, is_prose: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("SHIFTBENCH_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    printed = list(dict.fromkeys(lines()))
    assert len(printed) > 20
    wrong = [
        f"{place}: {line}: {why}" for place, line in printed if (why := complaint(words_of(line), is_prose=is_prose))
    ]
    assert wrong == []


def test_what_the_command_line_refuses_is_found() -> None:
    for line in (
        "shiftbench purge",
        "shiftbench plan --scale smoke",
        "shiftbench repair",
        "shiftbench --trust",
        "shiftbench list a b",
    ):
        assert complaint(words_of(line), is_prose=False)


def quick() -> list[str]:
    lines = (line for source in (of_pages, of_messages, of_help) for _, line in source())
    words = dict.fromkeys(shlex.join(words_of(line)) for line in lines)
    return [
        one
        for one in words
        if one.split()[0] in QUICK
        and one != "describe"
        and "my-" not in one
        and not _PLACEHOLDER.search(one)
        and " X" not in one
    ]


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the params of this repository, in which nothing was run."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    shutil.copytree(ROOT / "params", tmp_path / "params")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("line", quick())
def test_a_quick_command_works_as_printed(repository: Path, line: str) -> None:
    result = run(*shlex.split(line))
    assert result.exit_code == 0, f"{result.output}{result.exception}"
