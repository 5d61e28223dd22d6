"""Fuzz targets: whatever bytes a stranger's file holds, it is read as it was written, or refused by an error of ours.

One target for each kind of file; `make fuzz` runs them for FUZZ_SECONDS.
"""

import contextlib
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import strategies as st

from makers.torn_files import changed, draw, torn, written
from shiftbench.base.errors import DataError, ShiftbenchError
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.data import shards
from shiftbench.evaluation.llm.answer_cache import Answers, Key
from shiftbench.provenance import recipe
from shiftbench.provenance.recipe import Artifact
from shiftbench.release import manifest, statement, verify
from shiftbench.workflow.plan import loading
from shiftbench.workflow.plan.params import Params


class Refusals:
    """What was refused: each time by an error of ours, which names the file or its folder."""

    def __init__(self, place: Path) -> None:
        self.place, self.count = place, 0

    def __enter__(self) -> None:
        """Nothing was refused yet."""

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> bool:
        if not isinstance(error, ShiftbenchError):
            return False
        self.count += 1
        assert str(self.place) in str(error)
        str(error).encode()  # can be printed
        return True


# --- params -------------------------------------------------------------------------------------


def test_params(tmp_path: Path, root: Path) -> None:
    whole = (root / "params.yaml").read_bytes()[:1500]
    content = yaml.safe_load((root / "params.yaml").read_bytes())
    file = tmp_path / "params.yaml"
    refused = Refusals(file)

    def check(data: st.DataObject) -> None:
        if data.draw(st.booleans()):
            file.write_bytes(torn(data, whole))
        else:
            other = yaml.safe_dump(changed(data, content), allow_unicode=True)
            file.write_text(other, encoding="utf-8", errors="surrogatepass")
        with refused:
            assert isinstance(loading.load(file), Params)

    draw(check)
    assert refused.count


# --- receipts -----------------------------------------------------------------------------------

REF = Ref("records", "a/b-c-s0/plain/a/test/identity/0")


def test_receipts(tmp_path: Path) -> None:
    """What is no receipt is as good as none."""
    artifact = Artifact.of(REF, {"verb": "evaluate"}, (Ref("checkpoints", "a/b-c-s0"),))
    output = tmp_path / REF.path
    output.parent.mkdir(parents=True)
    output.write_bytes(b"rows")
    whole = {
        "fingerprint": artifact.fingerprint,
        "recipe": {"verb": "evaluate"},
        "made": {output.name: recipe.sha256(output)},
        "consumed": {"checkpoints/a/b-c-s0.safetensors": "1" * 64},
    }
    file = recipe.receipt_path(tmp_path, REF)
    file.write_text(json.dumps(whole))
    assert recipe.status(tmp_path, artifact) == "fresh"

    def check(data: st.DataObject) -> None:
        file.write_bytes(written(data, whole))
        assert isinstance(recipe.status(tmp_path, artifact), str)
        recipe.made(tmp_path, REF)

    draw(check)


# --- shards -------------------------------------------------------------------------------------

IMAGE = np.arange(108, dtype=np.uint8).reshape(12, 9)
FIELDS = {"image": "png", "label": "cls", "meta": "json"}


@pytest.fixture
def good(tmp_path: Path) -> Path:
    folder = tmp_path / "good"
    folder.mkdir()
    samples = (Sample(f"t/{n}", {"image": IMAGE, "label": n, "meta": {}}) for n in range(3))
    shards.write(samples, folder, FIELDS, {"classes": ["a"], "task": "classification"}, 1 << 20)
    return folder


def test_shards(good: Path, tmp_path: Path) -> None:
    """Torn bytes are refused, or read as they were written; with digests that agree anything may be read."""
    folder = tmp_path / "torn"
    refused = Refusals(folder)

    def check(data: st.DataObject) -> None:
        shutil.copytree(good, folder, dirs_exist_ok=True)
        name = data.draw(st.sampled_from(["index.parquet", "000000.tar", "manifest.json", "rows"]))
        forged = name in ("manifest.json", "rows") or data.draw(st.booleans())
        if name == "manifest.json":
            (folder / name).write_bytes(written(data, json.loads((good / name).read_bytes())))
        elif name == "rows":
            forge_rows(data, folder)
        else:
            (folder / name).write_bytes(torn(data, (good / name).read_bytes()))
        if forged and name != "manifest.json":
            seal(folder, index=name != "000000.tar")
        with refused if not forged else ours():
            found = {one.key: one.fields for one in shards.read(folder)}
            if not forged:
                assert list(found) == ["t/0", "t/1", "t/2"]
                assert all(np.array_equal(one["image"], IMAGE) for one in found.values())
        with ours():
            list(map(shards.Lookup(folder).__getitem__, range(len(shards.Lookup(folder)))))
        with ours():
            shards.find_damage(folder)

    draw(check)
    assert refused.count


def ours() -> contextlib.AbstractContextManager[None]:
    """Of forged files a message may name what is in them alone."""
    return contextlib.suppress(ShiftbenchError)


def forge_rows(data: st.DataObject, folder: Path) -> None:
    """Write an index with a column of other values."""
    columns = pq.read_table(folder / "index.parquet").to_pydict()
    name = data.draw(st.sampled_from(sorted(columns)))
    kinds = (st.integers(-(2**63), 2**63 - 1), st.integers(0, 4096), st.binary(max_size=5), st.none())
    kinds += (st.sampled_from(["000000.tar", "/dev/zero", "..", "t/0", "\0"]),)
    columns[name] = [data.draw(data.draw(st.sampled_from(kinds)))] * len(columns[name])
    pq.write_table(pa.table(columns), folder / "index.parquet")


def seal(folder: Path, *, index: bool) -> None:
    """Make digests agree with what lies there, as whoever forges shards does."""
    tar = (folder / "000000.tar").read_bytes()
    if not index:
        columns = pq.read_table(folder / "index.parquet").to_pydict()
        places = zip(columns["offset"], columns["size"], strict=True)
        columns["sha256"] = [hashlib.sha256(tar[at : at + size]).hexdigest() for at, size in places]
        pq.write_table(pa.table(columns), folder / "index.parquet")
    about = json.loads((folder / "manifest.json").read_text())
    about["index"] = hashlib.sha256((folder / "index.parquet").read_bytes()).hexdigest()
    about["tars"]["000000.tar"]["sha256"] = hashlib.sha256(tar).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(about))


# --- release manifests and statements -----------------------------------------------------------

OWN = Path("releases/1.0")


def released(home: Path) -> dict[str, Any]:
    """Write a small release, and return its manifest."""
    for name in ("a", "b"):
        (home / name).write_text(name)
    rows = [("a", "records", "evaluate"), ("b", "receipt", "evaluate")]
    artefacts = [
        manifest.Artefact(path, hashlib.sha256(path.encode()).hexdigest(), kind, stage, 1, "f")
        for path, kind, stage in rows
    ]
    content: dict[str, Any] = {
        "format": manifest.FORMAT, "name": "1.0", "scale": None, "previous": None,
        "artefacts": [artefact.entry() for artefact in artefacts],
        "volatile": {"commit": "0" * 40, "created": "now", "files": [{"path": "c", "sha256": "0" * 64}]},
    }  # fmt: skip
    content["root"] = manifest.root_of(content)
    return content


def test_release_manifests(tmp_path: Path) -> None:
    """Whoever changes a word that the root stands above is told so, whatever they wrote there."""
    content = released(tmp_path)
    folder = tmp_path / OWN
    folder.mkdir(parents=True)
    (folder / manifest.FILE).write_text(json.dumps(content))
    said = statement.build(content, statement.own_files(tmp_path, "1.0"), {"seed": 0})
    whole = {manifest.FILE: content, statement.FILE: said}
    (folder / statement.FILE).write_text(json.dumps(said))
    assert verify.verify(tmp_path, tmp_path, "1.0") == []

    def check(data: st.DataObject) -> None:
        for name, one in whole.items():
            (folder / name).write_text(json.dumps(one))
        name = data.draw(st.sampled_from(sorted(whole)))
        (folder / name).write_bytes(written(data, whole[name]))
        problems = verify.verify(tmp_path, tmp_path, "1.0")
        "".join(map(str, problems)).encode(errors="surrogatepass")
        assert problems or name == statement.FILE or read(folder / name) == read_text(content)
        with contextlib.suppress(DataError):
            manifest.newest(tmp_path)

    draw(check)


def read(file: Path) -> str:
    return read_text(json.loads(file.read_bytes()))


def read_text(content: dict[str, Any]) -> str:
    """Return what the root stands above; `1` and `true` are not equal."""
    return json.dumps({key: content[key] for key in content if key != "volatile"}, sort_keys=True)


# --- recorded answers ---------------------------------------------------------------------------


def test_recorded_answers(tmp_path: Path) -> None:
    """A line is read as it was written, or named."""
    keys = [Key("toy@12", "t", {"temperature": 0.3}, 0, text) for text in "abc"]
    answers = Answers(tmp_path)
    for key in keys:
        answers.put(key, f"answer of {key.text}", "2026-01-31")
    file = answers.file("toy")
    whole = file.read_bytes().splitlines(keepends=True)
    refused = Refusals(file)

    def check(data: st.DataObject) -> None:
        lines = list(whole)
        number = data.draw(st.integers(0, 2))
        lines[number] = written(data, json.loads(lines[number])) + b"\n"
        file.write_bytes(b"".join(lines))
        with refused:
            found = Answers(tmp_path)
            for at, key in enumerate(keys):
                answer, date = found.get(key), found.given(key)
                assert at == number or (answer, date) == (f"answer of {key.text}", "2026-01-31")
                assert isinstance(answer, str | None)
                assert isinstance(date, str | None)
            found.put(Key("toy@12", "t", {}, 1, "d"), "other")
            found.settle()
            assert Answers(tmp_path).get(Key("toy@12", "t", {}, 1, "d")) == "other"

    draw(check)
    assert refused.count
