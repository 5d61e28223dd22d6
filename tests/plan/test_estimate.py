"""What a run will take, before it starts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from makers import planned_campaign
from shiftbench.plan import cards, estimate
from shiftbench.plan import plan as plans


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


def test_a_system_takes_what_its_published_run_took(tmp_path: Path) -> None:
    """Jobs that were never made here: by their stages' rates, in sum the minutes of measured.json."""
    planned, _ = plans.load("systems/recode")
    file = cards.file("recode").with_name("measured.json")
    expected = estimate.seconds(planned, tmp_path)
    minutes = json.loads(file.read_text())["minutes"]
    assert sum(expected.values()) / 60 == pytest.approx(minutes)
    little, _ = plans.load("systems/recode/smoke")
    rates = {job.rule: estimate.SECONDS[job.verb] for job in little.jobs.values()}
    assert estimate.seconds(little, tmp_path) == pytest.approx(rates)
