"""Atomic files: written to a temporary path next to the target, flushed to disk, renamed."""

import contextlib
import errno
import hashlib
import json
import math
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import yaml
from yaml.constructor import ConstructorError

from shiftbench.base.errors import DataError

_UNWRITABLE = {
    getattr(errno, name) for name in "EACCES EPERM EROFS ENOSPC EDQUOT ENOTDIR EISDIR EEXIST ENAMETOOLONG".split()
}

CHECKS: list[Callable[[Path], None]] = []
"""Guards that are called before a file is written or removed; each may refuse. `trust` adds one."""
_EXPANDED = 1_000_000
"""Values that a YAML text may hold, counted as often as aliases repeat them."""


_DEEPEST = 100
"""Lists and objects that JSON may hold inside each other; what looks into it recurses."""
_DIGITS = 40
"""Characters of an integer in JSON: any of 128 bits fits, and a float can hold it."""
_INTEGER = 200
"""Characters of an integer in YAML, which may be to the base 2 or 60; a float can hold it."""
_LONGEST = 255
"""Bytes of a name that file systems take."""
_LONGEST_PATH = 2048
"""Bytes of a path: Linux takes 4,096, and the folder that a path is relative to needs some of them."""
_HEAD = 512
"""Bytes that tell what a file is."""
_SHOWN = 60
"""Characters of a value that a message repeats."""


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # libyaml's is five times faster
    """Safe, and refuses what YAML lets pass: a key that stands twice. Says where a value is that Python cannot hold."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._flat: set[yaml.MappingNode] = set()

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Look at the keys as they were written, before those of `<<` come among them."""
        if node not in self._flat:
            self._flat.add(node)
            first: dict[str, yaml.ScalarNode] = {}
            for key, _ in node.value:
                if isinstance(key, yaml.ScalarNode) and key is not first.setdefault(key.value, key):
                    line = first[key.value].start_mark.line + 1
                    problem = f"the key {key.value!r} stands twice, in line {line} too; remove one"
                    raise ConstructorError(None, None, problem, key.start_mark)
        super().flatten_mapping(node)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:  # noqa: FBT001, FBT002
        if node.tag == "tag:yaml.org,2002:int" and len(node.value) > _INTEGER:  # `1:59:59:...`
            problem = f"{shorten(node.value)} cannot be read as int: it is too long"
            raise ConstructorError(None, None, problem, node.start_mark)
        try:
            return super().construct_object(node, deep)
        except (ValueError, KeyError, AttributeError) as error:  # `!!bool x`, `!!timestamp x`
            why = f": {shorten(error)}" if isinstance(error, ValueError) else ""
            problem = f"{shorten(node.value)} cannot be read as {node.tag.rpartition(':')[2]}{why}"
            raise ConstructorError(None, None, problem, node.start_mark) from None


def from_yaml(text: str) -> Any:
    """Content of a YAML text; tags that make objects are refused.

    Raises:
        yaml.YAMLError: it is no YAML, a key stands twice, it is nested too deeply, or its aliases hold too much.
    """
    try:
        content = yaml.load(text, _Loader)  # noqa: S506 - it is a safe one
        _value_count(content, {})
    except RecursionError:
        raise yaml.YAMLError("it is nested too deeply, or holds itself") from None
    except yaml.MarkedYAMLError as error:
        raise yaml.YAMLError(_placed(error, text)) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise yaml.YAMLError(f"line {line}: {error.reason}; is it a text?") from None
    return content


def _placed(error: yaml.MarkedYAMLError, text: str) -> str:
    """Position and reason of an error in a YAML text."""
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return str(error.problem)
    line = text.splitlines()[mark.line : mark.line + 1]
    tabs = "; YAML is indented by spaces, never by tabs" if line and "\t" in line[0] else ""
    return f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}{tabs}"


def shorten(value: object, most: int = _SHOWN) -> str:
    """Return the beginning of a value's text, for a message."""
    text = str(value)
    return text if len(text) <= most else f"{text[:most]}..."


def _value_count(value: Any, known: dict[int, int]) -> int:
    """Number of values inside a value; repeated ones count each time."""
    if not isinstance(value, dict | list):
        return 1
    if id(value) not in known:
        parts = value.values() if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_value_count(part, known) for part in parts)
    if known[id(value)] > _EXPANDED:
        raise yaml.YAMLError(f"its aliases repeat more than {_EXPANDED:,} values")
    return known[id(value)]


def from_json(data: str | bytes) -> Any:
    """Content of a JSON text that somebody else may have written.

    Raises:
        ValueError: it is no JSON in UTF-8, an object has a key twice, it is nested too deeply, or Python could hold a
            value but not work with it: NaN, infinity, an integer of more than 40 digits, half of a surrogate pair.

    Example:
        >>> from_json(b'{"seeds": [1, 2]}')
        {'seeds': [1, 2]}
    """
    text = data if isinstance(data, str) else data.decode()
    try:
        content = _JSON.decode(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if _is_deep(content):
        raise ValueError(f"it is nested more than {_DEEPEST} times")
    if "\\u" in text:
        json.dumps(content, ensure_ascii=False).encode()  # half of a pair has no bytes
    return content


def read_object(file: Path) -> dict[str, Any] | None:
    """Read the JSON object in a file that somebody may have damaged; None: no such file, or no object in it."""
    try:
        content = from_json(file.read_bytes())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _is_deep(content: Any) -> bool:
    """Whether lists and objects are nested too deeply, without recursion."""
    level = [content]
    for _ in range(_DEEPEST):
        parts = [one.values() if isinstance(one, dict) else one for one in level if isinstance(one, dict | list)]
        level = [value for part in parts for value in part]
        if not level:
            return False
    return True


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        keys = [key for key, _ in pairs]
        key = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {shorten(key)!r} is there twice; remove one")
    return content


def _integer(text: str) -> int:
    if len(text) > _DIGITS:
        raise ValueError(f"the integer {shorten(text)} is too long")
    return int(text)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{shorten(text)} is no number that is finite")
    return value


_JSON = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_finite, parse_int=_integer, parse_float=_finite)


def stays_below(path: object) -> bool:
    """Whether a path that somebody else wrote stays below the folder that it is relative to.

    Example:
        >>> [stays_below(path) for path in ("a/b.tar", "../a", "/a", "a/../../b", "", ".", 3)]
        [True, False, False, False, False, False, False]
    """
    if not isinstance(path, str) or not path.isprintable():
        return False
    parts = PurePosixPath(path).parts
    return bool(parts) and is_valid_path(path) and not path.startswith("/") and ".." not in parts


def is_valid_path(path: str) -> bool:
    r"""Whether file systems accept a path: neither a part of it nor the whole is too long.

    Example:
        >>> [is_valid_path(path) for path in ("a/b.tar", "/", "a" * 256, "a/" * 2000, "a\0b")]
        [True, True, False, False, False]
    """
    lengths = [len(part.encode(errors="replace")) for part in PurePosixPath(path).parts]
    whole = sum(lengths) + len(lengths)
    return max(lengths, default=0) <= _LONGEST and whole <= _LONGEST_PATH and "\0" not in path


def describe_type(file: Path) -> str:
    """Return in words what a file is that cannot be data or a model, by its first bytes; nothing for all others.

    Example:
        >>> describe_type(Path("/dev/null"))
        'it is empty (0 bytes)'
    """
    with file.open("rb") as stream:
        head = stream.read(_HEAD)
    if not head:
        return "it is empty (0 bytes)"
    if head.lstrip().lower().startswith((b"<!doctype html", b"<html", b"<head")):
        return "it is an HTML page, as of a download that failed"
    if head.startswith(b"version https://git-lfs"):
        return "it is a pointer of Git LFS; `git lfs pull` brings the file"
    return ""


def sha256(file: Path) -> str:
    """Return the sha256 of a file, hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_json(file: Path, value: object) -> None:
    """Write JSON atomically: temporary file, fsync, rename."""
    text = json.dumps(value, sort_keys=True, indent=1, allow_nan=False) + "\n"
    write_bytes(file, text.encode())


def write_bytes(file: Path, data: bytes) -> None:
    """Write bytes atomically: temporary file, fsync, rename.

    Raises:
        DataError: the folder cannot be written.
    """
    with scratch(file) as temporary:
        temporary.write_bytes(data)
        sync(temporary)
        temporary.replace(file)


def _signature(process: int | None = None) -> str:
    """Name this process or another one of this host, so that others know whose scratch file it is (see locks.py)."""
    return f"{process or os.getpid()}@{socket.gethostname()}"


def scratch_pattern(process: int) -> str:
    """Return the pattern of the scratch files that a process of this host leaves when it is killed."""
    return f".*.{_signature(process)}.part"


@contextmanager
def scratch(output: Path) -> Iterator[Path]:
    """Give a temporary path next to an output; it is removed if it was not renamed.

    Raises:
        DataError: the folder cannot be written.
    """
    temporary = output.with_name(f".{output.name}.{_signature()}.part")
    with writable(output):
        try:
            yield temporary
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


@contextmanager
def scratch_folder(output: Path) -> Iterator[Path]:
    """Give an empty folder next to an output; it is removed afterwards.

    Raises:
        DataError: the folder cannot be written.
    """
    with writable(output):
        temporary = Path(tempfile.mkdtemp(prefix=f".part-{output.name}.{_signature()}-", dir=output.parent))
        try:
            yield temporary
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def writable(output: Path) -> Iterator[None]:
    """Make the folder of an output, and say it in our words when it or the disk refuses.

    Raises:
        UntrustedError: a link of a checkout that is not trusted leads elsewhere.
        DataError: no permission, no space, a file where a folder should be.
    """
    for check in CHECKS:
        check(output)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        if error.errno not in _UNWRITABLE:
            raise
        cure = "move the folder away" if output.is_dir() else "make the folder writable or set another `root:`"
        raise DataError(f"cannot write {output}: {error.strerror}; {cure}") from error


def sweep(output: Path, *, owns_folder: bool) -> None:
    """Remove what a killed process left next to an output; the caller holds the output's lock."""
    mine = "" if owns_folder else f"{output.name}."
    for left in [*output.parent.glob(f".{mine}*.part"), *output.parent.glob(f".part-{mine}*")]:
        if left.is_dir():
            shutil.rmtree(left)
        else:
            left.unlink()


def sync(path: Path) -> None:
    """Flush a file or a folder to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
