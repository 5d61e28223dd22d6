"""Restrict this process, then become a command: `python -I -S confine.py KERNEL RULES COMMAND...`.

The kernel's Landlock limits reading and writing to the paths in RULES (JSON), for this process and all
processes that it starts. KERNEL is the file with the sandbox's system calls. This file runs alone with the
standard library, before anything of the checkout, of the environment or of a library is read.
"""

import ctypes
import json
import os
import runpy
import stat
import struct
import sys
from pathlib import Path
from typing import Any

_EXECUTE, _WRITE, _READ, _LIST = (1 << bit for bit in range(4))
_KNOWN = {1: 13, 2: 14}
_MOST = 15  # rights of files since version 3; what devices are told (version 5) is left as it is


def restrict(kernel: dict[str, Any], rules: dict[str, list[str]]) -> None:
    """Allow the paths that rules name, and no others.

    Args:
        kernel: the names of `evaluation/sandbox/kernel.py`.
        rules: `readable`: files, and folders with their contents; `listed`: folders that may only be listed, with
            their subfolders; `devices`: files to read and write; `writable`: folders in which everything is allowed.
    """
    call, version = kernel["call"], kernel["landlock_version"]()
    every = (1 << _KNOWN.get(version, _MOST)) - 1
    attributes = struct.pack("<QQQ", every, 3 if version >= 4 else 0, 3 if version >= 6 else 0)
    size = 8 if version < 4 else 16 if version < 6 else 24
    ruleset = call("landlock_create", ctypes.create_string_buffer(attributes), size, 0)
    rights = {"readable": _EXECUTE | _READ | _LIST, "listed": _LIST, "devices": _WRITE | _READ, "writable": every}
    for kind, paths in rules.items():
        for path in paths:
            _allow(call, ruleset, path, rights[kind])
    kernel["no_new_privileges"]()
    call("landlock_restrict", ruleset, 0)
    os.close(ruleset)


def _allow(call: Any, ruleset: int, path: str, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # what is not here, nobody reads
    if not stat.S_ISDIR(os.fstat(place).st_mode):
        rights &= _EXECUTE | _WRITE | _READ
    call("landlock_add", ruleset, 1, ctypes.create_string_buffer(struct.pack("<Qi", rights, place)), 0)
    os.close(place)


def main(kernel: str, rules: str, *command: str) -> None:
    """Read the rules, restrict this process, and become the command."""
    restrict(runpy.run_path(kernel), json.loads(Path(rules).read_bytes()))
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(*sys.argv[1:])
