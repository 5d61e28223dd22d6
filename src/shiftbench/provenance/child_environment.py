"""The environment of every process that is started: no part of it leads into the folder in which one looks around.

An empty or relative element of a search path means the working folder, and so whatever a stranger put there:
`LD_LIBRARY_PATH=/lib:` lets git load `./libz.so.1`. Such elements are dropped. Variables that steer Python, the
dynamic loader, git, DVC and numba reach a child only where it is started for them. What else the user sets stays:
proxies, credentials, numbers of threads.

    subprocess.run([*PYTHON, "-m", "dvc", ...], env=child_environment.build(child_environment.DVC), cwd=NOWHERE)

A child that needs no folder starts in `NOWHERE`, since libraries and programs look for settings where they start.
"""

import os
import re
from collections.abc import Iterable, Mapping

NOWHERE = "/"
"""A working folder that holds nobody's settings."""

LIBRARIES = ("LD_LIBRARY_PATH",)
"""Kept for programs: on clusters they find their libraries by it."""

PYTHON = (
    *LIBRARIES,
    *"PYTHONPATH PYTHONHOME PYTHONUSERBASE PYTHONNOUSERSITE PYTHONPYCACHEPREFIX".split(),
    *"PYTHONDONTWRITEBYTECODE PYTHONHASHSEED PYTHONUTF8 PYTHONIOENCODING".split(),
)
"""Kept for this very Python: it would find neither its libraries nor this package where they are the user's setting."""

DVC = (*PYTHON, "DVC_")
"""Kept for DVC: a user may have a configuration elsewhere."""

RUN = ("",)
"""Kept for a run that the user starts, of a checkout that is trusted: all."""

_STEERING = ("PYTHON", "LD_", "GIT_", "DVC_", "NUMBA_")
_COLON = (
    "PATH PYTHONPATH PYTHONHOME PYTHONUSERBASE PYTHONPYCACHEPREFIX NUMBA_CACHE_DIR LD_AUDIT GCONV_PATH LOCPATH"
).split()
_SEPARATED = {**dict.fromkeys(_COLON, ":"), "LD_LIBRARY_PATH": ":;", "LD_PRELOAD": ": "}
"""Variables that name folders or files, and the characters between them."""
_ALWAYS = {"DVC_NO_ANALYTICS": "1", "DVC_DAEMON": "1"}
"""DVC tells its authors nothing, and starts nothing in the background that would (its check for updates)."""


def build(kept: Iterable[str] = (), more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of a child.

    Args:
        kept: beginnings of the names that stay although they steer Python, the loader, git, DVC or numba; one of the
            tuples above.
        more: variables that are set over these, as they are.
    """
    stays = tuple(kept)
    found = {
        name: value for name, value in os.environ.items() if not name.startswith(_STEERING) or name.startswith(stays)
    }
    return {**_without_relative(found), **_ALWAYS, **(more or {})}


def settle() -> None:
    """Drop the relative elements from this process's own search paths, for children that libraries start."""
    clean = _without_relative(os.environ)
    for name in _SEPARATED.keys() & os.environ.keys():
        if name not in clean:
            del os.environ[name]
        elif os.environ[name] != clean[name]:
            os.environ[name] = clean[name]


def _without_relative(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment whose search paths have absolute elements alone; without those that have none."""
    found = dict(environment)
    for name, separators in _SEPARATED.items():
        if name in found:
            found[name] = _absolute(found[name], separators, bare=name == "LD_PRELOAD")
            if not found[name]:
                del found[name]
    found.setdefault("PATH", os.defpath)  # without any, some programs search the working folder
    return found


def _absolute(value: str, separators: str, *, bare: bool) -> str:
    """Return the absolute elements of a search path; `bare`: also names without a folder, which are searched for."""
    elements = re.split(f"[{separators}]", value)
    return separators[0].join(e for e in elements if e.startswith("/") or (bare and "/" not in e and e))
