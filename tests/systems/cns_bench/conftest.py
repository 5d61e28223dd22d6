"""CNS-Bench's release in small."""

from pathlib import Path
from typing import Any

import pytest

from makers import miniature_originals
from shiftbench.base.registry import defaults
from shiftbench.systems.cns_bench.datasets import cns_bench


@pytest.fixture
def release(tmp_path: Path) -> dict[str, Any]:
    _, options = miniature_originals.cns_bench(tmp_path)
    return {**defaults(cns_bench), **options}
