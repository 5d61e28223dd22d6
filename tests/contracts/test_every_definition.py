"""Each definition that runs in a job decides it: nothing runs that no recipe has, and another one is another job."""

from pathlib import Path

import numpy as np
import pytest

from makers import planned_benchmark, refactorings, watched_jobs
from shiftbench.provenance import code_digest, source_facts, source_names


def test_each_definition_that_ran_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a small benchmark: nothing ran that no recipe has, and a change of what ran makes its job another."""
    planned_benchmark.make(tmp_path)
    monkeypatch.chdir(tmp_path)
    plan = planned_benchmark.plan(tmp_path)
    did, lacking = watched_jobs.make(plan, Path(plan.params.root))
    assert lacking == {}
    assert len(did) > 10
    home = refactorings.copied(tmp_path)
    monkeypatch.setattr(source_facts.Home, "package", home)
    monkeypatch.setattr(source_facts.Home, "keeps", False)
    random = np.random.default_rng(3)
    jobs = [name for name in did if not name.startswith(("fetch/", "report/"))]
    for _ in range(40):
        job = plan.jobs[jobs[int(random.integers(len(jobs)))]]
        ran = sorted(did[f"{job.verb}/{job.name}"])
        name = ran[int(random.integers(len(ran)))]
        roots = [[source_names.locate_root(one) for one in a.recipe["roots"]] for a in job.artifacts]
        before = [code_digest.of(files).linked for files in roots]
        with refactorings.changed(name):
            after = [code_digest.of(files).linked for files in roots]
        assert before != after, (job.name, name)
