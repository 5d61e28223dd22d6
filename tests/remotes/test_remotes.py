"""Real servers, the whole path: push, fresh clone, a part, a cut connection, damage, the next mirror."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from remotes.conftest import KINDS, Mirror, Reader
from shiftbench.base.errors import DataError, ParamsError
from shiftbench.provenance import recipe
from shiftbench.workflow.storage import remotes

pytestmark = [pytest.mark.workflow, pytest.mark.needs("sshd", "ssh-keygen", "nginx")]

TAR = "data/shards/tiny/test/contrast/3/000000.tar"
SHARDS = "data/shards/tiny/test/contrast/5"
PART = {f"{SHARDS}/{name}" for name in ("000000.tar", "index.parquet", "manifest.json", "README.md")} | {
    f"{SHARDS}/manifest.json.{kind}.json" for kind in ("receipt", "run")
}
PREVIEW = {f"results/previews/tiny/test/contrast/5.json{end}" for end in ("", ".receipt.json", ".run.json")}

Make = Callable[..., Reader]


@pytest.fixture
def mirror(request: pytest.FixtureRequest, published: dict[str, Mirror]) -> Iterator[Mirror]:
    """One of the four, healed afterwards."""
    one = published[request.param]
    yield one
    if one.proxy:
        one.proxy.left = float("inf")


every = pytest.mark.parametrize("mirror", KINDS, indirect=True)
cut = pytest.mark.parametrize("mirror", ["ssh", "s3"], indirect=True)


@cut
def test_what_came_before_a_cut_is_kept_and_only_the_rest_comes(mirror: Mirror, reader: Make) -> None:
    clone = reader(mirror=mirror)
    assert mirror.proxy
    clone.pull("checkpoints")
    had, before = clone.files(), clone.cached()
    mirror.proxy.left = 700_000
    with pytest.raises(DataError, match=r"(?s)not complete.*remote mirror: .*could not be read"):
        clone.pull("shards", "tables")
    assert clone.files() == had  # nothing is put in place before all is here
    kept = clone.cached() - before
    assert kept
    assert not [name for name in clone.cached() if "part" in name or "tmp" in name]
    mirror.proxy.left, mirror.proxy.passed = float("inf"), 0
    rest = clone.pull("shards", "tables")
    files = {name for name in kept if not name.endswith(".dir")}
    total = clone.cached() - before
    assert rest.brought.served == {"mirror": len({n for n in total if not n.endswith(".dir")} - files)}
    assert rest.checked


@every
def test_a_part_is_pulled_a_damaged_object_refused_and_named_then_all_is_pulled(mirror: Mirror, reader: Make) -> None:
    clone = reader(mirror=mirror)
    part = clone.pull("tiny/test/contrast/5")  # brings the listing, so that the test knows objects
    assert clone.files() == PART | PREVIEW
    assert part.checked == 2
    assert part.brought.served == {"mirror": 9}
    refuses_what_is_damaged(mirror, clone)
    whole = clone.pull()
    assert whole.brought.wrong == []
    assert all("secret" in ref.path or ref.kind == "features" for ref in whole.missing)
    states = {recipe.status(clone.path, artifact) for artifact in clone.planned.artifacts.values()}
    assert states == {"fresh", "missing"}
    assert clone.pull().brought.served == {}  # all is here


def refuses_what_is_damaged(mirror: Mirror, clone: Reader) -> None:
    """Hold a clone beside a remote one object of which is flipped, cut, gone."""
    had, oid = clone.files(), clone.oid(TAR)
    place, good = f"{oid[:2]}/{oid[2:]}", mirror.read(oid)
    flipped = good[:3000] + bytes([good[3000] ^ 1]) + good[3001:]
    cases = {"flipped": (flipped, "is damaged"), "cut": (good[:3000], "is damaged"), "gone": (None, "is missing")}
    for how, (bad, state) in cases.items():
        mirror.remove(oid)
        if bad is not None:
            mirror.write(oid, bad)
        try:
            with pytest.raises(DataError) as refused:
                clone.pull("tiny/test/contrast/3")
            held = remotes.look(clone.path, "mirror", objects=True)
        finally:
            mirror.write(oid, good)
        assert f"remote mirror: {TAR}: object files/md5/{place} {state}" in str(refused.value)
        assert clone.files() == had
        assert place not in clone.cached()
        told = {"flipped": [], "cut": held["wrong"], "gone": held["missing"]}[how]
        assert len(told) == (how != "flipped")  # its size is right: only reading it shows the flip
        assert held["there"] == held["objects"] - len(told)


def test_the_second_mirror_serves_when_the_first_is_dead(published: dict[str, Mirror], reader: Make) -> None:
    dead = Mirror(f"http://127.0.0.1:{free()}", {})
    clone = reader(first=dead, second=published["s3"])
    done = clone.pull("tiny/test/contrast/3")
    assert done.brought.served == {"second": 9}
    assert len(done.brought.wrong) == 1
    assert done.brought.wrong[0].startswith("remote first: Cannot connect to host 127.0.0.1")
    with pytest.raises(DataError, match=r"remote first: Cannot connect"):
        clone.pull("checkpoints", remote="first")
    with pytest.raises(ParamsError, match=r"no remote is called 'thrid'; .*second"):
        clone.pull("checkpoints", remote="thrid")


def free() -> int:
    from remotes.servers import free_port

    return free_port()


def test_the_second_mirror_serves_what_is_wrong_at_the_first(published: dict[str, Mirror], reader: Make) -> None:
    clone = reader(first=published["http"], second=published["ssh"])
    clone.pull("tiny/test/contrast/5", remote="second")
    oid = clone.oid(TAR)
    good = published["http"].read(oid)
    published["http"].write(oid, good[:-1] + b"!")
    try:
        done = clone.pull("tiny/test/contrast/3")
    finally:
        published["http"].write(oid, good)
    assert done.brought.served == {"first": 8, "second": 1}
    assert len(done.brought.wrong) == 1
    assert done.brought.wrong[0].startswith(f"remote first: {TAR}: object files/md5/")
    assert (clone.path / TAR).read_bytes() == good


@pytest.mark.parametrize("url", ["ssh://127.0.0.1:{}/store", "http://127.0.0.1:{}", "s3://bucket/store"])
def test_a_server_that_says_nothing_is_not_waited_for(
    url: str, published: dict[str, Mirror], reader: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    from remotes.servers import silent

    monkeypatch.setattr(remotes, "ANSWER", 3)
    with silent() as port:
        options = {"endpointurl": f"http://127.0.0.1:{port}"} if url.startswith("s3") else {}
        mute = Mirror(url.format(port), options, published["s3"].private if options else {})
        clone = reader(first=mute, second=published["folder"])
        began = time.monotonic()
        done = clone.pull("tiny/test/contrast/3")
    assert time.monotonic() - began < 100
    assert done.brought.wrong == ["remote first: no answer within 3 s"]
    assert done.brought.served == {"second": 9}


def test_a_remote_that_asks_for_a_password_is_an_error_at_once(tmp_path: Path, reader: Make) -> None:
    from remotes.servers import sshd

    with sshd(tmp_path / "ssh", password_only=True) as (port, key):
        clone = reader(locked=Mirror(f"ssh://127.0.0.1:{port}{tmp_path}", {"keyfile": str(key)}))
        config = clone.path / ".dvc/config"
        config.write_text(config.read_text() + "ask_password = true\n")
        began = time.monotonic()
        with pytest.raises(DataError, match=r"remote locked: Permission denied.*config\.local"):
            clone.pull("checkpoints")
    assert time.monotonic() - began < 100
