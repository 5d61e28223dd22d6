"""What a dataset yields, read as a stage reads it."""

from types import ModuleType
from typing import Any

from makers import small_files
from shiftbench.base.registry import defaults
from shiftbench.base.sample import Sample


def read(module: ModuleType, split: str, made: small_files.Made) -> list[Any]:
    sources, params = made
    return list(module.samples(split, sources, {**defaults(module), "name": "mine", **params}))


def good(samples: list[Any]) -> list[Sample]:
    assert all(isinstance(sample, Sample) for sample in samples), samples
    return samples
