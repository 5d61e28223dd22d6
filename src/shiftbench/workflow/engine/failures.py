"""The cause of a failed job: the last lines of its log, which the job writes and the run reads.

A log has the whole traceback. Its last lines repeat the cause after `error: `, in one line for an unexpected error:

    error: RuntimeError: boom (mine/models/pocket.py:33, in features)
"""

import re
import sysconfig
import traceback
from pathlib import Path

from shiftbench.base.registry import PACKAGE

START = "error: "
_LIBRARIES = tuple({f"{sysconfig.get_path(name)}/" for name in ("stdlib", "platstdlib", "purelib", "platlib")})
_COLOURS = re.compile(r"\x1b\[[\d;]*m")
_LONGEST = 300
"""Most characters of an unexpected error's message."""


def describe(error: BaseException) -> str:
    """An unexpected error as one line: its class, the first line of its message, and where it was raised.

    The place is the deepest frame in a file of the user. Without such a frame it is the deepest one of shiftbench, then
    that of a library.
    """
    message = next(iter(str(error).splitlines()), "")
    cut = f"{message[:_LONGEST]}..." if len(message) > _LONGEST else message
    head = f"{type(error).__name__}: {cut}" if cut else type(error).__name__
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith("<")]
    if not frames:
        return head
    frame = max(reversed(frames), key=lambda frame: _rank(frame.filename))
    return f"{head} ({_relative(Path(frame.filename))}:{frame.lineno}, in {frame.name})"


def _rank(file: str) -> int:
    """2 for a file of the user, 1 for one of shiftbench, 0 for one of a library."""
    if file.startswith(f"{PACKAGE}/"):
        return 1
    return 0 if file.startswith(_LIBRARIES) else 2


def _relative(file: Path) -> Path:
    """A path from this folder if the file is below it."""
    return file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file


def cause(log: Path) -> str:
    """The cause in a failed job's log: what follows its last `error: `, else its last line; empty without a log."""
    if not log.is_file():
        return ""
    lines = _COLOURS.sub("", log.read_text(errors="replace")).splitlines()
    starts = [number for number, line in enumerate(lines) if line.startswith(START)]
    if starts:
        return "\n".join(lines[starts[-1] :]).removeprefix(START).rstrip()
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
