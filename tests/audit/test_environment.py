"""A6: where results were made, and with which libraries."""


def test_each_run_file_is_complete_and_as_locked(made):
    assert made.findings("environment") == []


def test_a_library_of_another_version_is_named(made):
    file = f"{made.one('shards').path}.run.json"
    made.edit(file, lambda content: content["environment"]["packages"].update(pillow="12.0.0"))
    (finding,) = made.findings("environment")
    assert (finding.verdict, finding.file, finding.found) == ("failed", file, "pillow 12.0.0")
    assert "a library differs from the lock: pillow 12.0.0 made it, the lock says" in finding.why
    assert any("differ in packages" in note for note in made.result("environment").notes)


def test_a_library_that_made_everything_is_told_once_with_all_numbers(made):
    for ref in made.plan().artifacts:
        made.edit(f"{ref.path}.run.json", lambda content: content["environment"]["packages"].update(numpy="1.0"))
    (finding,) = made.findings("environment")
    assert "and 49 more" in finding.why
    assert len(finding.numbers) == 48


def test_a_run_file_that_lacks_facts_fails(made):
    file = f"{made.one('records').path}.run.json"

    def strip(content):
        del content["device"], content["environment"]["blas"]

    made.edit(file, strip)
    (finding,) = made.findings("environment")
    assert (finding.verdict, finding.file) == ("failed", file)
    assert "environment.blas, device" in finding.why


def test_another_lock_with_the_same_versions_is_a_note(made):
    with (made.root / "requirements.lock").open("a") as lock:
        lock.write("zope.interface==99.0\n")
    result = made.result("environment")
    assert result.verdict == "exact"
    assert any("under another lock" in note for note in result.notes)


def test_without_a_lock_nothing_is_compared_and_that_is_said(made):
    (made.root / "requirements.lock").unlink()
    result = made.result("environment")
    assert result.verdict == "exact"
    assert any("were not compared" in note for note in result.notes)
