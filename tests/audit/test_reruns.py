"""A28: a parameter or a source file that changed after the run is named."""

from shiftbench.provenance.recipe import Artifact


def test_a_benchmark_is_what_its_params_and_code_ask_for(made):
    assert made.result("reruns").notes == ("53 of 53 outputs would not be made again",)


def test_a_parameter_that_changed_after_the_run_is_named(made):
    findings = made.findings("reruns", plan=made.plan(trainers__erm__epochs=2))
    assert {one.verdict for one in findings} == {"failed"}
    first = next(one for one in findings if one.file.startswith("checkpoints/"))
    assert "trainer.options.epochs: 1 -> 2" in first.why
    assert "likewise checkpoints/tiny/convnet-erm-s1.safetensors" in first.why
    (below,) = [one for one in findings if one is not first]
    assert below.why.startswith("its inputs are stale")


def test_a_source_file_that_changed_after_the_run_is_named(made):
    plan, ref = made.plan(), made.one("shards", "contrast/3")
    artifact = plan.artifacts[ref]
    changed = {**artifact.recipe["code"], "shiftbench/plugins/shifts/contrast.py": "0" * 32}
    plan.artifacts[ref] = Artifact.of(ref, {**artifact.recipe, "code": changed}, artifact.inputs)
    (finding,) = made.findings("reruns", plan=plan)
    assert finding.file == ref.path
    assert "code changed: shiftbench/plugins/shifts/contrast.py" in finding.why
