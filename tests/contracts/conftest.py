"""Plugins of a user's own take part in the contract tests: SHIFTBENCH_PLUGINS=mine pytest tests/contracts."""

import os
from pathlib import Path

import pytest

from shiftbench.base import registry

MINE = tuple(Path(folder).resolve() for folder in os.environ.get("SHIFTBENCH_PLUGINS", "").split(os.pathsep) if folder)
registry.Folders.use(MINE)  # before the modules here ask for names


@pytest.fixture(autouse=True)
def _my_plugins() -> None:
    """Search the same folders when a test runs, whatever another test looked for."""
    registry.Folders.use(MINE)
