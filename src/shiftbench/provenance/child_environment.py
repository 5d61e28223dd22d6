"""The environment of child processes: no search path leads into the working folder.

An empty or relative element of a search path means the working folder, where a stranger may have put files:
`LD_LIBRARY_PATH=/lib:` lets git load `./libz.so.1`. Such elements are dropped. Variables that control Python, the
dynamic loader, git, DVC and numba reach a child only if it needs them. Other variables stay, such as proxies,
credentials and numbers of threads.

    subprocess.run([*PYTHON, "-m", "dvc", ...], env=child_environment.build(child_environment.DVC), cwd=NOWHERE)

A child that needs no folder starts in `NOWHERE`, because libraries and programs read settings in the working folder.
"""

import os
import re
from collections.abc import Iterable, Mapping

NOWHERE = "/"
"""A working folder without settings of a user."""

LIBRARIES = ("LD_LIBRARY_PATH",)
"""Kept for programs: on clusters it leads to their libraries."""

PYTHON = (
    *LIBRARIES,
    *"PYTHONPATH PYTHONHOME PYTHONUSERBASE PYTHONNOUSERSITE PYTHONPYCACHEPREFIX".split(),
    *"PYTHONDONTWRITEBYTECODE PYTHONHASHSEED PYTHONUTF8 PYTHONIOENCODING".split(),
)
"""Kept for this Python: it may need them to find its libraries and this package."""

DVC = (*PYTHON, "DVC_")
"""Kept for DVC: the user's configuration may be elsewhere."""

RUN = ("",)
"""Kept for a run of a trusted checkout: all variables."""

_STEERING = ("PYTHON", "LD_", "GIT_", "DVC_", "NUMBA_")
_COLON = (
    "PATH PYTHONPATH PYTHONHOME PYTHONUSERBASE PYTHONPYCACHEPREFIX NUMBA_CACHE_DIR LD_AUDIT GCONV_PATH LOCPATH"
).split()
_SEPARATED = {**dict.fromkeys(_COLON, ":"), "LD_LIBRARY_PATH": ":;", "LD_PRELOAD": ": "}
"""Variables that name folders or files, and the characters between them."""
_ALWAYS = {"DVC_NO_ANALYTICS": "1", "DVC_DAEMON": "1"}
"""DVC sends no usage data to its authors, and starts no check for updates in the background."""


def build(kept: Iterable[str] = (), more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a child.

    Args:
        kept: prefixes of variables that stay although they control Python, the loader, git, DVC or numba; one of the
            tuples above.
        more: further variables, unchanged.
    """
    prefixes = tuple(kept)
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(_STEERING) or name.startswith(prefixes)
    }
    return {**_without_relative(environment), **_ALWAYS, **(more or {})}


def settle() -> None:
    """Drop relative elements from this process's own search paths, for children that libraries start."""
    clean = _without_relative(os.environ)
    for name in _SEPARATED.keys() & os.environ.keys():
        if name not in clean:
            del os.environ[name]
        elif os.environ[name] != clean[name]:
            os.environ[name] = clean[name]


def _without_relative(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment with only absolute elements in its search paths, without empty search paths."""
    clean = dict(environment)
    for name, separators in _SEPARATED.items():
        if name in clean:
            clean[name] = _absolute(clean[name], separators, bare=name == "LD_PRELOAD")
            if not clean[name]:
                del clean[name]
    clean.setdefault("PATH", os.defpath)  # without PATH some programs search the working folder
    return clean


def _absolute(value: str, separators: str, *, bare: bool) -> str:
    """The absolute elements of a search path; with `bare` also names without a folder."""
    elements = re.split(f"[{separators}]", value)
    return separators[0].join(e for e in elements if e.startswith("/") or (bare and "/" not in e and e))
