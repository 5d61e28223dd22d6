"""Tested images with a nearly equal image among those that a net learned from are counted and shown."""

from pathlib import Path

import numpy as np
import pytest

from makers import forgeries
from makers.made_benchmark import Made
from shiftbench.audit.checks import figures
from shiftbench.audit.evidence import near_duplicates
from shiftbench.audit.finding import Finding, Note
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.data import shards

TRAIN, TEST = (Ref("shards", f"tiny/{split}/identity/0") for split in ("train", "test"))


@pytest.mark.parametrize("change", ["one pixel", "noise", "nothing"])
@pytest.mark.parametrize("count", [1, 3])
def test_copies_in_training_are_counted_and_shown(made: Made, change: str, count: int) -> None:
    before = near_duplicates.Images(made.case(level=1)).nearest_pairs(TRAIN, TEST)
    assert before is not None
    draw = np.random.default_rng(count)
    guests = list(shards.read(made.folder(TEST)))[: 2 * count : 2]

    def copied(one: Sample) -> Sample:
        image = one.fields["image"].copy()
        if change == "one pixel":
            image[5, 6] ^= 0x80
        if change == "noise":
            image = np.clip(image + draw.integers(-1, 2, image.shape), 0, 255).astype(np.uint8)
        return Sample(f"tiny/all/zz{one.key[-6:]}", one.fields | {"image": image})

    forgeries.samples(made.root, TRAIN, lambda found: [*found, *map(copied, guests)])
    after = near_duplicates.Images(made.case(level=1)).nearest_pairs(TRAIN, TEST)
    assert after is not None
    assert after[2] - before[2] == len({guest.key for guest in guests})
    assert any("zz" in learned for _, _, learned in after[3])
    notes = [one for one in made.says("selection", level=1) if isinstance(one, Note)]
    assert any("nearly equal" in note.text and note.limits for note in notes)


def test_an_edited_page_is_not_what_is_published(made: Made) -> None:
    """Digits of a page that follows from published tables."""
    pages = {"docs/leaderboard.md": "accuracy 0.713\n", "docs/systems.md": "AUROC 0.894\n"}
    for name, text in pages.items():
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(text)
    assert not [one for one in figures._documents(pages) if isinstance(one, Finding)]
    for name, text in pages.items():
        Path(name).write_text(text.replace("3", "8").replace("4", "9"))
        (finding,) = (one for one in figures._documents(pages) if isinstance(one, Finding))
        assert (finding.verdict, finding.file) == ("failed", name)
        assert finding.expected != finding.found
        Path(name).write_text(text)
    (made.root / "published").mkdir()
    Path("docs/systems.md").write_text("AUROC 0.895\n")
    case = made.case(level=1, pages=lambda _: pages)
    assert {one.file for one in figures.figures(case) if isinstance(one, Finding)} == {"docs/systems.md"}
