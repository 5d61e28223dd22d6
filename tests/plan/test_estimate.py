"""What a run will take, before it starts."""

from __future__ import annotations

from pathlib import Path

from makers import planned_campaign
from shiftbench.plan import estimate


def rows(home: Path, **over: object) -> dict[str, dict[str, object]]:
    return {row["stage"]: row for row in estimate.table(planned_campaign.plan(home, **over), home)}


def test_shards_that_are_not_stored_take_no_space(tmp_path: Path) -> None:
    planned_campaign.make(tmp_path)
    stored = rows(tmp_path)["shift"]  # three clean, two shifted; three previews
    read = rows(tmp_path, shards__materialise=False)["shift"]
    assert (stored["outputs"], stored["GB"]) == (8, round((5 * 3.5 + 3 * 0.05) / 1000, 3))
    assert (read["outputs"], read["GB"]) == (6, round((3 * 3.5 + 3 * 0.05) / 1000, 3))


def test_what_is_there_takes_nothing(tmp_path: Path) -> None:
    planned_campaign.make(tmp_path)
    plan = planned_campaign.plan(tmp_path)
    planned_campaign.settle(plan, tmp_path, tuple({ref.kind for ref in plan.artifacts}))
    assert {(row["hours"], row["GB"]) for row in estimate.table(plan, tmp_path)} == {(0, 0)}
