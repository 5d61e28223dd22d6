"""What a method that adapts meets along a stream: where it begins anew, and the labelled samples that it is shown.

Support shares no sample with what is tested: the plan refuses a set that plays both parts, and here keys and contents
of the shards at hand are compared, so that a copy under another name is found. Labels are given as classes of the
model; -1 is what the model has no class for, an auxiliary outlier.
"""

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from shiftbench.base.errors import DataError
from shiftbench.base.sample import Sample
from shiftbench.data import shards, splits
from shiftbench.plugins.tasks import LabelSpace
from shiftbench.provenance.recipe import Artifact, Run


def begins(artifact: Artifact) -> bool:
    """Tell whether a method begins anew at a position; a plain shift is a stream that begins at each severity."""
    return not artifact.recipe.get("stream", {}).get("before")


class StreamRunner:
    """Leads a method along the positions of streams, in order.

    Args:
        run: the job of evaluation.
        method: the method's file; one that does not see a stream is told nothing.
        predictor: what the method made.
        classes: the model's, in the order of its logits.
    """

    def __init__(self, run: Run, method: ModuleType, predictor: Any, classes: Sequence[str]) -> None:
        self._run, self._predictor, self._classes = run, predictor, tuple(classes)
        self._adapts = method.SEES == "stream"
        self._shown: dict[str, str] = {}  # keys and contents -> key and shards of a sample that was shown
        self._labels: dict[Path, dict[str, object]] = {}

    def enter(self, artifact: Artifact, folder: Path) -> None:
        """Come to a position: reset the method where it begins anew, then show it the support.

        Args:
            artifact: of the records.
            folder: the shards that are tested there.

        Raises:
            DataError: the tested shards hold a sample that was shown; names both.
        """
        if not self._adapts:
            return
        if begins(artifact):
            self._predictor.reset()
            self._shown.clear()
        support = artifact.recipe.get("stream", {}).get("support", ())
        places = {ref.name: self._run.path(ref).parent for ref in artifact.inputs if ref.kind == "shards"}
        for name, *_ in support:
            self._note(places[name], name)
        self._refuse(folder)
        if support and hasattr(self._predictor, "adapt"):
            shown = [self._read(places[name], part, of) for name, part, of in support]
            self._predictor.adapt([sample for samples in shown for sample in samples])

    def _note(self, folder: Path, name: str) -> None:
        for entry in shards.index(folder):
            for mark in (entry.key, entry.pixels):
                self._shown.setdefault(mark, f"{entry.key!r} of {name}")

    def _refuse(self, folder: Path) -> None:
        for entry in shards.index(folder) if self._shown else ():
            for mark, what in ((entry.key, "key"), (entry.pixels, "content")):
                if mark in self._shown:
                    raise DataError(
                        f"{entry.key!r} is tested and has the {what} of {self._shown[mark]}, which was shown as "
                        "support: take it out of one set, or choose other support"
                    )

    def _read(self, folder: Path, part: int, of: int) -> list[Sample]:
        """Return one part of some shards, labels as classes of the model."""
        keys = None
        if of > 1:
            if folder not in self._labels:
                labelled = shards.read(folder, ["label"])
                self._labels[folder] = {s.key: s.fields["label"] for s in labelled}
            keys = frozenset(splits.part(self._labels[folder], part, of))
        kept = list(shards.read(folder, keys=keys))
        space = LabelSpace(self._classes, tuple(shards.manifest(folder)["classes"]))
        labels = space.labels([int(s.fields["label"]) for s in kept], [s.key for s in kept])
        return [s.with_field("label", int(v)) for s, v in zip(kept, labels, strict=True)]
