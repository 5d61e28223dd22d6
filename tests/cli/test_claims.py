"""`shiftbench claims` on a terminal of 80 columns: a block for each claim, and no line beyond."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from shiftbench.base.errors import DataError
from shiftbench.cli import claims as commands
from shiftbench.workflow.plan import cards

WIDTH = 80
VERDICTS = ["supported", "refuted", "inconclusive", "not exercised"]


def printed(rows: list[dict[str, Any]]) -> str:
    console = Console(width=WIDTH, highlight=False, color_system=None)
    with console.capture() as said:
        console.print(commands._blocks("palm", rows))
    return said.get()


def words(random: np.random.Generator) -> str:
    return " ".join("x" * size for size in random.integers(1, 13, random.integers(1, 30)))


def drawn(random: np.random.Generator) -> dict[str, Any]:
    """Return what was found for a claim or a part of it: numbers of any size, reasons of any length."""
    value, low, high = (10.0 ** random.integers(-9, 9) * random.uniform(-1, 1) for _ in range(3))
    known = random.random() < 0.8
    return {
        "verdict": str(random.choice(VERDICTS)),
        "value": value if known else None,
        "ci_low": low if known and random.random() < 0.8 else None,
        "ci_high": high,
        "seeds": int(random.integers(1, 20)) if random.random() < 0.5 else None,
        "reason": words(random) if random.random() < 0.8 else "",
    }


def test_what_was_run_at_any_scale_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="no system was run here; `shiftbench systems` runs all"):
        commands._run_here()
    for slug, scale in (("palm", "smoke"), ("rwds", "embedded")):
        file = commands._claims_file(slug, scale)
        file.parent.mkdir(parents=True)
        file.touch()
    assert commands._run_here() == ["palm/smoke", "rwds"]
    with pytest.raises(DataError, match="`shiftbench systems palm` runs it; run here: palm/smoke"):
        commands._verdicts("systems/palm")


def test_each_claim_is_a_block_of_eighty_columns() -> None:
    random = np.random.default_rng(0)
    for slug in cards.slugs():
        claims = cards.load(slug).claims
        rows = [
            {"claim": name, "part": part, **commands._claim_texts(claim), **drawn(random)}
            for name, claim in claims.items()
            for part in (words(random), "mean over models", None)
        ]
        said = printed(rows)
        assert [line for line in said.splitlines() if len(line) > WIDTH] == []
        blocks = [block.splitlines() for block in said.rstrip().split("\n\n")[1:]]
        assert [block[0].split()[0] for block in blocks] == sorted(claims)
        for block in blocks:
            says = claims[block[0].split()[0]].says
            told = " ".join(" ".join(block).split())
            assert " ".join(says.split()) in told
            parts = [line for line in block if re.match(r"  \S", line)]
            assert len(parts) == 2, block  # wrapped lines stand deeper than where they begin
            assert all(line.startswith("  ") for line in block[1:]), block
