"""Every importer reads its example, and refuses what it cannot read with a clear error."""

from shiftbench.contracts.importers import *  # noqa: F403
