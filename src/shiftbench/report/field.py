"""The page Field: what others measured and released, with intervals, and the line that each number was copied from."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from shiftbench.data.release_cards import address
from shiftbench.report import field_corruptions, field_detection, field_models
from shiftbench.report.field_corruptions import Attacked, Corrupted, Twice
from shiftbench.report.field_detection import Detection
from shiftbench.report.field_models import Models
from shiftbench.report.field_text import percent, points

_UNDEFENDED = 0.01  # accuracy under AutoAttack below which a model counts as undefended
TESTBED, ROBUSTBENCH = "imagenet_testbed", "robustbench"


@dataclass(frozen=True, slots=True)
class Release:
    """Where the numbers of a release are from.

    Attributes:
        name: of its card.
        title, repository, commit, licence, citation: as the cards have them.
        count: number of numbers.
    """

    name: str
    title: str
    repository: str
    commit: str
    licence: str
    citation: str
    count: int

    def address(self, file: str, row: int) -> str:
        """Where a line of a file can be read."""
        return address(self.repository, self.commit, file, row)

    def hint(self, file: str, row: int, column: str = "") -> str:
        """The same in words."""
        return f"{file}, commit {self.commit[:7]}, row {row}" + (f", column {column}" if column else "")


@dataclass(frozen=True)
class Field:
    """What the page shows; a part without data is empty.

    Attributes:
        releases: by name, in the order of params.
        models: of the first release that has the pretraining of models.
        corrupted: accuracies by corruption and severity.
        twice: models of ImageNet-C in two releases.
        attacked: models under attacks and corruptions.
        detection: boards of OOD detection.
    """

    releases: dict[str, Release]
    models: Models | None
    corrupted: tuple[Corrupted, ...]
    twice: tuple[Twice, ...]
    attacked: tuple[Attacked, ...]
    detection: Detection | None

    @classmethod
    def of(cls, tables: Mapping[str, pl.DataFrame], about: Mapping[str, Mapping[str, Any]]) -> Field:
        """The content of the page.

        Args:
            tables: release -> its numbers, in the columns of RELEASED.
            about: release -> title, repository, commit, licence, citation.
        """
        boards = (board for name, rows in tables.items() if (board := Models.of(name, rows)))
        detections = (found for name, rows in tables.items() if (found := field_detection.of(name, rows)))
        both = TESTBED in tables and ROBUSTBENCH in tables
        return cls(
            {name: Release(name, **about[name], count=len(rows)) for name, rows in tables.items()},
            next(boards, None),
            tuple(one for name, rows in tables.items() for one in field_corruptions.corrupted(name, rows)),
            tuple(field_corruptions.twice(tables[TESTBED], tables[ROBUSTBENCH])) if both else (),
            tuple(field_corruptions.attacked(tables[ROBUSTBENCH])) if ROBUSTBENCH in tables else (),
            next(detections, None),
        )

    @property
    def used(self) -> set[str]:
        """Releases that a part of the page shows."""
        names = {one.release for one in self.corrupted} | ({ROBUSTBENCH} if self.attacked else set())
        return names | {part.release for part in (self.models, self.detection) if part}

    @functools.cached_property
    def findings(self) -> list[tuple[str, str, str]]:
        """Place on the page, subject and sentences of each finding."""
        found = []
        if self.models:
            found += [("models", *one) for one in field_models.findings(self.models)]
        found += [("corruptions", *one) for one in self._of_corruptions()]
        if self.detection:
            found += [("detection", *one) for one in field_detection.findings(self.detection)]
        return found

    def _of_corruptions(self) -> Iterator[tuple[str, str]]:
        for one in self.corrupted:
            easiest, hardest = one.ends
            words = f"Over {one.count} models, the easiest corruption is {easiest} and the hardest is {hardest}."
            yield f"{one.title}, {self.releases[one.release].repository}", f"{words} These are means over severities."
        if self.twice:
            yield "ImageNet-C in two sources", self._of_sources()
        yield from self._of_attacks()

    def _of_sources(self) -> str:
        one = next((one for one in self.twice if one.name == "resnet50"), self.twice[0])
        cells, apart = sum(other.cells for other in self.twice), sum(other.apart for other in self.twice)
        return (
            f"{one.name} has mCE {percent(one.mce[0])}% in the testbed and {percent(one.mce[1])}% in RobustBench. "
            f"With the testbed's AlexNet as the baseline, RobustBench's cells give {percent(one.mce_shared)}%. "
            f"Its mean accuracy in RobustBench is {points(one.mean[1] - one.mean[0])} pp from that in the testbed. "
            f"Of {cells} cells of {len(self.twice)} models, {apart} differ by more than the images explain."
        )

    def _of_attacks(self) -> Iterator[tuple[str, str]]:
        undefended = {one.dataset: one.corrupted for one in self.attacked if one.adversarial[0] < _UNDEFENDED}
        peers = [one for one in self.attacked if one.adversarial[0] >= _UNDEFENDED and one.dataset in undefended]
        if peers:
            above = sum(one.corrupted > undefended[one.dataset] for one in peers)
            words = f"RobustBench has {len(self.attacked)} pairs of accuracy under AutoAttack and under corruptions. "
            words += f"{len(peers)} are of robust models with an undefended model on the same data. "
            yield "Attacks and corruptions", f"{words}Of these, {above} are more accurate than it under corruptions."
