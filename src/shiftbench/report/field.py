"""The page Field: what others measured and released, with intervals, and each number with the line it was copied from."""

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
        detection = (board for name, rows in tables.items() if (board := field_detection.of(name, rows)))
        both = TESTBED in tables and ROBUSTBENCH in tables
        return cls(
            {name: Release(name, **about[name], count=len(rows)) for name, rows in tables.items()},
            next(boards, None),
            tuple(one for name, rows in tables.items() for one in field_corruptions.corrupted(name, rows)),
            tuple(field_corruptions.twice(tables[TESTBED], tables[ROBUSTBENCH])) if both else (),
            tuple(field_corruptions.attacked(tables[ROBUSTBENCH])) if ROBUSTBENCH in tables else (),
            next(detection, None),
        )

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
            yield (
                f"{one.title}, {self.releases[one.release].repository}",
                f"Over {one.count} models, the easiest corruption is {easiest} and the hardest is {hardest} "
                "(mean accuracy over severities).",
            )
        if self.twice:
            standard = next((one for one in self.twice if one.name == "resnet50"), self.twice[0])
            cells = sum(one.cells for one in self.twice)
            yield (
                "ImageNet-C in two sources",
                f"{standard.name} has an mCE of {percent(standard.mce[0])}% in the testbed and of "
                f"{percent(standard.mce[1])}% in RobustBench. With the testbed's AlexNet as the baseline, RobustBench's "
                f"cells give {percent(standard.mce_shared)}%. Mean accuracy differs by "
                f"{points(standard.mean[1] - standard.mean[0])} pp. Of {cells} cells of {len(self.twice)} models, "
                f"{sum(one.apart for one in self.twice)} differ by more than a random choice of the smaller set's images explains.",
            )
        yield from self._of_attacks()

    def _of_attacks(self) -> Iterator[tuple[str, str]]:
        undefended = [one for one in self.attacked if one.adversarial[0] < 0.01]
        defended = [one for one in self.attacked if one.adversarial[0] >= 0.01]
        above = [
            one
            for one in defended
            if any(one.corrupted > other.corrupted for other in undefended if other.dataset == one.dataset)
        ]
        with_peer = [one for one in defended if any(other.dataset == one.dataset for other in undefended)]
        if with_peer:
            yield (
                "Attacks and corruptions",
                f"RobustBench has {len(self.attacked)} pairs of AutoAttack accuracy and corruption accuracy of one model. "
                f"Of {len(with_peer)} adversarially trained ones with an undefended model on the same data, "
                f"{len(above)} are more accurate than it under corruptions.",
            )
