"""A Python that the user nobody runs: what holds for root holds without privileges too."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from shiftbench.evaluation import sandbox

SOURCE = Path(sandbox.__file__).parents[3]


def nobody(code: str, *before: str) -> subprocess.CompletedProcess[str]:
    """Run code as the user nobody, with the system's own Python, since ours may lie in a folder of root's."""
    python = "/usr/bin/python3"
    if os.geteuid() != 0 or not shutil.which("setpriv") or not Path(python).exists():
        pytest.skip("needs root, setpriv and /usr/bin/python3")
    closed = [str(above) for above in SOURCE.parents if not above.stat().st_mode & 0o001]
    if closed:
        pytest.skip(f"needs a checkout that others may read, and {closed[-1]} is closed to them")
    asked = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", *before, python]
    return subprocess.run([*asked, "-c", code, str(SOURCE)], capture_output=True, text=True, cwd="/", check=False)
