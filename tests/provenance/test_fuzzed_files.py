"""Files of strangers, drawn: whatever bytes stand in params, receipts and shards, an error is one of ours.

A few hundred draws in each run, thousands in `make test-all`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shiftbench.data import shards
from shiftbench.errors import ShiftbenchError
from shiftbench.plan import loading
from shiftbench.plan.params import Params
from shiftbench.provenance import recipe
from shiftbench.provenance.recipe import Artifact
from shiftbench.refs import Ref
from shiftbench.sample import Sample

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=4,
)  # fmt: skip
REF = Ref("records", "a/b-c-s0/plain/a/test/identity/0")
DRAWS = [40, pytest.param(1500, marks=pytest.mark.slow)]


def torn(data: st.DataObject, whole: bytes) -> bytes:
    """Return bytes with a piece cut out, another one in its place, or one turned over."""
    at = data.draw(st.integers(0, len(whole)))
    to = data.draw(st.integers(at, min(len(whole), at + 40)))
    return whole[:at] + data.draw(st.binary(max_size=12)) + whole[to:]


def changed(data: st.DataObject, content: Any) -> Any:
    """Return JSON with a value somewhere in it replaced, or without it."""
    if not isinstance(content, dict | list) or not content or data.draw(st.integers(0, 3)) == 0:
        return data.draw(VALUES)
    keys = sorted(content) if isinstance(content, dict) else list(range(len(content)))
    key = data.draw(st.sampled_from(keys))
    other = content.copy()
    if data.draw(st.booleans()):
        del other[key]
    else:
        other[key] = changed(data, content[key])
    return other


def drawn(draws: int, check: Callable[[st.DataObject], None]) -> None:
    quiet = [HealthCheck.too_slow, HealthCheck.data_too_large]
    settings(max_examples=draws, deadline=None, suppress_health_check=quiet, database=None)(
        given(st.data())(check)
    )()


@pytest.mark.parametrize("draws", DRAWS)
def test_params(tmp_path: Path, root: Path, draws: int) -> None:
    whole = (root / "params.yaml").read_bytes()[:1500]
    file = tmp_path / "params.yaml"

    refusals: list[str] = []

    def check(data: st.DataObject) -> None:
        file.write_bytes(torn(data, whole))
        try:
            assert isinstance(loading.load(file), Params)
        except ShiftbenchError as error:
            refusals.append(str(error))

    drawn(draws, check)
    assert refusals
    assert [said for said in refusals if str(file) not in said] == []


@pytest.mark.parametrize("draws", DRAWS)
def test_receipts(tmp_path: Path, draws: int) -> None:
    """What is no receipt is as good as none."""
    artifact = Artifact.of(REF, {"verb": "evaluate"}, (Ref("weights", "a/b-c-s0"),))
    output = tmp_path / REF.path
    output.parent.mkdir(parents=True)
    output.write_bytes(b"rows")
    whole = {
        "fingerprint": artifact.fingerprint,
        "recipe": {"verb": "evaluate"},
        "made": {output.name: "0" * 64},
        "consumed": {"weights/a/b-c-s0.safetensors": "1" * 64},
    }
    file = recipe.receipt_path(tmp_path, REF)
    file.write_text(json.dumps(whole))
    assert recipe.status(tmp_path, artifact) == "fresh"

    def check(data: st.DataObject) -> None:
        content = json.dumps(changed(data, whole)).encode()
        file.write_bytes(content if data.draw(st.booleans()) else torn(data, content))
        assert isinstance(recipe.status(tmp_path, artifact), str)
        recipe.made(tmp_path, REF)

    drawn(draws, check)


@pytest.mark.parametrize("draws", DRAWS)
def test_shards(tmp_path: Path, draws: int) -> None:
    image = np.arange(108, dtype=np.uint8).reshape(12, 9)
    samples = (Sample(f"t/{n}", {"image": image, "label": n, "meta": {}}) for n in range(3))
    good, folder = tmp_path / "good", tmp_path / "torn"
    good.mkdir()
    fields = {"image": "png", "label": "cls", "meta": "json"}
    shards.write(samples, good, fields, {"classes": ["a"], "task": "classification"}, 1 << 20)
    refusals: list[str] = []

    def check(data: st.DataObject) -> None:
        shutil.copytree(good, folder, dirs_exist_ok=True)
        name = data.draw(st.sampled_from(["index.parquet", "000000.tar"]))
        (folder / name).write_bytes(torn(data, (good / name).read_bytes()))
        try:  # what is read all the same is what was written
            found = {one.key: one.fields for one in shards.read(folder)}
        except ShiftbenchError as error:
            refusals.append(str(error))
            return
        assert list(found) == ["t/0", "t/1", "t/2"]
        assert all(np.array_equal(one["image"], image) for one in found.values())

    drawn(draws, check)
    assert refusals
    assert [said for said in refusals if str(folder) not in said] == []
