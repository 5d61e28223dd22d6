"""What shiftbench replaces in Snakemake is there; where a Snakemake has moved it, that is said by name."""

from __future__ import annotations

import asyncio
import tarfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import snakemake
from snakemake.executors import local
from snakemake.persistence import FileBackupMixin, PersistenceBase
from snakemake.scheduling.job_scheduler import JobScheduler
from snakemake.sourcecache import LocalSourceFile

from shiftbench.engine import internals
from shiftbench.engine.internals import MovedError


def another(self: object, job: object, attempt: int) -> None:
    """Stands for a method of a newer Snakemake."""


def test_the_installed_snakemake_is_known() -> None:
    internals.check()
    assert snakemake.__version__ in internals.KNOWN


def test_what_has_moved_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(FileBackupMixin, "backup_output")
    monkeypatch.setattr(JobScheduler, "__init__", another)
    monkeypatch.setattr(local.Executor, "run_single_job", another)
    with pytest.raises(MovedError) as caught:
        internals.check()
    message = str(caught.value)
    assert message.startswith(
        f"Snakemake {snakemake.__version__} has moved what shiftbench replaces"
    )
    for name in (
        "snakemake.persistence.PersistenceBase.backup_output",
        "snakemake.executors.local.Executor.run_single_job",
        "snakemake.scheduling.job_scheduler.JobScheduler._open_jobs",
        "Known to work: 9.27.1; `pip install snakemake==9.27.1`",
    ):
        assert name in message
    assert "restore_output" not in message


def test_nothing_is_replaced_where_something_has_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    before = PersistenceBase.backup_output
    monkeypatch.delattr(JobScheduler, "_schedule_reevalutation")
    with pytest.raises(MovedError):
        internals.adapt(warm=True)
    assert PersistenceBase.backup_output is before


def test_no_size_is_read_and_each_is_zero() -> None:
    """Where a choice reads sizes, it finds one for each input; none was looked up."""
    scheduler: Any = SimpleNamespace()
    asyncio.run(internals._read_no_sizes(scheduler, [object()]))
    assert {scheduler._input_sizes[path] for path in ("a.tar", "b.tar")} == {0}
    assert not scheduler._input_sizes


def test_pods_on_a_volume_get_the_rules_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What another storage is sent is Snakemake's own matter: all that git tracks."""
    monkeypatch.chdir(tmp_path)
    Path("workflow/scripts").mkdir(parents=True)
    names = ["Snakefile", "mine.yaml", "params.yaml", "workflow/jobs.smk", "workflow/scripts/a.py"]
    for name in names:
        Path(name).write_text(name)
    workflow: Any = SimpleNamespace(
        included=[LocalSourceFile(str(tmp_path / name)) for name in ("Snakefile", names[3])],
        configfiles=[tmp_path / "mine.yaml"],
        dag=SimpleNamespace(get_sources=lambda: set(names)),
    )
    for provider, left_out in {"volume": {"params.yaml"}, "s3": set()}.items():
        workflow.storage_settings = SimpleNamespace(default_storage_provider=provider)
        internals._send_rules(workflow, tmp_path / "sources.tar.xz")
        with tarfile.open("sources.tar.xz") as archive:
            assert set(archive.getnames()) == set(names) - left_out


class Resources(dict[str, str]):
    """Stands for a job's resources."""

    runtime = 720


def test_a_warm_job_is_the_command_of_its_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    job = SimpleNamespace(
        params=SimpleNamespace(verb="train", options="--device cpu"),
        input=SimpleNamespace(recipe="recipes/train/a.json"),
        log=["logs/train/a.log"],
        resources=Resources(tmpdir="/scratch"),
    )
    monkeypatch.delenv("SHIFTBENCH_LIMIT_TIME", raising=False)
    asked = internals.warm_job(job)
    assert " ".join(asked.argv) == "shiftbench train --recipe recipes/train/a.json --device cpu"
    assert (asked.log, asked.environment["TMPDIR"]) == ("logs/train/a.log", "/scratch")
    assert asked.seconds is None
    monkeypatch.setenv("SHIFTBENCH_LIMIT_TIME", "1")
    assert internals.warm_job(job).seconds == 720 * 60
