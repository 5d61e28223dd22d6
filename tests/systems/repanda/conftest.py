"""The sources of tables, as miniatures."""

from pathlib import Path

import pytest

from makers import small_table_sources


@pytest.fixture(scope="package")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return small_table_sources.make(tmp_path_factory.mktemp("sources"))
