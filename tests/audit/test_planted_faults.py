"""Planted faults, one at a time: the check of each fault detects it, and the finding names the file.

The faults are thorough: if a fault is marked *digests updated*, manifest, index, receipt and all outputs of the file
state the new digests. The faults are in `tests/makers/faults_of_*.py`. `docs/audit.md` has a table of
them, and a test here compares the two.
"""

import sys

import pytest

from makers import faults_of_evidence, faults_of_results, faults_of_shards
from shiftbench.audit import run

FAULTS = faults_of_shards.FAULTS | faults_of_results.FAULTS | faults_of_evidence.FAULTS


def test_there_are_forty_faults_and_more():
    assert len(FAULTS) >= 60


def test_without_a_fault_all_is_exact(published):
    done = published.audit(level=3)
    assert {result.name: (result.verdict, result.findings) for result in done.results if result.verdict != "exact"} == {
        "clone": ("not run", ())
    }
    assert done.exit_code == 0


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_caught_and_named(published, name):
    fault = FAULTS[name]
    fault.plant(published)
    try:
        result = published.result(fault.check, level=1)
    finally:
        sys.path[:] = [place for place in sys.path if not place.endswith("/older")]
    hits = [finding for finding in result.findings if fault.file in finding.file]
    wanted = "incomplete" if name == "a severity dropped, its receipts too" else "failed"
    assert [finding.verdict for finding in hits][:1] == [wanted], [str(f) for f in result.findings]
    assert any(finding.why for finding in hits)


def test_the_page_has_this_table(root):
    """Printed by `python tests/audit/test_planted_faults.py`."""
    assert listed() in (root / "docs/audit.md").read_text()


def listed() -> str:
    """Return the faults as a table of Markdown, by the number of the check."""
    rows = [(run.select_checks([f.check])[0].number, f.check, name) for name, f in FAULTS.items()]
    rows.sort(key=lambda row: int(row[0][1:]))
    lines = [f"| {name} | {number} | {check} |" for number, check, name in rows]
    return "\n".join(["| fault | caught by | |", "| --- | --- | --- |", *lines])


if __name__ == "__main__":
    sys.stdout.write(listed() + "\n")
