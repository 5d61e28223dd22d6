"""As a user would: a plugin of each type from `shiftbench new`, one line of params each, tests, a run."""

from pathlib import Path

import polars as pl
import pytest

from makers.repositories import checkout

pytestmark = pytest.mark.workflow

NEW = {
    "shifts": "brighter",
    "datasets": "shapes",
    "models": "perceptron",
    "trainers": "mixup",
    "methods": "mirror",
    "detectors": "margin",
    "streams": "there_and_back",
    "metrics": "balanced",
    "analyses": "overconfidence",
    "losses": "generalised",
    "importers": "printed_log",
}
UNTESTED = ("analyses", "losses")
"""Plugin types without contract tests."""
LINES = [
    ("plugins: [tests/workflow/mine]", "plugins: [tests/workflow/mine, fresh]"),
    ("shifts: [gaussian_noise, contrast, jpeg_compression]", "shifts: [brighter]"),
    ("{architectures: [convnet], trainers: [erm], seeds: [0, 1]}", "{architectures: [perceptron], trainers: [mixup]}"),
    ("    features: [val]", "    methods: [mirror]\n    analyses: [overconfidence]\n    streams: [there_and_back]"),
    (
        "detectors: {gen: {gamma: [0.1, 0.5], M: 3}}",
        "streams: {there_and_back: {dataset: tiny, shift: brighter, severities: [1, 3]}}",
    ),
    (
        "    ood: [secret]\n    val_ood: [other/test]\n    detectors: [msp, gen]",
        "    ood: [shapes]\n    detectors: [margin]",
    ),
    ("metrics: {accuracy: {}, ece: {bins: 10}, auroc: {}}", "metrics: {accuracy: {}, balanced: {}, auroc: {}}"),
]


def test_scaffolds_are_tested_and_run(tmp_path: Path) -> None:
    repository = checkout(tmp_path / "repository")
    for plugin_type, name in NEW.items():
        said = repository.run("shiftbench", "new", plugin_type, name, "--into", "fresh").stdout
        assert f"wrote fresh/{plugin_type}/{name}.py; add to params.yaml:\n  plugins: [fresh]" in said
        test = f"test it: shiftbench test {name}"
        assert (test in said) == (plugin_type not in UNTESTED)
    for old, new in LINES:
        repository.edit("params.yaml", old, new)
    repository.edit("fresh/trainers/mixup.py", "import torch.nn.functional as F", "")
    repository.edit(
        "fresh/trainers/mixup.py",
        "import numpy as np",
        "import numpy as np\nfrom fresh.losses.generalised import generalised",
    )
    repository.edit(
        "fresh/trainers/mixup.py",
        "F.cross_entropy(logits, labels), F.cross_entropy(",
        "generalised(logits, labels), generalised(",
    )

    chosen = " or ".join(NEW.values())
    command = f"SHIFTBENCH_PLUGINS=fresh pytest -q -p no:cacheprovider tests/contracts -k '{chosen}' -rA"
    tested = repository.run("bash", "-c", command).stdout
    for name in (name for plugin_type, name in NEW.items() if plugin_type not in UNTESTED):
        assert f"{name}]" in tested, f"no contract test picked {name} up"

    repository.make("tables")
    rows = pl.read_parquet(repository.path / "results/tables/tiny/metrics.parquet")
    assert set(rows["method"]) == {"mirror"}
    ((gap, n),) = rows.filter(metric="overconfidence", model="tiny/perceptron-mixup-s0").select("value", "n").rows()
    assert (-1 < gap < 1, n) == (True, 60)
    assert "tiny/perceptron-mixup-s0" in set(rows["model"])
    values = {(r["metric"], r["shift"], r["severity"], r["detector"]): r["value"] for r in rows.to_dicts()}
    assert values["balanced", "identity", 0, None] > 0.5
    assert values["balanced", "brighter", 5, None] is not None
    assert 0 <= values["auroc", "identity", 0, "margin"] <= 1
    pages = {"report/index", "report/samples/tiny", "report/samples/tiny/index"}
    assert repository.planned() - pages == set()
