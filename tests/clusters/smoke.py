"""The smoke benchmark in a checkout, for the tests of clusters."""

import shutil
from pathlib import Path

from makers.repositories import HOME, Repository, checkout

SMOKE = ("--config", "params=smoke")
SHIFTS = [
    f"build/smoke/{kind}/digits/test/{shift}"
    for kind in ("data/shards", "results/previews")
    for shift in ("contrast", "gaussian_noise")
]


def smoke(path: Path) -> Repository:
    """Check out with the params that the repository has."""
    repository = checkout(path)
    shutil.copy(HOME / "params.yaml", path)
    return repository
