"""What is derived from an analysis' observations stands where these do: planned, as far as the audit is concerned."""

import shutil
from pathlib import Path

import pytest

from isolation import ROOT
from shiftbench.audit.evidence import planned_rows
from shiftbench.workflow.plan import plan as plans

OBSERVED = {"perturbed_accuracy", "standard_accuracy"}


def test_fmr_stands_where_its_observations_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    planned, _ = plans.load("systems/fmr/smoke")
    place = ("clothes/convnet-erm-s0", "plain", None, "clothes", "test", "oracle_search", 5.0, None)
    rows = {(*place, metric) for metric in ("fmr", "perturbed_accuracy", "accuracy", "error")}
    found = planned_rows.foreign(planned, "walks", rows, OBSERVED)
    assert {row[-1] for row in found} == {"accuracy", "error"}
    assert {row[-1] for row in planned_rows.foreign(planned, "walks", rows, set())} == {row[-1] for row in rows}
