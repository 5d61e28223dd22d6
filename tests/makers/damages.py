"""Outputs that are damaged in drawn ways, and the run that has to make them right again, by the real workflow."""

import contextlib
import hashlib
import json
import os
import random  # noqa: TID251 - of damages, and seeded
import re
import shutil
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from makers.repositories import Repository, bring_compiled

OUTS = ("data", "checkpoints", "results", "recipes", "logs")
PROMISED = ("results/report/", "results/tables/", "results/claims/")
"""What a run that ends with success has made or found right."""
WORDS: tuple[bytes, ...] = (
    b"",
    b"{",
    b"\xff\xfe\x00",
    b"null",
    b"[]",
    b'"text"',
    b"NaN",
    b"1e999",
    b"9" * 5000,
    b"[" * 100_000,
    b'{"a":' * 3000 + b"1" + b"}" * 3000,
    b'{"seconds": "long"}',
    b'{"seconds": 1e308, "cpu_seconds": null}',
    b'{"seconds": -1}',
    b"\xef\xbb\xbf{}",
    b'{"fingerprint": 1, "recipe": [], "made": {}, "consumed": null}',
    b'{"verb": "train", "artifacts": 3}',
)
"""What stands in the place of a JSON file."""
VALUES: tuple[Any, ...] = (None, True, -1, 1e9, "", "x", [], {}, ["x"], {"x": 1}, "../x", "0" * 64)


@dataclass
class Damage:
    """Damages below a folder, each a method that is given files and folders of outputs.

    Attributes:
        home: the checkout.
        done: what was done, for a message.
    """

    home: Path
    draw: random.Random
    done: list[str] = field(default_factory=list)

    def files(self, *endings: str) -> list[Path]:
        """Return the files of outputs as they are now; no logs but the digests."""
        paths = (Path(folder) / name for out in OUTS for folder, _, names in os.walk(self.home / out) for name in names)
        return sorted(
            file
            for file in paths
            if (file.name == "digests" or "logs" not in file.relative_to(self.home).parts[:1])
            and (not endings or file.name.endswith(endings))
        )

    def file(self, *endings: str) -> Path:
        """Draw a file."""
        return self.draw.choice(self.files(*endings) or self.files())

    def folder(self) -> Path:
        """Draw a folder with outputs."""
        above = [folder for folder in self.file().relative_to(self.home).parents if folder.name]
        return self.home / self.draw.choice(above)

    def some(self) -> None:
        """Do 1 to 40 of them, fewer more often; in a quarter of all states also what may bar a run."""
        kinds = KINDS if self.draw.random() < 0.25 else [one for one in KINDS if one not in BARRING]
        for _ in range(self.draw.choice([1, 1, 1, 2, 2, 3, 5, 8, 20, 40])):
            kind = self.draw.choice(kinds)
            if self.files():
                with contextlib.suppress(OSError):  # what an earlier one forbade
                    kind(self)

    def note(self, *words: object) -> None:
        """Remember what was done."""
        names = [str(word.relative_to(self.home)) if isinstance(word, Path) else str(word) for word in words]
        self.done.append(" ".join(names))

    def remove(self, path: Path) -> None:
        """Remove what is there."""
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    # ------------------------------------------------------------------ bytes

    def delete(self) -> None:
        """Lose a file."""
        file = self.file()
        self.note("delete", file)
        file.unlink()

    def delete_folder(self) -> None:
        """Lose a folder."""
        folder = self.folder()
        self.note("delete", folder)
        shutil.rmtree(folder)

    def flip(self) -> None:
        """Flip a bit; the size and often the times are the same."""
        file = self.file()
        data, times = bytearray(_read(file)), os.lstat(file)
        if data:
            self.note("flip", file)
            data[self.draw.randrange(len(data))] ^= 1 << self.draw.randrange(8)
            _write(file, bytes(data))
            if self.draw.random() < 0.5 and not file.is_symlink():
                os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))

    def truncate(self) -> None:
        """Cut a file."""
        file = self.file()
        data = _read(file)
        self.note("truncate", file)
        _write(file, data[: self.draw.randint(0, max(0, len(data) - 1))])

    def empty(self) -> None:
        """Empty a file."""
        file = self.file()
        self.note("empty", file)
        _write(file, b"")

    def append(self) -> None:
        """Lengthen a file."""
        file = self.file()
        self.note("append", file)
        _write(file, _read(file) + self.draw.randbytes(self.draw.randint(1, 600)))

    def swap(self) -> None:
        """Swap two files of one kind, or of any."""
        one = self.file()
        other = self.file(*self.draw.choice([[one.suffix], [one.name], []]))
        if one != other:
            self.note("swap", one, other)
            _swap(one, other)

    def swap_folders(self) -> None:
        """Swap two folders."""
        one, other = self.folder(), self.folder()
        if one != other and one not in other.parents and other not in one.parents:
            self.note("swap", one, other)
            _swap(one, other)

    def copy_over(self) -> None:
        """Write one file over another, in its place or instead of it."""
        one = self.file()
        other = self.file(*self.draw.choice([[one.suffix], [one.name], []]))
        if one != other and one.is_file() and not other.is_symlink():
            self.note("copy", one, "over", other)
            if self.draw.random() < 0.5:
                other.unlink()
            shutil.copyfile(one, other)

    # ------------------------------------------------------------------ what is written of them

    def drop_words(self) -> None:
        """Lose a receipt, a run file or a recipe."""
        file = self.file(".receipt.json", ".run.json", ".json")
        self.note("drop", file)
        file.unlink()

    def other_words(self) -> None:
        """Write something else where JSON was, or into the digests."""
        file = self.file(*self.draw.choice([[".receipt.json"], [".run.json"], [".json"], ["digests"]]))
        words = self.draw.choice(WORDS)
        self.note("write", words[:20], "into", file)
        _write(file, words)

    def edit(self) -> None:
        """Change one value of a receipt, a run file or a recipe."""
        file = self.file(*self.draw.choice([[".receipt.json"], [".run.json"], [".json"]]))
        try:
            content = json.loads(_read(file))
        except (ValueError, RecursionError):
            return
        at = content
        while isinstance(at, dict | list) and at:
            key = self.draw.choice(sorted(at) if isinstance(at, dict) else range(len(at)))
            if self.draw.random() < 0.4 or not (isinstance(at[key], dict | list) and at[key]):
                at[key] = self.draw.choice(VALUES)
                self.note("edit", key, "of", file)
                _write(file, json.dumps(content).encode())
                return
            at = at[key]

    # ------------------------------------------------------------------ links, folders, permissions, times

    def link(self) -> None:
        """Put a link in the place of a file: to its copy, to another output, to itself, to nothing, to a device."""
        file = self.file()
        copy = self.home / f"copy-{self.draw.randrange(10**9)}"
        if file.is_file():
            shutil.copyfile(file, copy)
        target = self.draw.choice(
            [copy, self.file(), file, file.parent, Path("/nowhere/at/all"), Path("/dev/null"), Path("/dev/zero")]
        )
        self.note("link", file, "to", target if target.is_relative_to(self.home) else f"{target}")
        file.unlink()
        file.symlink_to(target)

    def folder_for_file(self) -> None:
        """Put a folder in the place of a file."""
        file = self.file()
        self.note("folder for", file)
        file.unlink()
        file.mkdir()
        if self.draw.random() < 0.5:
            (file / "x").write_text("x")

    def file_for_folder(self) -> None:
        """Put a file in the place of a folder."""
        folder = self.folder()
        self.note("file for", folder)
        shutil.rmtree(folder)
        folder.write_text("x")

    def pipe(self) -> None:
        """Put a pipe in the place of a file: who opens it waits."""
        file = self.file()
        self.note("pipe for", file)
        file.unlink()
        os.mkfifo(file)

    def forbid(self) -> None:
        """Take permissions, which root does not need unless it lacks a capability."""
        path = self.draw.choice([self.file, self.folder])()
        if not path.is_symlink():
            self.note("forbid", path)
            path.chmod(self.draw.choice([0, 0o444, 0o111]) if path.is_file() else 0)

    def times(self) -> None:
        """Set a time in the past or in the future."""
        file = self.file()
        time = self.draw.choice([0, 1, 946_684_800, 1e9, 2e9, 4e9])
        self.note("time", time, "of", file)
        os.utime(file, (time, time), follow_symlinks=False)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes() if file.is_file() else b""
    except OSError:
        return b""


def _write(file: Path, data: bytes) -> None:
    """Write into a file; through a link, as programs do, unless it leads elsewhere."""
    if file.is_file() and not str(file.resolve()).startswith("/dev/"):
        file.write_bytes(data)


def _swap(one: Path, other: Path) -> None:
    aside = one.with_name(f"{one.name}.aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)


KINDS: tuple[Callable[[Damage], None], ...] = (
    *(Damage.delete, Damage.delete_folder, Damage.flip, Damage.flip, Damage.truncate, Damage.empty),
    *(Damage.append, Damage.swap, Damage.swap_folders, Damage.copy_over, Damage.drop_words),
    *(Damage.other_words, Damage.edit, Damage.edit, Damage.link, Damage.folder_for_file),
    *(Damage.file_for_folder, Damage.pipe, Damage.forbid, Damage.times),
)
BARRING = (Damage.folder_for_file, Damage.file_for_folder, Damage.pipe, Damage.forbid)
"""What a run cannot always put right; it then ends with one clear error."""


@dataclass
class Outcome:
    """How a run ended: `right`, `error` (a clear one) or `wrong`, and why."""

    kind: str
    why: str
    done: list[str]


class Benchmark:
    """A checkout whose outputs are all made, and a copy that is damaged.

    Args:
        whole: the checkout; it is not changed.
        path: where the copy goes.
        root: the output root, relative to the checkout.
        arguments: what Snakemake is told.
    """

    def __init__(self, whole: Path, path: Path, root: str = ".", arguments: Collection[str] = ()) -> None:
        self.whole, self.root, self.arguments = whole / root, root, list(arguments)
        shutil.copytree(whole, path, symlinks=True, ignore=shutil.ignore_patterns("build"))
        bring_compiled(path)
        self.repository = Repository(path)
        self.home = path / root
        self.expected = digests(self.whole)
        self.receipts = receipts(self.whole)
        self.restore()

    def restore(self) -> None:
        """Put everything back."""
        for name in OUTS:
            shutil.rmtree(self.home / name, ignore_errors=True)
            if (self.home / name).exists() or (self.home / name).is_symlink():
                (self.home / name).unlink()
            if (self.whole / name).exists():
                shutil.copytree(self.whole / name, self.home / name, copy_function=shutil.copyfile)
        for left in self.home.glob("copy-*"):
            left.unlink()

    def after(self, draw: random.Random) -> Outcome:
        """Damage, run, compare; leaves all as it was."""
        damage = Damage(self.home, draw)
        damage.some()
        ended = self.repository.run("snakemake", "--cores", "2", *self.arguments, check=False)
        unlock(self.home)
        output = ended.stdout + ended.stderr
        if ended.returncode:
            outcome = Outcome(*self.failed(output), damage.done)
        else:
            wrong = list(self.wrong())
            outcome = Outcome("wrong" if wrong else "right", "; ".join(wrong[:3]), damage.done)
        if outcome.kind != "right" or list(self.home.glob("copy-*")) or len(digests(self.home)) != len(self.expected):
            self.restore()
        return outcome

    def failed(self, output: str) -> tuple[str, str]:
        """Judge what a run said that ended without success."""
        if "Traceback" in output:
            return "wrong", output[-3000:]
        match = re.search(r"^.*(?:error: ).*$", output, re.MULTILINE)
        return ("error", match[0]) if match else ("wrong", output[-3000:])

    def wrong(self) -> Iterator[str]:
        """Yield what is wrong with the outputs that are here, and which promised ones are not."""
        actual, stated = digests(self.home), receipts(self.home)
        for name, digest in self.expected.items():
            if name not in actual:
                if name.startswith(PROMISED):
                    yield f"{name} is not here"
            elif actual[name] != digest and self.owner(name) in actual:
                yield f"{name} has other bytes"
        for name, content in self.receipts.items():
            if name in actual and stated.get(name) != content:
                yield f"{name} has another receipt"

    def owner(self, name: str) -> str:
        """Return the output that a file was made with, without which the file is none."""
        return self.owners[name]

    @property
    def owners(self) -> dict[str, str]:
        """Files -> the output that they were made with."""
        return {
            f"{output.rpartition('/')[0]}/{name}": output
            for output, (_, made) in self.receipts.items()
            for name in made
        }


def unlock(root: Path) -> None:
    """Give permissions back."""
    for out in filter(Path.is_dir, (root / name for name in OUTS)):
        out.chmod(0o755)
        for folder, folders, names in os.walk(out):
            for name in (*folders, *names):
                path = Path(folder) / name
                if not path.is_symlink():
                    path.chmod(0o755)


def digests(root: Path) -> dict[str, str]:
    """Return the sha256 of each file of outputs; no receipts, recipes and run files."""
    digests = {}
    for out in ("data", "checkpoints", "results"):
        for file in (root / out).rglob("*"):
            name = file.relative_to(root).as_posix()
            if file.is_file() and not name.endswith((".receipt.json", ".run.json")):
                digests[name] = hashlib.sha256(file.read_bytes()).hexdigest()
    return digests


def receipts(root: Path) -> dict[str, tuple[Any, Any]]:
    """Return fingerprint and digests that the receipt of each output states."""
    receipts: dict[str, tuple[Any, Any]] = {}
    for out in ("data", "checkpoints", "results"):
        for file in filter(Path.is_file, (root / out).rglob("*.receipt.json")):  # no pipe
            output = file.relative_to(root).as_posix().removesuffix(".receipt.json")
            try:
                content = json.loads(file.read_bytes())
                receipts[output] = content["fingerprint"], content["made"]
            except (OSError, ValueError, TypeError, KeyError, RecursionError):
                continue
    return receipts
