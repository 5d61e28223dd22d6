"""Samples that could not be read and were left out, as a dataset's `on_error: skip` allows."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from shiftbench.data import shards

_MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class Skipped:
    """Samples that were left out of a folder of shards.

    Attributes:
        dataset, split: of the folder.
        kept: number of samples in the folder.
        lines: the error of each sample that was left out; it begins with its key.
        file: the manifest that lists them.
        private: whether neither the samples nor their errors may be passed on.
    """

    dataset: str
    split: str
    kept: int
    lines: tuple[str, ...]
    file: Path
    private: bool = False

    @property
    def count(self) -> str:
        """The number in words: `2 of 40 samples`."""
        return f"{len(self.lines)} of {len(self.lines) + self.kept} samples"

    def __str__(self) -> str:
        """A line for a terminal."""
        return (
            f"{self.dataset}/{self.split}: {self.count} could not be read and were skipped, all told in {self.file}; "
            f"the first: {self.lines[0]}"
        )


def find_skipped(outputs: Iterable[str | Path]) -> list[Skipped]:
    """Samples left out of the folders of shards whose manifests are among outputs; complete folders have no item.

    A sample that cannot be read is in the manifests of both splits that are cut from one split of the original; it is
    counted once, with the first.
    """
    results: list[Skipped] = []
    seen: set[tuple[str, str]] = set()
    for file in map(Path, outputs):
        about = shards.manifest(file.parent) if file.name == _MANIFEST else {}
        new = [line for line in about.get("skipped", ()) if (about["dataset"], line) not in seen]
        seen.update((about["dataset"], line) for line in new)
        if lines := tuple(new):
            results.append(Skipped(about["dataset"], about["split"], about["samples"], lines, file))
    return results
