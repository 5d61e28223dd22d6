"""Remotes: their order, requests to them, and messages without their secrets.

A separate process (`remote_worker`) talks to each remote. It is ended if it stops answering.
"""

import json
import os
import queue
import re
import shlex
import subprocess
import sys
import tempfile
import threading
from collections.abc import Collection, Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast
from urllib.parse import quote, unquote

from shiftbench.base import files
from shiftbench.base.errors import DataError, ParamsError, suggest
from shiftbench.base.progress import track
from shiftbench.provenance import child_environment, git
from shiftbench.workflow.storage import dvc_config, dvc_lock

ANSWER, STALL = 20, 150
"""Most seconds until the first answer of a remote, and between two answers; STALL also limits the worker's start."""

_SECRET = re.compile(r"password|passphrase|secret|token|access_key|account_key|connection_string|sas", re.I)
_USER = re.compile(r"\b([a-z][a-z0-9+.-]*)://([^/\s@]*:(?!\d*/)\S*|[^/\s@'\"]+)@", re.I)
"""A user before a host; a password may have any character, even `/`, `@` and quotes, but a port has only digits."""
_QUERY = re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s?'\"<>]+)\?[^\s'\"<>)]+", re.I)
_KEY_ID = re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}\b")
SHORTEST = 6  # a shorter secret would hide other words


@dataclass(frozen=True, slots=True)
class Remote:
    """A remote in DVC's configuration; `url` contains no secrets."""

    name: str
    url: str


@dataclass
class Download:
    """The result of a download.

    Attributes:
        targets: the requested paths that are recorded.
        served: number of objects from each remote.
        wrong: faults of the remotes.
    """

    targets: list[str] = field(default_factory=list)
    served: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


def listed(home: Path) -> list[Remote]:
    """The remotes of a repository in the order of requests: the default one first.

    Raises:
        UntrustedError: its configuration could start programs, and it is not trusted.
    """
    dvc_config.check(home)
    config = dvc_config.load(home)
    default = config["core"].get("remote")
    names = sorted(config["remote"], key=lambda name: name != default)  # stable: then as configured
    return [Remote(name, redacted(str(config["remote"][name]["url"]), home)) for name in names]


def redacted(text: str, home: Path | None = None) -> str:
    """A text without secrets: users, passwords and queries in URLs, and known secrets.

    Known secrets are those in DVC's configuration of the repository `home` and in environment variables.

    Example:
        >>> redacted("cannot reach https://me:word@example.org/a?X-Amz-Signature=1f2e")
        'cannot reach https://***@example.org/a?***'
    """
    return _without(_secrets(home), text)


def _without(secrets: Collection[str], text: str) -> str:
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "***")
    text = _USER.sub(_without_user, text)  # first: a password may have a `?`
    return _KEY_ID.sub("***", _QUERY.sub(r"\1?***", text))


def _without_user(match: re.Match[str]) -> str:
    """A URL without its user; a user of ssh without a password stays."""
    scheme, user = match.groups()
    return match[0] if scheme in ("ssh", "sftp") and ":" not in user else f"{scheme}://***@"


def _secrets(home: Path | None) -> set[str]:
    secrets = {value for name, value in os.environ.items() if _SECRET.search(name)}
    if home is not None:
        for remote in dvc_config.load(home)["remote"].values():
            secrets |= {str(value) for key, value in remote.items() if _SECRET.search(key)}
            secrets |= _passwords(str(remote["url"]))
    return {secret for secret in secrets if len(secret) >= SHORTEST}


def _passwords(url: str) -> set[str]:
    """The password of a URL, as written and as sent, alone and with the user's name."""
    user, _, host = url.partition("://")[2].rpartition("@")
    password = user.partition(":")[2]
    if not host or re.match(r"\d*(/|$)", password):
        return set()  # a port, and an @ in the path
    return {user, password, unquote(password), quote(password, safe="")}


# --- requests ----------------------------------------------------------------------------------------


def look(home: Path, name: str, *, objects: bool = False) -> dict[str, Any]:
    """Check whether a remote answers.

    Args:
        home: the repository.
        name: name of the remote.
        objects: also check which recorded objects it has.

    Returns:
        `error` (None if it answers), `seconds`, `read_only`, and with `objects` also `objects`, `there`,
        `missing`, `wrong`.
    """
    state: dict[str, Any] = {"error": None, "seconds": None, "read_only": None}
    for answer in _ask(home, name, {"verb": "look" if objects else "answer"}):
        state |= answer
    state["seconds"] = state.pop("alive", None)
    return state


def bring(home: Path, targets: list[str], only: str | None = None) -> Download:
    """Download the objects of `targets` into the cache, each from the first remote that has it.

    Args:
        home: the repository.
        targets: paths of recorded outputs, or paths below them.
        only: the only remote to use; default: all remotes, the default one first.

    Raises:
        ParamsError: no such remote.
        DataError: nothing is recorded, or objects are missing; names the faults of each remote.
    """
    dvc_lock.outputs(home)  # if nothing is recorded, no request is needed
    names = [remote.name for remote in listed(home)]
    if only is not None and only not in names:
        raise ParamsError(f"no remote is called {only!r}; {suggest(only, names)}")
    download = Download()
    for name in [only] if only else names:
        if _bring_from(home, name, targets, download):
            download.targets = _recorded(home, targets)
            return download
    faults = "".join(f"\n  {line}" for line in download.wrong or ["no remote is configured"])
    raise DataError(
        f"the pull is not complete; the downloaded objects are checked and kept{faults}\n{_advice(home, download)}"
    )


def _advice(home: Path, download: Download) -> str:
    """The next command after an incomplete pull."""
    origin = Path((git.says("config", "--get", "remote.origin.url", home=home) or "").removeprefix("file://"))
    cache = origin / ".dvc" / "cache"
    if download.served:
        return "`shiftbench doctor --remotes` shows the objects on each remote"
    if origin.is_absolute() and cache.is_dir():
        return (
            f"this is a clone of {origin}, whose cache has the outputs that were made there: "
            f"`dvc remote add --local --default origin {shlex.quote(str(cache))}`, and pull again"
        )
    return (
        "if the outputs were pushed to another remote, add it with `dvc remote add --local --default NAME URL`, and "
        "pull again"
    )


def _recorded(home: Path, targets: list[str]) -> list[str]:
    """The recorded paths of the targets.

    Raises:
        DataError: none is recorded.
    """
    paths = dvc_lock.matching(home, targets)
    if not paths:
        raise DataError(f"dvc.lock records nothing under {targets[0]}; record it with `make record` where it was made")
    return paths


def _bring_from(home: Path, name: str, targets: list[str], download: Download) -> bool:
    """Download the missing objects from one remote; returns whether none is missing now."""
    answers = _ask(home, name, {"verb": "bring", "targets": targets})
    missing, problems = None, []
    for answer in answers:
        if "lacking" in answer:
            missing = answer["lacking"]
            break
        problems += _problems(answer)
    for answer in track(answers, f"pulling from {name}", missing):
        if answer.get("problem", "") is None:
            download.served[name] = download.served.get(name, 0) + 1
        problems += _problems(answer)
    download.wrong += [f"remote {name}: {problem}" for problem in problems]
    return missing is not None and not problems


def _problems(answer: dict[str, Any]) -> list[str]:
    """The faults in an answer.

    Raises:
        DataError: a fault on this machine, the same for every remote.
    """
    if "fatal" in answer:
        raise DataError(answer["fatal"])
    if answer.get("problem"):
        return [f"{answer['path']}: {answer['problem']}"]
    return [answer["error"]] if "error" in answer else []


def _ask(home: Path, name: str, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a remote's answers; the last one is an `error` if it refused, broke off or did not answer."""
    command = [sys.executable, "-P", "-m", "shiftbench.workflow.storage.remote_worker"]
    with tempfile.TemporaryFile() as errors, tempfile.TemporaryFile("w+") as text:
        json.dump({**request, "home": str(home.absolute()), "remote": name}, text)
        text.seek(0)
        process = subprocess.Popen(
            command,
            cwd=child_environment.NOWHERE,
            env=child_environment.build(child_environment.DVC),
            stdin=text,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,  # no terminal: nothing can ask for a password
            text=True,
        )
        answers = cast(IO[str], process.stdout)
        try:
            ended_by_itself = yield from _lines(answers, home)
            if ended_by_itself and process.wait(timeout=STALL):
                errors.seek(0)
                lines = errors.read().decode(errors="replace").strip().splitlines()
                yield {"error": redacted((lines or ["the connection broke off"])[-1], home)}
        finally:
            process.kill()
            process.wait()
            answers.close()
            for file in dvc_config.cache_of(home).glob(f"*/{files.scratch_pattern(process.pid)}"):
                file.unlink(missing_ok=True)


def _lines(stream: IO[str], home: Path) -> Generator[dict[str, Any], None, bool]:
    """Yield the answers of a worker; returns whether it ended by itself.

    Its first line is empty: the imports are done. The remote's first answer must follow within ANSWER seconds.
    """
    line: queue.Queue[str | None] = queue.Queue()

    def read() -> None:
        for text in stream:
            line.put(text)
        line.put(None)

    threading.Thread(target=read, daemon=True).start()
    limit, secrets, started = STALL, _secrets(home), False
    while True:
        try:
            text = line.get(timeout=limit)
        except queue.Empty:
            yield {"error": f"no answer within {limit} s"}
            return False
        if text is None:
            return True
        answer = json.loads(text)
        limit = STALL if started else ANSWER
        started = True
        if answer:
            yield {key: _redact_all(value, secrets) for key, value in answer.items()}


def _redact_all(value: Any, secrets: Collection[str]) -> Any:
    if isinstance(value, list):
        return [_redact_all(item, secrets) for item in value]
    return _without(secrets, value) if isinstance(value, str) else value
