"""Every source is declared completely; those that are in the cache hold what they declare."""

import os
from pathlib import Path

import pytest

from shiftbench.base import registry
from shiftbench.base.errors import FetchError
from shiftbench.data.source_files import load_source, source_names
from shiftbench.workflow.stages.fetch import fetch

NAMES = source_names()
ONLINE = bool({"SHIFTBENCH_TEST_NETWORK", "SHIFTBENCH_NO_SKIPS"} & os.environ.keys())
OUT_OF_REACH = {"cifar10", "cifar100"}  # from a web site, no package registry: never asked by a test


@pytest.mark.parametrize("name", NAMES)
def test_declaration(name: str) -> None:
    source = load_source(name)
    for text in (source.title, source.licence, source.citation):
        assert text.strip()
    assert source.homepage == "" or source.homepage.startswith("http")
    assert len({provider.label for provider in source.providers}) == len(source.providers)
    for provider in source.providers:
        assert provider.package in provider.command


@pytest.mark.parametrize("name", [name for name in NAMES if name not in OUT_OF_REACH])
def test_bytes(name: str, tmp_path: Path) -> None:
    try:
        result = fetch(name, tmp_path / name, [], offline=not ONLINE)
    except FetchError as error:
        if ONLINE:
            raise
        pytest.skip(f"source {name} is not in the cache: {error}".splitlines()[0])
    source = load_source(name)
    declared = source.tree.count if source.tree else len(source.files)
    assert len(result.files) == declared
    assert all((tmp_path / name / path).stat().st_size == o.size for path, o in result.files.items())


def test_every_source_of_a_dataset_is_declared() -> None:
    wanted = {source for dataset in registry.names("datasets") for source in registry.find("datasets", dataset).SOURCES}
    assert wanted <= set(NAMES)
