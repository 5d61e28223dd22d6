"""Remotes: which there are, in which order they are asked, what they answer, and what of theirs may be shown.

Each is asked by a process of its own (`remote_process`), which is ended when it stops answering.
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
from shiftbench.base.errors import DataError, ParamsError, near
from shiftbench.base.progress import track
from shiftbench.provenance import child_environment, git
from shiftbench.workflow.storage import dvc_store

ANSWER, STALL = 20, 150
"""Seconds until a remote has answered at all, and between two objects; the worker's own start has the second."""

_SECRET = re.compile(r"password|passphrase|secret|token|access_key|account_key|connection_string|sas", re.I)
_USER = re.compile(r"\b([a-z][a-z0-9+.-]*)://([^/\s@]*:(?!\d*/)\S*|[^/\s@'\"]+)@", re.I)
"""A user before a host; a password may have any character, `/`, `@` and quotes too, where a port has digits."""
_QUERY = re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s?'\"<>]+)\?[^\s'\"<>)]+", re.I)
_KEY_ID = re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}\b")
SHORTEST = 6  # a shorter secret would blank out innocent words


@dataclass(frozen=True, slots=True)
class Remote:
    """A remote as DVC's configuration names it; `url` may be shown."""

    name: str
    url: str


@dataclass
class Brought:
    """What a pull brought.

    Attributes:
        targets: what was asked for and is recorded.
        served: how many objects each remote served.
        wrong: what was wrong with a remote that was asked before.
    """

    targets: list[str] = field(default_factory=list)
    served: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


def listed(home: Path) -> list[Remote]:
    """Return the remotes of a repository in the order in which they are asked: the default one first.

    Raises:
        UntrustedError: its configuration could start programs, and it is not trusted.
    """
    dvc_store.check_config(home)
    config = dvc_store.config(home)
    default = config["core"].get("remote")
    names = sorted(config["remote"], key=lambda name: name != default)  # stable: then as configured
    return [Remote(name, redacted(str(config["remote"][name]["url"]), home)) for name in names]


def redacted(text: str, home: Path | None = None) -> str:
    """Return a text without users and passwords in URLs, what follows a `?` there, and secrets known here.

    Known are those of DVC's configuration of the repository `home`, and of environment variables.

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


def _without_user(found: re.Match[str]) -> str:
    """Keep a user's name where it is no secret."""
    scheme, user = found.groups()
    return found[0] if scheme in ("ssh", "sftp") and ":" not in user else f"{scheme}://***@"


def _secrets(home: Path | None) -> set[str]:
    found = {value for name, value in os.environ.items() if _SECRET.search(name)}
    if home is not None:
        for remote in dvc_store.config(home)["remote"].values():
            found |= {str(value) for key, value in remote.items() if _SECRET.search(key)}
            found |= _passwords(str(remote["url"]))
    return {secret for secret in found if len(secret) >= SHORTEST}


def _passwords(url: str) -> set[str]:
    """Return the password of a URL, spaces and all, as it stands there and as it is sent, and with the user's name."""
    user, _, host = url.partition("://")[2].rpartition("@")
    password = user.partition(":")[2]
    if not host or re.match(r"\d*(/|$)", password):
        return set()  # a port, and an @ in the path
    return {user, password, unquote(password), quote(password, safe="")}


# --- asking ------------------------------------------------------------------------------------------


def look(home: Path, name: str, *, objects: bool = False) -> dict[str, Any]:
    """Ask one remote whether it answers.

    Args:
        home: the repository.
        name: of the remote.
        objects: also which of the objects that dvc.lock names are there.

    Returns:
        `error` (None when it answers), `seconds`, `read_only`, and with `objects` also `objects`, `there`,
        `missing`, `wrong`.
    """
    found: dict[str, Any] = {"error": None, "seconds": None, "read_only": None}
    for answer in _ask(home, name, {"verb": "look" if objects else "answer"}):
        found |= answer
    found["seconds"] = found.pop("alive", None)
    return found


def bring(home: Path, targets: list[str], only: str | None = None) -> Brought:
    """Bring the objects of `targets` into the cache from the first remote that has them.

    Args:
        home: the repository.
        targets: paths that dvc.lock names, or below such.
        only: the one remote to ask; default: all, the default one first.

    Raises:
        ParamsError: no such remote.
        DataError: nothing of that is recorded, or some objects could not be brought; says what was wrong at
            which remote.
    """
    dvc_store.outputs(home)  # nothing recorded: no remote needs to be asked
    names = [remote.name for remote in listed(home)]
    if only is not None and only not in names:
        raise ParamsError(f"no remote is called {only!r}; {near(only, names)}")
    brought = Brought()
    for name in [only] if only else names:
        if _bring_from(home, name, targets, brought):
            brought.targets = _recorded(home, targets)
            return brought
    told = "".join(f"\n  {line}" for line in brought.wrong or ["no remote is configured"])
    raise DataError(
        f"the pull is not whole; what came is kept, checked, and not asked for again{told}\n{_advice(home, brought)}"
    )


def _advice(home: Path, brought: Brought) -> str:
    """Return the command to give after a pull that was not whole."""
    origin = Path((git.says("config", "--get", "remote.origin.url", home=home) or "").removeprefix("file://"))
    cache = origin / ".dvc" / "cache"
    if brought.served:
        return "`shiftbench doctor --remotes` tells what each remote holds"
    if origin.is_absolute() and cache.is_dir():
        return (
            f"{origin}, of which this is a clone, has what was made there in its cache: "
            f"`dvc remote add --local --default origin {shlex.quote(str(cache))}`, and pull again"
        )
    return (
        "where whoever recorded this pushed it to another remote, name that one: "
        "`dvc remote add --local --default NAME URL`, and pull again"
    )


def _recorded(home: Path, targets: list[str]) -> list[str]:
    """Return the paths that dvc.lock names for the targets.

    Raises:
        DataError: none does.
    """
    found = dvc_store.matching(home, targets)
    if not found:
        raise DataError(f"dvc.lock records nothing under {targets[0]}; whoever made it records it with `make record`")
    return found


def _bring_from(home: Path, name: str, targets: list[str], brought: Brought) -> bool:
    """Bring what is still lacking from one remote; returns whether nothing lacks any more."""
    answers = _ask(home, name, {"verb": "bring", "targets": targets})
    lacking, problems = None, []
    for answer in answers:
        if "lacking" in answer:
            lacking = answer["lacking"]
            break
        problems += _problems(answer)
    for answer in track(answers, f"pulling from {name}", lacking):
        if answer.get("problem", "") is None:
            brought.served[name] = brought.served.get(name, 0) + 1
        problems += _problems(answer)
    brought.wrong += [f"remote {name}: {problem}" for problem in problems]
    return lacking is not None and not problems


def _problems(answer: dict[str, Any]) -> list[str]:
    """Return what an answer says is wrong.

    Raises:
        DataError: something here is wrong, whatever remote is asked.
    """
    if "fatal" in answer:
        raise DataError(answer["fatal"])
    if answer.get("problem"):
        return [f"{answer['path']}: {answer['problem']}"]
    return [answer["error"]] if "error" in answer else []


def _ask(home: Path, name: str, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a remote's answers; the last is an `error` when it refused, broke off or fell silent."""
    command = [sys.executable, "-P", "-m", "shiftbench.workflow.storage.remote_worker"]
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile("w+") as asked:
        json.dump({**request, "home": str(home.absolute()), "remote": name}, asked)
        asked.seek(0)
        process = subprocess.Popen(
            command,
            cwd=child_environment.NOWHERE,
            env=child_environment.build(child_environment.DVC),
            stdin=asked,
            stdout=subprocess.PIPE,
            stderr=said,
            start_new_session=True,  # no terminal: nothing can ask for a password
            text=True,
        )
        answers = cast(IO[str], process.stdout)
        try:
            ended = yield from _lines(answers, home)
            if ended and process.wait(timeout=STALL):
                said.seek(0)
                lines = said.read().decode(errors="replace").strip().splitlines()
                yield {"error": redacted((lines or ["it broke off"])[-1], home)}
        finally:
            process.kill()
            process.wait()
            answers.close()
            for left in dvc_store.cache_of(home).glob(f"*/{files.left_by(process.pid)}"):
                left.unlink(missing_ok=True)


def _lines(stream: IO[str], home: Path) -> Generator[dict[str, Any], None, bool]:
    """Yield the answers of a process; return whether it ended by itself.

    Its first line is empty and says that it has imported everything. The remote's first answer must come soon after it.
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
            yield {key: _shown(value, secrets) for key, value in answer.items()}


def _shown(value: Any, secrets: Collection[str]) -> Any:
    if isinstance(value, list):
        return [_shown(item, secrets) for item in value]
    return _without(secrets, value) if isinstance(value, str) else value
