"""Snakemake's storage provider `volume`: files stay where they are, on a volume that is mounted everywhere.

The Kubernetes executor assumes that a pod shares no file system with the others, and asks for a storage from
which inputs are copied, and to which outputs are. A benchmark's outputs are more than what its rules declare
(tars beside a manifest, receipts beside everything), and a volume that all pods mount at the benchmark's own
path is such a storage: this provider tells Snakemake that files are there, how old, and copies none.
"""

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from snakemake_interface_storage_plugins.io import IOCacheStorageInterface, Mtime
from snakemake_interface_storage_plugins.storage_object import (
    StorageObjectGlob,
    StorageObjectRead,
    StorageObjectTouch,
    StorageObjectWrite,
)
from snakemake_interface_storage_plugins.storage_provider import (
    ExampleQuery,
    Operation,
    QueryType,
    StorageProviderBase,
    StorageQueryValidationResult,
)


class StorageProvider(StorageProviderBase):
    """The volume; there is nothing to connect to."""

    @classmethod
    def example_queries(cls) -> list[ExampleQuery]:
        """Return what a query looks like."""
        return [ExampleQuery("/benchmark/params.yaml", "a path on the volume", QueryType.ANY)]

    @classmethod
    def is_valid_query(cls, query: str) -> StorageQueryValidationResult:
        """Accept absolute paths: only those mean the same in every pod."""
        valid = Path(query).is_absolute()
        return StorageQueryValidationResult(query, valid, "" if valid else "is no absolute path")

    def rate_limiter_key(self, query: str, operation: Operation) -> Any:
        """Return no key: nothing is limited."""

    def default_max_requests_per_second(self) -> float:
        """Return no limit."""
        return 0.0

    def use_rate_limiter(self) -> bool:
        """Limit nothing."""
        return False


class StorageObject(StorageObjectRead, StorageObjectWrite, StorageObjectGlob, StorageObjectTouch):
    """A file on the volume. Rules are given its path there, never that of a copy."""

    def __post_init__(self) -> None:
        self.retrieve = False
        self.keep_local = True  # Snakemake removes local copies after use, and these are the files themselves
        self.place = Path(self.query)
        self.copy = self.place

    async def inventory(self, cache: IOCacheStorageInterface) -> None:
        """Note what is known of the file."""
        key = self.cache_key()
        cache.exists_in_storage[key] = self.exists()
        if self.exists():
            cache.mtime[key] = Mtime(storage=self.mtime())
            cache.size[key] = self.size()

    def get_inventory_parent(self) -> str | None:
        """Return no folder: asking for single files costs nothing."""
        return None

    def set_local_path(self, path: Path) -> None:
        """Note where a copy is: Snakemake says so of the archive of the workflow's sources alone."""
        self.copy = path

    def local_path(self) -> Path:
        """Return where a copy is: the file itself, so that Snakemake makes markers in place."""
        return self.copy

    def local_suffix(self) -> str:
        """Return where a copy would stand."""
        return str(self.place).removeprefix("/")

    def cleanup(self) -> None:
        """Leave all as it is: there are no copies."""

    def exists(self) -> bool:
        """Tell whether the file is there."""
        return self.place.exists()

    def mtime(self) -> float:
        """Return when the file was made."""
        return self.place.stat().st_mtime

    def size(self) -> int:
        """Return its size in bytes; 0 for a folder, as the interface wants it."""
        return 0 if self.place.is_dir() else self.place.stat().st_size

    def retrieve_object(self) -> None:
        """Copy the archive of the workflow's sources from the volume; all else is in its place."""
        self._copied(self.place, self.copy)

    def store_object(self) -> None:
        """Copy the archive of the workflow's sources to the volume; all else is in its place."""
        self._copied(self.copy, self.place)

    def _copied(self, here: Path, there: Path) -> None:
        if here != there:
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(here, there)

    def remove(self) -> None:
        """Remove the file."""
        self.place.unlink()

    def touch(self) -> None:
        """Make the file as new as now."""
        self.place.touch()

    def list_candidate_matches(self) -> Iterable[str]:
        """List nothing: our rules look for no files."""
        return ()
