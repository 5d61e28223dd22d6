"""Someone else's WebDataset shards: read, refused, told."""

from pathlib import Path
from typing import Any

import pytest

from makers import miniature_originals, small_files
from makers.read_samples import good, read
from shiftbench.base import registry
from shiftbench.base.errors import DataError, ParamsError, RangeError


def shard(tmp_path: Path, members: dict[str, bytes]) -> small_files.Made:
    path = small_files.tar(tmp_path / "one.tar", members)
    return {}, {"path": str(path), "classes": ["cat", "dog"]}


def test_webdataset_reads_foreign_shards(tmp_path: Path) -> None:
    module = registry.find("datasets", "webdataset")
    found = good(read(module, "all", miniature_originals.webdataset(tmp_path)))
    assert [s.key for s in found[:2]] == ["mine/all/000000", "mine/all/000001"]
    assert [s.fields["label"] for s in found] == [0, 1] * 20


def test_webdataset_runs_no_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a path says; a file may have the name of a command."""
    monkeypatch.chdir(tmp_path)
    module = registry.find("datasets", "webdataset")
    for path in ("pipe:touch X", "y::pipe:touch X", "{pipe:touch X,y}", "-", "./pipe:touch X"):
        with pytest.raises((ParamsError, DataError)):
            read(module, "all", ({}, {"path": path, "classes": ["a"]}))
    assert not list(tmp_path.iterdir())


def test_webdataset_bad_samples_are_yielded_as_errors(tmp_path: Path) -> None:
    module = registry.find("datasets", "webdataset")
    image = small_files.encoded(small_files.picture(0))
    members = {"a.png": image, "a.cls": b"2", "b.png": image[:90], "b.cls": b"0", "c.cls": b"0"}
    errors = read(module, "all", shard(tmp_path, members))
    assert [type(error) for error in errors] == [RangeError, DataError, DataError]
    for error, text in zip(
        errors,
        (
            "mine/all/a: label b'2' is no number below 2",
            "mine/all/b: the image cannot be read",
            "mine/all/c: no member with extension jpg;jpeg;png;webp",
        ),
        strict=True,
    ):
        assert str(error).startswith(text)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({}, "webdataset: option classes is missing"),
        ({"classes": ["a"]}, "webdataset: option path is missing"),
        ({"classes": ["a"], "path": "x::pipe:cat x"}, "path = 'pipe:cat x' is a shell command"),
    ],
)
def test_webdataset_wrong_options(params: dict[str, Any], message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        read(registry.find("datasets", "webdataset"), "all", ({}, params))


def test_webdataset_damaged_shards(tmp_path: Path) -> None:
    module = registry.find("datasets", "webdataset")
    with pytest.raises(DataError, match=r"shard .*gone\.tar cannot be read"):
        read(module, "all", ({}, {"path": str(tmp_path / "gone.tar"), "classes": ["a"]}))
    (tmp_path / "bad.tar").write_bytes(b"x" * 2000)
    with pytest.raises(DataError, match=r"shard .*bad\.tar cannot be read"):
        read(module, "all", ({}, {"path": str(tmp_path / "bad.tar"), "classes": ["a"]}))
