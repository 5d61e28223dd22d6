"""One benchmark on four kinds of remote: a folder, OpenSSH, S3 and, for reading, HTTP; servers run for the session."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from makers import commands
from makers.repositories import Repository, clone
from remotes import servers
from remotes.servers import HOST, Proxy
from shiftbench.base import registry
from shiftbench.workflow.plan import plan as plans
from shiftbench.workflow.storage import dvc_config, dvc_lock, pull

KINDS = ("folder", "ssh", "s3", "http")


@dataclass
class Mirror:
    """A remote: how DVC is told of it, and a way to its objects behind the server's back."""

    url: str
    options: dict[str, str]  # in .dvc/config
    private: dict[str, str] = field(default_factory=dict)  # in .dvc/config.local
    folder: Path | None = None
    port: int | None = None  # of the S3 endpoint
    proxy: Proxy | None = None

    def read(self, oid: str) -> bytes:
        """Return an object."""
        name = f"files/md5/{dvc_lock.place(oid)}"
        if self.folder is not None:
            return (self.folder / name).read_bytes()
        return servers.bucket(self.port).Object(f"store/{name}").get()["Body"].read()

    def write(self, oid: str, data: bytes) -> None:
        """Replace an object, whatever its name says; nothing is left of it without data."""
        name = f"files/md5/{dvc_lock.place(oid)}"
        if self.folder is None:
            servers.bucket(self.port).put_object(Key=f"store/{name}", Body=data)
            return
        (self.folder / name).unlink(missing_ok=True)
        (self.folder / name).write_bytes(data)

    def remove(self, oid: str) -> None:
        """Remove an object."""
        name = f"files/md5/{dvc_lock.place(oid)}"
        if self.folder is None:
            servers.bucket(self.port).Object(f"store/{name}").delete()
        else:
            (self.folder / name).unlink()


@pytest.fixture(scope="session")
def mirrors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Mirror]]:
    """The four remotes, empty; all but the folder behind a proxy that a test may cut."""
    home = tmp_path_factory.mktemp("mirrors")
    folders = {kind: home / f"{kind}-store" for kind in ("folder", "ssh", "http")}
    folders["http"].mkdir()
    with ExitStack() as stack:
        ssh_port, key = stack.enter_context(servers.sshd(home / "ssh"))
        s3_port = stack.enter_context(servers.s3(home / "s3"))
        http_port = stack.enter_context(servers.nginx(home / "http", folders["http"]))
        ports = {"ssh": ssh_port, "s3": s3_port, "http": http_port}
        proxies = {kind: stack.enter_context(Proxy(port).open()) for kind, port in ports.items()}
        keys = {"access_key_id": servers.KEY_ID, "secret_access_key": servers.SECRET}
        yield {
            "folder": Mirror(str(folders["folder"]), {}, folder=folders["folder"]),
            "ssh": Mirror(
                f"ssh://{HOST}:{proxies['ssh'].port}{folders['ssh']}",
                {"keyfile": str(key)},
                folder=folders["ssh"],
                proxy=proxies["ssh"],
            ),
            "s3": Mirror(
                f"s3://{servers.BUCKET}/store",
                {"endpointurl": f"http://{HOST}:{proxies['s3'].port}", "region": "us-east-1"},
                keys,
                port=s3_port,
                proxy=proxies["s3"],
            ),
            "http": Mirror(f"http://{HOST}:{proxies['http'].port}", {}, folder=folders["http"], proxy=proxies["http"]),
        }


def configure(repository: Repository, name: str, mirror: Mirror, *, default: bool = False) -> None:
    """Tell DVC of a remote, as its user does."""
    first = ["--default"] if default else []
    dvc = Path(".dvc")
    lines = [f"['remote \"{name}\"']", f"url = {mirror.url}", "verify = true"]
    lines += [f"{key} = {value}" for key, value in mirror.options.items()]
    with (repository.path / dvc / "config").open("a") as file:
        file.write("\n".join(lines) + "\n")
    with (repository.path / dvc / "config.local").open("a") as file:
        private = [f"{key} = {value}" for key, value in mirror.private.items()]
        core = ["[core]", f"remote = {name}"] if first else []
        file.write("\n".join([*core, f"['remote \"{name}\"']", *private]) + "\n")


@pytest.fixture(scope="session")
def published(
    author: Repository, mirrors: dict[str, Mirror], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Mirror]:
    """The remotes, after `dvc push` to each; the author pushed to the folder, which HTTP serves a copy of."""
    publisher = Repository(tmp_path_factory.mktemp("publisher") / "repository")
    shutil.copytree(author.path, publisher.path, symlinks=True)
    for name in ("ssh", "s3"):
        configure(publisher, name, mirrors[name])
        publisher.run("dvc", "push", "--quiet", "--remote", name)
    for name in ("folder", "http"):
        shutil.copytree(author.path.parent / "remote", str(mirrors[name].folder), dirs_exist_ok=True)
    return mirrors


@pytest.fixture(scope="session")
def planned(author: Repository) -> plans.Plan:
    """The plan of the author's params; its artifacts are those of every clone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(author.path)
        planned, _ = plans.load()
    registry.Folders.use(())
    return planned


@dataclass(frozen=True)
class Reader:
    """A fresh clone that pulls in this process."""

    repository: Repository
    planned: plans.Plan

    @property
    def path(self) -> Path:
        """The clone."""
        return self.repository.path

    def pull(self, *words: str, remote: str | None = None) -> pull.Pulled:
        """Pull, as `shiftbench pull` does."""
        return pull.pull(self.planned, self.path, list(words), remote)

    def files(self, *folders: str) -> set[str]:
        """Return what is there of the outputs."""
        found = [p for f in folders or ("data", "checkpoints", "results") for p in (self.path / f).rglob("*")]
        return {path.relative_to(self.path).as_posix() for path in found if path.is_file()}

    def cached(self) -> set[str]:
        """Return what is in the cache, whatever its name."""
        cache = dvc_config.cache_of(self.path)
        return {p.relative_to(cache).as_posix() for p in cache.rglob("*") if p.is_file()}

    def oid(self, path: str) -> str:
        """Return the object of a recorded file; its listing must be in the cache."""
        cache = dvc_config.cache_of(self.path)
        for output in dvc_lock.outputs(self.path):
            listing = cache / dvc_lock.place(output.oid)
            if path.startswith(output.path) and listing.is_file():
                return output.files(listing.read_bytes())[path]
        raise AssertionError(path)


@pytest.fixture(autouse=True)
def _forked(monkeypatch: pytest.MonkeyPatch) -> None:
    commands.fork_what_python_starts(monkeypatch)


@pytest.fixture
def reader(author: Repository, planned: plans.Plan, tmp_path: Path) -> Callable[..., Reader]:
    """Give a fresh clone of the author's repository that knows some remotes by `mirrors={name: mirror}`, in order."""

    def make(**remotes: Mirror) -> Reader:
        repository = clone(author, tmp_path / "clone")
        (repository.path / ".dvc" / "config").write_text("[core]\n    analytics = false\n")
        for name, mirror in remotes.items():
            configure(repository, name, mirror, default=name == next(iter(remotes)))
        return Reader(repository, planned)

    return make
