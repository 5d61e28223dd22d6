"""Every stream is an ordered list of positions, the same every time, and the plan can name them."""

import pytest

from shiftbench.base import registry
from shiftbench.base.registry import defaults
from shiftbench.contracts import names
from shiftbench.plugins.streams._steps import Step
from shiftbench.workflow.plan import params as parameters
from shiftbench.workflow.plan.plan import Plan


@pytest.mark.parametrize("name", names("streams"))
def test_a_stream_is_planned_step_by_step(name):
    module = registry.find("streams", name)
    steps = module.steps(defaults(module))
    assert steps == module.steps(defaults(module))
    assert steps
    assert all(isinstance(step, Step) for step in steps)
    benchmark = {
        "dataset": steps[0].dataset,
        "models": [{"architectures": ["convnet"], "trainers": ["erm"]}],
        "streams": [name],
    }
    plan = Plan.of(parameters.Params.model_validate({"benchmarks": {"one": benchmark}}))
    records = [ref.name for ref in plan.artifacts if ref.kind == "records" and f"/{name}/" in ref.name]
    assert records == [f"{steps[0].dataset}/convnet-erm-s0/plain/{name}/{i:03d}" for i in range(len(steps))]
    last = next(
        artifact for ref, artifact in plan.artifacts.items() if ref.name == records[-1] and ref.kind == "records"
    )
    assert {f"{s.dataset}/{s.split}/{s.shift}/{s.severity:g}" for s in steps} <= {
        ref.name for ref in last.inputs if ref.kind == "shards"
    }, "what a method has seen before decides what it does now"
