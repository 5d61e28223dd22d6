"""Which programs this process starts and which addresses it asks, while one listens (audit events of Python)."""

import functools
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_STARTS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "pty.spawn")
_ASKS = ("socket.connect", "socket.getaddrinfo", "urllib.Request")
_LISTENING: list[list[str]] = []


@functools.cache
def _installed() -> None:
    sys.addaudithook(_hear)  # there is no way to remove one


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if not _LISTENING or event not in (*_STARTS, *_ASKS):
        return
    if event == "socket.connect" and not isinstance(arguments[1], tuple):
        return  # a socket of this machine
    words = arguments[1] if event == "subprocess.Popen" else arguments[:1]
    text = words if isinstance(words, str | bytes) else " ".join(map(_text, words))
    _LISTENING[-1].append(f"{event.partition('.')[0]} {_text(text)}")


def _text(word: object) -> str:
    return os.fsdecode(word) if isinstance(word, str | bytes | os.PathLike) else str(word)


@contextmanager
def programs() -> Iterator[list[str]]:
    """Give a list to which each program that is started is added, and each address that is asked."""
    _installed()
    _LISTENING.append([])
    try:
        yield _LISTENING[-1]
    finally:
        _LISTENING.pop()


def foreign(started: list[str]) -> list[str]:
    """Return what is neither git nor a Python that is kept from the current folder."""
    prefixes = ("subprocess git ", f"subprocess {sys.executable} -P ", f"subprocess {sys.executable} -s -P ")
    return [one for one in started if not one.startswith(prefixes)]
