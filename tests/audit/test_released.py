"""A34: a user's own released results through the pipeline; a number that is not the cell it names is found."""

import hashlib
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml

from makers import forgeries
from makers.made_benchmark import Made, forget
from shiftbench.base import registry
from shiftbench.base.refs import Ref
from shiftbench.workflow.tools import run_local

BOARD = Ref("released", "board")


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    """A release of the user's own, with drawn numbers, of which everything is made."""
    draw = np.random.default_rng(5)
    lines = ["model,clean,noise 3,auroc (SD)"]
    for at in range(40):
        clean, noisy = draw.integers(0, 10_001, 2)
        lines.append(f"m{at},{clean / 100},{noisy / 100},{draw.uniform(50, 99):.2f} ± {draw.uniform(0.1, 3):.2f}")
    content = "\n".join(lines).encode()
    sources, released = tmp_path / "mine/sources", tmp_path / "mine/released"
    (sources / "board/results").mkdir(parents=True)
    released.mkdir()
    (sources / "board/results/all.csv").write_bytes(content)
    file = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
    source = {
        "title": "Board",
        "licence": "MIT",
        "redistribute": True,
        "citation": "none",
        "files": {"results/all.csv": file},
        "providers": [{"kept": "board"}],
    }
    (sources / "board.yaml").write_text(yaml.safe_dump(source))
    detection = {"metric": "auroc", "n": None, "seeds": 3, "dataset": "far", "shift": None, "severity": None}
    card = {
        "repository": "someone/board",
        "commit": "0" * 40,
        "is": {"dataset": "cifar10", "split": "test", "metric": "accuracy", "unit": "percent", "n": 10_000},
        "each": {"model": "{model}"},
        "files": {
            "results/*.csv": {
                "columns": {"clean": {}, r"(?P<shift>noise) (?P<severity>\d)": {}, r"auroc \(SD\)": detection}
            }
        },
    }
    (released / "board.yaml").write_text(yaml.safe_dump(card))
    content_of_params = {"plugins": ["mine"], "released": ["board"], "benchmarks": {}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content_of_params))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry.Folders, "extra", registry.Folders.extra)
    forget()
    made = Made(tmp_path)
    run_local.make(made.plan(), made.root)
    return made


def test_a_release_of_the_users_own_passes_through(made: Made) -> None:
    rows = pl.read_parquet(made.root / BOARD.path)
    assert len(rows) == 120
    text = (made.root / "mine/sources/board/results/all.csv").read_text().splitlines()
    for row in rows.iter_rows(named=True):
        assert row["printed"] in text[row["row"] - 1]
        assert row["model"] == text[row["row"] - 1].split(",")[0]
        assert row["ci_low"] <= row["value"] <= row["ci_high"]
        if row["metric"] == "auroc":
            half = 4.302653 * row["spread"] / 3**0.5  # t of 2 degrees of freedom at 97.5%
            ends = max(row["value"] - half, 0), min(row["value"] + half, 1)
            assert (row["ci_low"], row["ci_high"]) == pytest.approx(ends, rel=1e-6)
    assert rows.filter(shift="noise")["severity"].unique().to_list() == [3.0]
    for check in ("released", "rows", "aggregates", "digests"):
        result = made.result(check, level=1)
        assert (result.verdict, result.findings) == ("exact", ()), check
    assert made.result("released", level=1).notes == ("120 released numbers are the cells that they name",)


@pytest.mark.parametrize(
    ("column", "other", "message"),
    [
        ("value", pl.col("value") * 0.9, "a number is not the one that is printed"),
        ("printed", pl.lit("123.4"), "a number is not in the line that it names"),
        ("printed", pl.col("printed") + "0", "a number is not in the line that it names"),
    ],
)
def test_a_forged_number_is_found(made: Made, column: str, other: pl.Expr, message: str) -> None:
    drawn = int(np.random.default_rng(len(message)).integers(120))
    forgeries.cell(made.root, BOARD, forgeries.row(drawn), **{column: other})
    (finding,) = made.findings("released", level=1)
    assert message in finding.why
    assert made.result("aggregates", level=1).verdict == "failed", "the stage gives other cells"


def test_sources_that_are_not_here_are_told(made: Made) -> None:
    (made.root / "data/sources/board/results/all.csv").unlink()
    assert "the source files of 1 releases are not here" in made.says("released", level=1)[0].text
