"""Stage evaluate, streams: the resets of an adapting method, and the labelled support samples that it may adapt on.

Support shares no sample with the tested sets. The plan refuses a set with both roles; this module also compares keys
and contents of the shards, which finds a copy under another name. Labels are classes of the model; -1 means a class
that the model does not have, an auxiliary outlier.
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
    """Whether a method is reset before a condition; a plain shift is a stream with a reset at each severity."""
    return not artifact.recipe.get("stream", {}).get("before")


class StreamRunner:
    """Leads a method through the conditions of streams, in order.

    Args:
        run: the job of evaluation.
        method: the plugin; only a method with SEES = "stream" gets resets and support.
        predictor: the model wrapped by the method.
        classes: classes of the model, in the order of its logits.
    """

    def __init__(self, run: Run, method: ModuleType, predictor: Any, classes: Sequence[str]) -> None:
        self._run, self._predictor, self._classes = run, predictor, tuple(classes)
        self._adapts = method.SEES == "stream"
        self._shown: dict[str, str] = {}  # key or content -> the support sample that has it
        self._labels: dict[Path, dict[str, object]] = {}

    def enter(self, artifact: Artifact, folder: Path) -> None:
        """Prepare the method for a condition: reset it at the start of a stream, then show it the support.

        Args:
            artifact: the records to write.
            folder: the tested shards.

        Raises:
            DataError: a tested sample was shown as support; the message names both.
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
            support_parts = [self._read(places[name], part, of) for name, part, of in support]
            self._predictor.adapt([sample for samples in support_parts for sample in samples])

    def _note(self, folder: Path, name: str) -> None:
        for row in shards.index(folder):
            for mark in (row.key, row.pixels):
                self._shown.setdefault(mark, f"{row.key!r} of {name}")

    def _refuse(self, folder: Path) -> None:
        for row in shards.index(folder) if self._shown else ():
            for mark, what in ((row.key, "key"), (row.pixels, "content")):
                if mark in self._shown:
                    raise DataError(
                        f"{row.key!r} is tested and has the {what} of {self._shown[mark]}, which was shown as "
                        "support: take it out of one set, or choose other support"
                    )

    def _read(self, folder: Path, part: int, of: int) -> list[Sample]:
        """One part of a folder of shards, with labels as classes of the model."""
        keys = None
        if of > 1:
            if folder not in self._labels:
                labelled = shards.read(folder, ["label"])
                self._labels[folder] = {s.key: s.fields["label"] for s in labelled}
            keys = frozenset(splits.part(self._labels[folder], part, of))
        samples = list(shards.read(folder, keys=keys))
        space = LabelSpace(self._classes, tuple(shards.manifest(folder)["classes"]))
        labels = space.labels([int(s.fields["label"]) for s in samples], [s.key for s in samples])
        return [s.with_field("label", int(v)) for s, v in zip(samples, labels, strict=True)]
