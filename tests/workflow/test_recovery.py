"""Every state recovers: outputs are damaged in drawn ways, and one run makes them right, or says what bars it.

RECOVERY_STATES=200 RECOVERY_SEED=7 pytest tests/workflow/test_recovery.py -rP    # another 200 states
"""

from __future__ import annotations

import os
import random  # noqa: TID251 - of damages, and seeded
from collections import Counter
from pathlib import Path

import pytest

from makers.damages import Campaign
from makers.repositories import Repository

pytestmark = pytest.mark.workflow


@pytest.mark.timeout(0)
def test_every_state_recovers(author: Repository, tmp_path: Path) -> None:
    """Whatever was done to outputs: success with right bytes, or one clear error; never a traceback."""
    campaign = Campaign(author.path, tmp_path / "repository")
    seed, count = (
        os.environ.get(f"RECOVERY_{name}", default)
        for name, default in (("SEED", "0"), ("STATES", "3"))
    )
    figures, wrong = Counter[str](), []
    for number in range(int(count)):
        outcome = campaign.after(random.Random(f"{seed} {number}"))
        figures[outcome.kind] += 1
        print(number, outcome.kind, len(outcome.done), outcome.why, flush=True)
        if outcome.kind == "wrong":
            wrong.append(
                f"state {number} of seed {seed}: {outcome.why}\n  " + "\n  ".join(outcome.done)
            )
    print(dict(figures))
    assert not wrong, "\n".join(wrong)
