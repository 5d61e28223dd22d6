"""Options of plugins: types, bounds and meanings come from the plugin, and wrong values are refused in plain words."""

import types
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from shiftbench.base import registry
from shiftbench.base.errors import NotRunError
from shiftbench.base.registry import options
from shiftbench.base.registry.as_written import Unrun
from shiftbench.base.rng import RandomStream
from shiftbench.plugins import declare


class Options(declare.Options):
    k: int = Field(50, ge=1, le=100, description="rank")
    share: float = Field(0.5, gt=0, lt=1, description="share")
    index: Literal["exact", "faiss"] = Field("exact", description="search")
    step: float | None = Field(None, ge=0, description="step; null: none")
    layers: list[int | str] = Field([1, "last"], description="layers")
    lambda_: float = Field(10.0, alias="lambda", description="a name that Python keeps")
    flip: bool = Field(False, description="flip")
    labels: dict[str, int] = Field({}, description="labels")


def plugin(**attributes: Any) -> types.ModuleType:
    module = types.ModuleType("mine.detectors.knn")
    vars(module).update(attributes)
    return module


TYPED = plugin(Options=Options)


def test_defaults_have_the_names_of_params_yaml() -> None:
    assert registry.defaults(TYPED) == {
        "k": 50, "share": 0.5, "index": "exact", "step": None, "layers": [1, "last"], "lambda": 10.0, "flip": False,
        "labels": {},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("values", "lines"),
    [
        ({"k": "many"}, ['k = "many": expected a whole number (default 50)']),
        ({"k": 0}, ["k = 0: expected 1 or more (default 50)"]),
        ({"k": 101}, ["k = 101: expected 100 or less (default 50)"]),
        ({"k": True}, ["k = true: expected a whole number (default 50)"]),
        ({"k": None}, ["k = null: expected a whole number (default 50)"]),
        ({"share": 1}, ["share = 1: expected a number below 1 (default 0.5)"]),
        ({"share": "half"}, ['share = "half": expected a number (default 0.5)']),
        ({"index": "fais"}, ['index = "fais": expected exact or faiss (default "exact")']),
        ({"step": "none"}, ['step = "none": expected a number (default null)']),
        ({"layers": 3}, ['layers = 3: expected a list: [one, two] (default [1, "last"])']),
        ({"layers": [0.5]}, None),
        ({"labels": {-1: 2}}, ['labels = {"-1": 2}: the key -1: expected a text (default {})']),
        ({"labels": {"a": "b"}}, ['labels = {"a": "b"}: expected a whole number (default {})']),
        ({"flip": "yes"}, ['flip = "yes": expected true or false (default false)']),
        ({"lambda": []}, ["lambda = []: expected a number (default 10.0)"]),
        (
            {"K": 3},
            ["K: unknown option of mine.detectors.knn; known: flip, index, k, labels, lambda, layers, share, step"],
        ),
        (
            {"k": 0, "flip": 1},
            ["k = 0: expected 1 or more (default 50)", "flip = 1: expected true or false (default false)"],
        ),
    ],
)
def test_wrong_values_are_named_with_what_is_expected(values: dict[str, Any], lines: list[str] | None) -> None:
    problems = options.problems(TYPED, values)
    if lines is None:
        assert len(problems) == 1
    else:
        assert problems == lines


def test_right_values_are_accepted_as_they_are() -> None:
    for values in ({"k": 1}, {"share": 0.1}, {"step": 0}, {"step": None}, {"layers": []}, {"lambda": 3}, {}):
        assert options.problems(TYPED, values) == []


def keyed(
    image: int, *, border: Annotated[Literal["a", "b"], Field(description="edge")] = "a", sources: Any = None
) -> int:
    return image if border == "a" else -image


def test_keywords_of_a_function_are_options_and_sources_are_not() -> None:
    shift = plugin(apply=keyed)
    assert registry.defaults(shift) == {"border": "a"}
    assert options.fields(shift)["border"].description == "edge"
    assert options.problems(shift, {"border": "c"}) == ['border = "c": expected a or b (default "a")']


def kind(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return str(type(value))
    return "number" if isinstance(value, int | float) else str(type(value))


def test_of_a_dictionary_values_must_have_the_type_of_the_default() -> None:
    words = RandomStream(0, "options", "drawn", "0")
    pool: list[Any] = [True, False, 0, 7, -1, 0.5, 1e9, "", "text", [], [1], ["a"], [0.5, 2], {}, {"a": 1}, None]
    for _ in range(500):
        default, value = (pool[int(at)] for at in words.integers(0, len(pool), 2))
        wrong = options.problems(plugin(PARAMS={"one": default}), {"one": value})
        if default is None or (isinstance(default, float) and value is None):
            assert not wrong
        elif kind(default) == kind(value) == "number":
            assert bool(wrong) == (isinstance(default, int) and isinstance(value, float)), (default, value)
        elif isinstance(default, list) and isinstance(value, list):
            members = {kind(member) for member in default}
            if not default or not value:
                assert not wrong
            elif not {kind(member) for member in value} <= members:
                assert wrong, (default, value)
        else:
            assert bool(wrong) == (kind(default) != kind(value)), (default, value)


def test_a_plugin_that_is_only_read_has_its_literal_defaults(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    text = (
        "from pydantic import Field\n\nclass Options({base}):\n    k: int = Field({default}, ge=1)\n    b: str = 'x'\n"
    )
    file.write_text(text.format(base="declare.Options", default="3, alias='lambda'"))
    assert registry.defaults(Unrun("mine", file)) == {"lambda": 3, "b": "x"}
    for base, default in (("erm.Options", "3"), ("declare.Options", "SIZE"), ("declare.Options", "")):
        file.write_text(text.format(base=base, default=default).replace("Field(, ", "Field("))
        with pytest.raises(NotRunError):
            registry.defaults(Unrun("mine", file))
    file.write_text("def apply(image, severity, rng, *, spread=0.2, sources=None): ...\n")
    assert registry.defaults(Unrun("mine", file)) == {"spread": 0.2}


@pytest.mark.parametrize("plugin_type", registry.PLUGIN_TYPES)
def test_every_option_of_ours_says_what_it_is(plugin_type: str) -> None:
    for name in registry.names(plugin_type):
        module = registry.find(plugin_type, name)
        assert not hasattr(module, "PARAMS") or registry.JOIN in name, f"{plugin_type}/{name} has no class Options"
        silent = [option for option, field in options.fields(module).items() if not field.description]
        tensors = plugin_type == "losses"
        assert tensors or not silent, f"{plugin_type}/{name}: {silent} have no description"
