"""What a run will take, before it starts."""

import gzip
import json
from pathlib import Path

import pytest

from makers import planned_benchmark
from shiftbench.workflow.plan import cards, configurations, estimate
from shiftbench.workflow.plan import plan as plans


def rows(home: Path, **over: object) -> dict[str, dict[str, object]]:
    return {row["stage"]: row for row in estimate.table(planned_benchmark.plan(home, **over), home)}


def test_shards_that_are_not_stored_take_no_space(tmp_path: Path) -> None:
    planned_benchmark.make(tmp_path)
    stored = rows(tmp_path)["shift"]  # three clean, two shifted; three previews
    read = rows(tmp_path, shards__materialise=False)["shift"]
    assert (stored["outputs"], stored["GB"]) == (8, round((5 * 3.5 + 3 * 0.05) / 1000, 3))
    assert (read["outputs"], read["GB"]) == (6, round((3 * 3.5 + 3 * 0.05) / 1000, 3))


def test_what_is_there_takes_nothing(tmp_path: Path) -> None:
    planned_benchmark.make(tmp_path)
    plan = planned_benchmark.plan(tmp_path)
    planned_benchmark.settle(plan, tmp_path, tuple({ref.kind for ref in plan.artifacts}))
    assert {(row["hours"], row["GB"]) for row in estimate.table(plan, tmp_path)} == {(0, 0)}


def test_a_system_takes_what_its_published_run_took(tmp_path: Path) -> None:
    """Jobs that were never made here: by their stages' rates, in sum the minutes of measured.json."""
    planned, _ = plans.load("systems/recode")
    file = cards.file("recode").with_name("measured.json")
    expected = estimate.seconds(planned, tmp_path, {}, planned.jobs)
    minutes = json.loads(file.read_text())["minutes"]
    assert sum(expected.values()) / 60 == pytest.approx(minutes)
    little, _ = plans.load("systems/recode/smoke")
    rates = {job.rule: estimate.SECONDS[job.verb] for job in little.jobs.values()}
    assert estimate.seconds(little, tmp_path, {}, little.jobs) == pytest.approx(rates)


def test_a_job_takes_what_it_took_where_it_was_published(tmp_path: Path) -> None:
    """Those that no published run had go by rates, those that were made here by what they took here."""
    planned_benchmark.make(tmp_path)
    plan = planned_benchmark.plan(tmp_path)
    first, second, *others = plan.jobs.values()
    made = [job for job in others if job.verb == "evaluate"]
    for number, path in enumerate(path for job in made for path in job.outputs):
        file = tmp_path / f"{path}.run.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"seconds": 3.0 + number}))
    here = estimate.measured_seconds(plan.jobs.values(), tmp_path)
    assert set(here) == {job.rule for job in made} != set()
    known = {job.rule: 1000.0 + number for number, job in enumerate(others)}
    expected = estimate.seconds(plan, tmp_path, {**known, "another rule": 5.0}, plan.jobs)
    rates = {job.rule: estimate.SECONDS[job.verb] for job in (first, second)}
    assert expected == {**rates, **known, **here}


def test_what_was_published_of_times_informs_alone(tmp_path: Path) -> None:
    assert estimate.published_seconds("ood", tmp_path) == {}
    file = configurations.published_folder("ood", tmp_path) / estimate.SECONDS_FILE
    file.parent.mkdir(parents=True)
    file.write_bytes(estimate.pack({"train_a": 2.5}))
    assert estimate.published_seconds("ood", tmp_path) == {"train_a": 2.5}
    whole = estimate.pack({"train_a": 2.5})
    told = [b"{", b"[1]", b"\xff", b"[" * 100_000, b" " * (1 << 25) + b"{}"]
    told += [b'{"train_a": %s}' % time for time in (b"null", b"-1", b"NaN", b"1e999")]
    damaged = [whole[:12] + bytes([byte]) + whole[13:] for byte in range(256) if byte != whole[12]]
    for wrong in (b"", b"{}", whole[:-9], *map(gzip.compress, told), *damaged):
        file.write_bytes(wrong)
        found = estimate.published_seconds("ood", tmp_path)
        assert found in ({}, {"train_a": 2.5}), wrong  # some bytes of a header matter to nobody
