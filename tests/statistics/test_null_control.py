"""benchmarks/null_control.py: what is true of a run is not of the same values exchanged over its arms."""

import importlib.util
import shutil
import sys

import numpy as np
import pytest

from isolation import ROOT
from makers import random_records
from shiftbench.statistics.claims import judgement
from shiftbench.statistics.claims.statements import Claim
from shiftbench.workflow.stages import judge_claims

FILE = ROOT / "benchmarks/null_control.py"
spec = importlib.util.spec_from_file_location(FILE.stem, FILE)
assert spec is not None
assert spec.loader is not None
control = sys.modules[FILE.stem] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(control)

ARMS = [{"metric": "accuracy", "model": f"net-{name}"} for name in ("right", "chance")]
BETTER = Claim.model_validate({"says": "-", "value": {"difference": ARMS}, "margin": 0.1})
LOSES_LITTLE = BETTER.model_copy(update={"margin": -0.5})


@pytest.fixture
def benchmark(tmp_path):
    """Two nets on forty samples of four classes; one is right on all, the other by chance."""
    labels = np.array([sample.fields["label"] for sample in random_records.samples()])
    logits = {"right": np.eye(4, dtype=np.float32)[labels], "chance": random_records.logits(1)}
    cells = [random_records.artifact(tmp_path, f"net-{name}-s0", "identity", 0, data) for name, data in logits.items()]
    metrics = {"accuracy": {"use": "accuracy", "options": {}}}
    about = {"benchmark": "toys", "task": "classification", "draws": 200, "seed": 0}
    return control.Benchmark(cells, [], {**about, "metrics": metrics})


def test_what_a_net_is_better_by_is_gone_when_its_rows_are_exchanged(benchmark, tmp_path):
    direction = {"accuracy": True}
    as_it_is = judge_claims.read([control.table(benchmark, tmp_path / "as it is")], direction)
    found = control.exchanged([benchmark], 0, tmp_path / "exchanged", direction)
    verdicts = [judgement.judge({"better": BETTER}, rows, "embedded")[0].verdict for rows in (as_it_is, found)]
    assert verdicts[0] == "supported"
    assert verdicts[1] != "supported"
    mean = [rows.values[:, 0].mean() for rows in (as_it_is, found)]
    assert mean[0] == pytest.approx(mean[1])  # the same rows, elsewhere
    assert not control.true_of_equals(BETTER, found)
    assert control.true_of_equals(LOSES_LITTLE, found)


def test_claims_of_published_rows_without_differences_are_decided_as_often_as_stated(tmp_path, monkeypatch):
    """Forty sets of rows of two systems: Holm allows one card in twenty. A rule of ten times the error is seen."""
    slugs = ("palm", "coco-o")
    shutil.copy(ROOT / "params.yaml", tmp_path)
    for slug in slugs:
        shutil.copytree(ROOT / "published/systems" / slug, tmp_path / "published/systems" / slug)
    monkeypatch.chdir(tmp_path)
    worlds = [control.World.of(slug) for slug in slugs]
    assert all(world.card for world in worlds)

    def wrong():
        return sum(bool(world.wrong(world.at_margin(), seed)) for world in worlds for seed in range(20))

    assert wrong() <= 6  # 0.3% of binomials of 40 sets at 5%
    monkeypatch.setattr(judgement, "ERROR", 0.5)
    assert wrong() > 6
