"""Shards from S3 and HTTP straight into evaluation: the same bytes as from the disk, and none of them kept."""

import dataclasses
import tempfile
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from unittest.mock import ANY

import numpy as np
import pytest

from makers.repositories import Repository
from remotes import servers
from remotes.conftest import Mirror, Reader
from shiftbench.base import registry
from shiftbench.base.errors import ChecksumError, DataError, ParamsError
from shiftbench.base.files import write_bytes
from shiftbench.data import shards
from shiftbench.provenance import recipe
from shiftbench.workflow.plan import prune
from shiftbench.workflow.stages import evaluate, verbs
from shiftbench.workflow.storage import pull, streaming

pytestmark = [pytest.mark.workflow, pytest.mark.needs("sshd", "ssh-keygen", "nginx")]

JOB = "evaluate/tiny/convnet-erm-s0/plain"
CONTRAST = "data/shards/tiny/test/contrast/3"
Make = Callable[..., Reader]


@pytest.fixture(autouse=True)
def _own(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Leave no source of tars and no folder of plugins behind."""
    monkeypatch.setattr(registry.Folders, "extra", registry.Folders.extra)
    monkeypatch.setattr(streaming, "WAIT", 0.2)
    yield
    streaming.stop()


@pytest.fixture
def manifest_only(reader: Make, published: dict[str, Mirror]) -> Iterator[Callable[[str], Reader]]:
    """Give a clone with all manifests, the weights, and no tar; what is cut is healed afterwards."""

    def make(kind: str) -> Reader:
        clone = reader(mirror=published[kind])
        done = clone.pull("manifests", "tiny/convnet-erm-s0", "results/previews")
        assert len(done.manifest_only) == 8
        assert not [name for name in clone.files() if name.endswith(".tar")]
        return clone

    yield make
    for mirror in published.values():
        if mirror.proxy:
            mirror.proxy.left = float("inf")


@pytest.mark.parametrize("kind", ["s3", "http"])
def test_a_job_streams_what_is_not_here(
    kind: str,
    manifest_only: Callable[[str], Reader],
    author: Repository,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clone = manifest_only(kind)
    for name in ("results/records", "results/features"):
        assert not [n for n in clone.files(name) if n.endswith("npy")]
    local = "data/local"  # may not be passed on: it was made here
    _copy(author.path / local, clone.path / local)
    for record in (clone.path / "results/records").rglob("*"):
        record.is_file() and record.unlink()
    job = clone.planned.jobs[JOB]
    job = dataclasses.replace(job, settings={**job.settings, "stream": "mirror"})
    write_bytes(clone.path / job.recipe_path, job.text().encode())
    cached, tars = clone.cached(), _tars(clone)
    monkeypatch.chdir(clone.path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    made = recipe.execute(Path(job.recipe_path), partial(verbs.evaluate, device="cpu"))
    assert made == len(job.artifacts)
    for artifact in job.artifacts:
        if artifact.ref.kind == "records":
            for name in (artifact.ref.path, f"{artifact.ref.path}.receipt.json"):
                assert (clone.path / name).read_bytes() == (author.path / name).read_bytes(), name
    assert clone.cached() == cached
    assert _tars(clone) == tars
    assert not list((tmp_path / "scratch").iterdir())


def _copy(source: Path, target: Path) -> None:
    for file in source.rglob("*"):
        if file.is_file():
            (target / file.relative_to(source)).parent.mkdir(parents=True, exist_ok=True)
            (target / file.relative_to(source)).write_bytes(file.read_bytes())


def _tars(clone: Reader) -> list[Path]:
    return sorted(clone.path.rglob("*.tar"))


def test_a_connection_that_breaks_is_tried_again_then_named(
    manifest_only: Callable[[str], Reader], author: Repository, published: dict[str, Mirror]
) -> None:
    clone, proxy = manifest_only("http"), published["http"].proxy
    streaming.use(clone.path, "mirror")
    proxy.left = 20_000  # within the first tar
    threading.Timer(0.1, lambda: setattr(proxy, "left", float("inf"))).start()
    streamed, kept = (list(shards.read(home / CONTRAST)) for home in (clone.path, author.path))
    assert [s.key for s in streamed] == [s.key for s in kept]
    assert all(np.array_equal(a.fields["image"], b.fields["image"]) for a, b in zip(streamed, kept, strict=True))
    proxy.left = 0
    told = r"contrast/3/000000\.tar: remote mirror did not send it in 4 tries \(.*doctor --remotes"
    with pytest.raises(DataError, match=told):
        list(shards.read(clone.path / CONTRAST))


def test_damage_is_found_while_streaming(manifest_only: Callable[[str], Reader], published: dict[str, Mirror]) -> None:
    clone, mirror = manifest_only("s3"), published["s3"]
    streaming.use(clone.path, "mirror")
    oid = clone.oid(f"{CONTRAST}/000000.tar")
    good = mirror.read(oid)
    for bad, told in (
        (good[:3000] + bytes([good[3000] ^ 1]) + good[3001:], "is damaged .*read from remote mirror"),
        (good[:3000], "remote mirror has 3000 bytes of it, the manifest says"),
    ):
        mirror.write(oid, bad)
        try:
            with pytest.raises(ChecksumError, match=told):
                list(shards.read(clone.path / CONTRAST))
        finally:
            mirror.write(oid, good)
    mirror.remove(oid)
    try:
        with pytest.raises(DataError, match="remote mirror does not have it"):
            list(shards.read(clone.path / CONTRAST))
    finally:
        mirror.write(oid, good)
    with pytest.raises(ParamsError, match=r"shards\.stream = 'miror': .*did you mean mirror"):
        streaming.use(clone.path, "miror")


def test_shards_without_tars_are_what_was_asked_for_not_damage(manifest_only: Callable[[str], Reader]) -> None:
    clone = manifest_only("http")
    assert len(pull.manifest_only(clone.planned, clone.path)) == 8
    assert pull.repair(clone.planned, clone.path, CONTRAST) == {}
    assert (clone.path / CONTRAST / "manifest.json").is_file()
    with pytest.raises(DataError, match="have a manifest and no tars.*shiftbench pull shards"):
        pull.require_tars(clone.planned, clone.path)
    assert prune.prune(clone.planned, clone.path, ["shards"]) == []
    with pytest.raises(DataError, match=r"000000\.tar is missing; .*stream: REMOTE"):
        list(shards.read(clone.path / CONTRAST))
    index = clone.path / CONTRAST / "index.parquet"
    index.write_bytes(index.read_bytes()[:-1])
    assert pull.repair(clone.planned, clone.path, CONTRAST) == {f"{CONTRAST}/manifest.json": ANY}


def test_a_notebook_evaluates_a_url(
    author: Repository, mirrors: dict[str, Mirror], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = author.path / CONTRAST
    port = mirrors["s3"].port
    for file in here.iterdir():
        servers.bucket(port).put_object(Key=f"plain/{file.name}", Body=file.read_bytes())
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{servers.HOST}:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", servers.KEY_ID)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", servers.SECRET)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def brightness(samples: list) -> np.ndarray:
        mean = np.array([s.fields["image"].mean() for s in samples])
        return -np.abs(mean[:, None] / 25 - np.arange(classes)[None])

    classes = len(shards.manifest(here)["classes"])
    local = evaluate.evaluate(brightness, here)
    assert local["n"].to_list() == [60]
    with servers.nginx(tmp_path / "nginx", author.path) as web:
        for url in (f"http://{servers.HOST}:{web}/{CONTRAST}", f"s3://{servers.BUCKET}/plain/"):
            assert evaluate.evaluate(brightness, url).equals(local)
        with pytest.raises(DataError, match=r"manifest\.json: http://127.* does not have it"):
            evaluate.evaluate(brightness, f"http://{servers.HOST}:{web}/nothing")
