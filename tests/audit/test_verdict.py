"""A30: no check is silent, and no verdict is better than its findings."""

import json
from pathlib import Path

import jsonschema

from shiftbench import audit
from shiftbench.audit.finding import EXIT_CODES, Finding, Result

GOOD = Result("A2", "chain", 0, "title", "exact", notes=("looked",))


def test_sound_results_and_the_auditors_environment(made):
    said = made.says("verdict", results=[GOOD, Result("A10", "digests", 1, "title", "not run")])
    assert next(one.text for one in said) == "1 other checks ran, 1 are of deeper levels"
    assert any("audited with Python" in one.text for one in said)


def test_a_silent_check_and_a_better_verdict_fail(made):
    silent = Result("A3", "coherence", 0, "title", "exact")
    better = Result("A4", "parameters", 0, "title", "exact", (Finding("failed", "x", "y"),))
    findings = made.findings("verdict", results=[GOOD, silent, better])
    assert [one.file for one in findings] == ["coherence", "parameters"]
    assert (findings[1].expected, findings[1].found) == ("failed", "exact")


def test_a_library_of_the_auditor_that_is_not_as_locked_is_noted(made):
    (made.root / "requirements.lock").write_text("pillow==1.0\n")
    texts = [one.text for one in made.says("verdict", results=[GOOD])]
    assert any("this machine differs from the lock: pillow" in text for text in texts)


def test_a_clean_benchmark_is_exact_at_level_0(made):
    checks = "chain coherence parameters seeds environment licences selection coverage sampling reruns verdict".split()
    assert {result.name: result.verdict for result in made.audit(*checks).results} == dict.fromkeys(checks, "exact")


def test_the_json_is_as_its_schema_says(made):
    schema = json.loads((Path(audit.__file__).parent / "schema.json").read_text())
    (made.root / made.one("scores").path).unlink()
    done = made.audit("chain", "verdict")
    assert done.exit_code == 30
    jsonschema.validate(json.loads(json.dumps(done.plain())), schema)
    assert schema["properties"]["exit_code"]["enum"] == list(EXIT_CODES.values())
