"""Wrong params: one clear message each, with file, line, key and what is allowed; never a traceback.

What the tables do not think of, test_drawn_params.py draws.
"""

import re
import textwrap
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from makers.wrong_params import EDITS, FILES, JARGON, RIGHT
from shiftbench.base.errors import ParamsError
from shiftbench.workflow.plan import plan
from shiftbench.workflow.plan.params import Params


def told(home: Path, text: str) -> str:
    """Return what `shiftbench plan` says of a params.yaml that it must refuse."""
    (home / "params.yaml").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ParamsError) as caught:
        plan.load()
    assert caught.value.code == 2
    message = str(caught.value)
    assert message.startswith("params.yaml")
    assert not re.search(JARGON, message)
    assert max(map(len, message.splitlines())) < 500
    return message


def test_what_the_edits_change_is_right(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(RIGHT)
    assert plan.load()[0].jobs


@pytest.mark.parametrize(("line", "instead", "words"), EDITS)
def test_a_wrong_line_is_told(tmp_path: Path, line: str, instead: str, words: str) -> None:
    assert line in RIGHT
    message = told(tmp_path, RIGHT.replace(line, instead, 1))
    assert words in f"{message}\n"
    assert words == "benchmarks is missing\n" or re.search(r"line \d+", message)


@pytest.mark.parametrize("text", FILES)
def test_a_wrong_file_is_told(tmp_path: Path, text: str) -> None:
    assert FILES[text] in told(tmp_path, text)


def test_independent_errors_are_told_together(tmp_path: Path) -> None:
    """A model whose code is not trusted, with two numbers too few, in a benchmark with two metrics without a source."""
    models = "models: {theirs: {use: torchscript, path: m.pt, mean: [0.5], std: [0.5, 0.5, 0.5]}}"
    text = f"""
        {models}
        metrics: {{accuracy: {{}}, mce: {{}}, effective_robustness: {{}}}}
        benchmarks:
          one:
            dataset: digits
            models: [{{architectures: [theirs]}}]
            shifts: [fog]
            ood: [mnist]
    """
    lines = told(tmp_path, textwrap.dedent(text)).splitlines()
    for words in ("models.theirs.trust", "models.theirs.mean has 1", "no detector looks", "mce is computed from"):
        assert sum(words in line for line in lines) == 1, lines
    assert all(line.startswith("params.yaml: ") and re.search(r"\(params\.yaml, line \d+\)$", line) for line in lines)


@pytest.mark.parametrize("line", ["blobs {}", "blobs [a, b]", "  blobs   [a]"])
def test_a_line_without_a_colon_gets_advice(tmp_path: Path, line: str) -> None:
    key, rest = line.split(maxsplit=1)
    message = told(tmp_path, f"datasets:\n  digits: {{}}\n{line}\nshifts: {{}}\n")
    assert message.endswith(f"write a colon after the key: `{key}: {rest}`")


def test_every_key_is_written_wrong_once() -> None:
    changed = {word for line, instead, _ in EDITS for word in re.findall(r"(\w+):", f"{line}\n{instead}")}
    assert set(_keys(Params)) - {"system", "scale", "slug"} <= changed


def _keys(model: type[BaseModel]) -> Iterator[str]:
    """Yield all keys below a model of params."""
    for name, field in model.model_fields.items():
        yield name
        for inner in _models(field.annotation):
            yield from _keys(inner)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from _models(argument)
