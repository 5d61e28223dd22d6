"""The audit's coverage: what is derived from derived metrics of an analysis has rows that no record gives."""

import shutil
from pathlib import Path

import pytest

from isolation import ROOT
from shiftbench.audit.evidence import planned_rows
from shiftbench.workflow.plan import plan as plans

OBSERVED = {"path_accuracy", "path_loss", "sharpness", "layer_barrier"}


def place(metric: str) -> planned_rows.Place:
    return ("few/strided_convnet-generalist-s0", "pool", None, "clothes", "test", None, None, None, metric)


def test_what_is_derived_from_derived_metrics_is_no_foreign_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    planned, _ = plans.load("systems/successful-interpolation/smoke")
    derived = {place(name) for name in ("barrier", "interpolation_gain", "barrier_correlation", "repair")}
    assert not list(planned_rows.foreign(planned, "pools", derived, OBSERVED))
    assert set(planned_rows.foreign(planned, "pools", derived, set())) == derived
    assert list(planned_rows.foreign(planned, "pools", {place("accuracy")}, OBSERVED)) == [place("accuracy")]
