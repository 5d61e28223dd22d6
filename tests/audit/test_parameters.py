"""A4: an option or a severity that the plugin does not have."""


def test_all_parameters_are_known(made):
    assert made.findings("parameters") == []


def test_an_unknown_option_in_a_recipe_fails(made):
    file = f"{made.one('checkpoints').path}.receipt.json"
    made.edit(file, lambda content: content["recipe"]["trainer"]["options"].update(epoch=3))
    (finding,) = made.findings("parameters")
    assert (finding.verdict, finding.file) == ("failed", file)
    assert "'epoch'" in finding.why
    assert "epochs" in finding.why


def test_a_severity_out_of_range_fails(made):
    file = f"{made.one('shards', 'contrast/5').path}.receipt.json"
    made.edit(file, lambda content: content["recipe"].update(severity=9.0))
    (finding,) = made.findings("parameters")
    assert (finding.file, finding.found) == (file, "9.0")


def test_params_with_an_unknown_key_fail_before_anything_is_planned(made):
    made.root.joinpath("params.yaml").write_text("sed: 1\nbenchmarks: {}\n")
    done = made.audit("parameters", "reruns")
    assert [result.verdict for result in done.results] == ["failed", "incomplete"]
    assert "sed: unknown key" in done.results[0].findings[0].why
