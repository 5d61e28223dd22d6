"""benchmarks/null_control.py: what is true of a run is not of the same values exchanged over its arms."""

from __future__ import annotations

import importlib.util
import sys

import numpy as np
import pytest

from isolation import ROOT
from makers import random_records
from shiftbench.stages import judge_claims
from shiftbench.statistics import claims
from shiftbench.statistics.statements import Claim

FILE = ROOT / "benchmarks/null_control.py"
spec = importlib.util.spec_from_file_location(FILE.stem, FILE)
assert spec is not None
assert spec.loader is not None
control = sys.modules[FILE.stem] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(control)

ARMS = [{"metric": "accuracy", "weights": f"net-{name}"} for name in ("right", "chance")]
BETTER = Claim.model_validate({"says": "-", "value": {"difference": ARMS}, "margin": 0.1})
LOSES_LITTLE = BETTER.model_copy(update={"margin": -0.5})


@pytest.fixture
def campaign(tmp_path):
    """Two nets on forty samples of four classes; one is right on all, the other by chance."""
    labels = np.array([sample.fields["label"] for sample in random_records.samples()])
    logits = {"right": np.eye(4, dtype=np.float32)[labels], "chance": random_records.logits(1)}
    cells = [
        random_records.artifact(tmp_path, f"net-{name}-s0", "identity", 0, data)
        for name, data in logits.items()
    ]
    metrics = {"accuracy": {"use": "accuracy", "options": {}}}
    about = {"campaign": "toys", "task": "classification", "draws": 200, "seed": 0}
    return control.Campaign(cells, [], {**about, "metrics": metrics})


def test_what_a_net_is_better_by_is_gone_when_its_rows_are_exchanged(campaign, tmp_path):
    direction = {"accuracy": True}
    as_it_is = judge_claims.read([control.table(campaign, tmp_path / "as it is")], direction)
    found = control.exchanged([campaign], 0, tmp_path / "exchanged", direction)
    verdicts = [
        claims.judge({"better": BETTER}, rows, "embedded")[0].verdict for rows in (as_it_is, found)
    ]
    assert verdicts[0] == "supported"
    assert verdicts[1] != "supported"
    mean = [rows.values[:, 0].mean() for rows in (as_it_is, found)]
    assert mean[0] == pytest.approx(mean[1])  # the same rows, elsewhere
    assert not control.true_of_equals(BETTER, found)
    assert control.true_of_equals(LOSES_LITTLE, found)
