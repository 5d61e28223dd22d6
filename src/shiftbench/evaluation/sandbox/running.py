"""Runs a program in the locked-in process, with a module and random numbers of its own."""

import json
import random  # noqa: TID251 - it is the program's, which finds it seeded
import sys
from typing import Any

_LONGEST = 500  # characters of a message
_LARGEST = 1 << 19  # characters of a value as JSON


def run_code(program: str) -> dict[str, Any]:
    """Run a program in this process; returns its `value`, or its `error` and `message`."""
    main = type(sys)("__main__")  # the program finds itself there, not this file
    sys.modules["__main__"] = main
    random.seed(0)
    try:
        exec(compile(program, "<program>", "exec"), main.__dict__)
    except MemoryError:
        return {"error": "MemoryError"}
    except BaseException as error:  # noqa: BLE001 - SystemExit and all others are answers
        return {"error": type(error).__name__, "message": _text(error)}
    return {"value": _plain(main.__dict__.get("result"))}


def _text(error: BaseException) -> str:
    try:
        return str(error)[:_LONGEST]
    except Exception:  # noqa: BLE001 - the program's own class
        return ""


def _plain(value: object) -> object:
    """A value if it is plain JSON of moderate size, else None."""
    try:
        text = json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        return None
    return value if len(text) < _LARGEST else None
