"""Files: atomic writing (temporary file next to the target, flush, rename), and strict reading of YAML and JSON."""

import contextlib
import errno
import hashlib
import json
import math
import os
import shutil
import socket
import tempfile
import zipfile
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
"""Most values in a YAML text, with their repetitions by aliases."""
_DEEPEST = 100
"""Most levels of nested lists and objects in JSON; code that walks through them recurses."""
_DIGITS = 40
"""Most characters of an integer in JSON; every 128-bit integer fits, and a float can represent it."""
_INTEGER = 200
"""Most characters of an integer in YAML, which may be in base 2 or 60; a float can represent it."""
_LONGEST = 255
"""Most bytes of a file name."""
_LONGEST_PATH = 2048
"""Most bytes of a path: Linux allows 4,096, and the folder that a path is relative to needs some of them."""
_HEAD = 512
"""Bytes at the start of a file that show its type."""
_SHOWN = 60
"""Most characters of a value in a message."""


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # libyaml's is five times faster
    """A safe loader that also refuses repeated keys, and gives the position of a value that Python cannot represent."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._flat: set[yaml.MappingNode] = set()

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Refuse a key that is written twice, before the keys of `<<` are merged in."""
        if node not in self._flat:
            self._flat.add(node)
            first: dict[str, yaml.ScalarNode] = {}
            for key, _ in node.value:
                if isinstance(key, yaml.ScalarNode) and key is not first.setdefault(key.value, key):
                    line = first[key.value].start_mark.line + 1
                    problem = f"the key {key.value!r} is there twice, also in line {line}; remove one"
                    raise ConstructorError(None, None, problem, key.start_mark)
        super().flatten_mapping(node)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:  # noqa: FBT001, FBT002
        if node.tag == "tag:yaml.org,2002:int" and len(node.value) > _INTEGER:  # `1:59:59:...`
            problem = f"{shorten(node.value)} cannot be read as int: it is too long"
            raise ConstructorError(None, None, problem, node.start_mark)
        try:
            return super().construct_object(node, deep)
        except (ValueError, KeyError, AttributeError) as error:  # `!!bool x`, `!!timestamp x`
            reason = f": {shorten(error)}" if isinstance(error, ValueError) else ""
            problem = f"{shorten(node.value)} cannot be read as {node.tag.rpartition(':')[2]}{reason}"
            raise ConstructorError(None, None, problem, node.start_mark) from None


def from_yaml(text: str) -> Any:
    """Content of a YAML text; tags that make objects are refused.

    Raises:
        yaml.YAMLError: it is not YAML, a key is there twice, it is nested too deeply, or its aliases repeat too much.
    """
    try:
        content = yaml.load(text, _Loader)  # noqa: S506 - it is a safe one
        _value_count(content, {})
    except RecursionError:
        raise yaml.YAMLError("it is nested too deeply, or contains itself") from None
    except yaml.MarkedYAMLError as error:
        raise yaml.YAMLError(_position_and_reason(error, text)) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise yaml.YAMLError(f"line {line}: {error.reason}; expected a text file") from None
    return content


def _position_and_reason(error: yaml.MarkedYAMLError, text: str) -> str:
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return str(error.problem)
    line = text.splitlines()[mark.line : mark.line + 1]
    tabs = "; YAML is indented with spaces, never with tabs" if line and "\t" in line[0] else ""
    return f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}{tabs}"


def shorten(value: object, most: int = _SHOWN) -> str:
    """The start of a value's text, for a message."""
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
        raise yaml.YAMLError(f"its aliases repeat more than {_EXPANDED:,} values; write the values out")
    return known[id(value)]


def from_json(data: str | bytes) -> Any:
    """Content of a JSON text that somebody else may have written.

    Raises:
        ValueError: it is not JSON in UTF-8, an object has a key twice, it is nested too deeply, or it has a value that
            later code could not use: NaN, infinity, an integer of more than 40 digits, half of a surrogate pair.

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
        json.dumps(content, ensure_ascii=False).encode()  # fails for half of a surrogate pair
    return content


def read_object(file: Path) -> dict[str, Any] | None:
    """Read the JSON object in a file; None if the file is missing or damaged, or is not an object."""
    try:
        content = from_json(file.read_bytes())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _is_deep(content: Any) -> bool:
    """Whether lists and objects are nested too deeply, without recursion."""
    level = [content]
    for _ in range(_DEEPEST):
        parts = [
            value.values() if isinstance(value, dict) else value for value in level if isinstance(value, dict | list)
        ]
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
        raise ValueError(f"{shorten(text)} is not a finite number")
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
    """The type, in words, of a file that cannot be data or a model, from its first bytes; empty for all others.

    Example:
        >>> describe_type(Path("/dev/null"))
        'it is empty (0 bytes)'
    """
    with file.open("rb") as stream:
        head = stream.read(_HEAD)
    if not head:
        return "it is empty (0 bytes)"
    if head.lstrip().lower().startswith((b"<!doctype html", b"<html", b"<head")):
        return "it is an HTML page, probably of a failed download; download the file again"
    if head.startswith(b"version https://git-lfs"):
        return "it is a pointer of Git LFS; `git lfs pull` downloads the file"
    return ""


def model_format(file: Path) -> str:
    """The format of a model's file by its content: the plugin of type models that reads it; empty if unknown.

    `checkpoint` is a state dict, of safetensors or of `torch.save`. A pickle of another kind looks the same.

    Example:
        >>> model_format(Path("/dev/null"))
        ''
    """
    with file.open("rb") as stream:
        head = stream.read(_HEAD)
    if file.suffix == ".safetensors" or (len(head) > _HEADER and head[_HEADER : _HEADER + 1] == b"{"):
        return "checkpoint"
    if head.startswith(b"PAR1"):
        return "predictions"
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            names = [name.partition("/")[2] for name in archive.namelist()]
        if any(name.startswith("code/") for name in names):
            return "torchscript"
        if any("exported_program" in name or name.startswith("models/") for name in names):
            return "torch_export"
        return "checkpoint" if "data.pkl" in names else ""
    return {".onnx": "onnx", ".csv": "predictions"}.get(file.suffix.lower(), "")


_HEADER = 8
"""Bytes of the length in front of the JSON of a safetensors file."""


def sha256(file: Path) -> str:
    """The sha256 of a file, in hexadecimal."""
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
    """The name of a process and its host in the names of its scratch files (see locks.py)."""
    return f"{process or os.getpid()}@{socket.gethostname()}"


def scratch_pattern(process: int) -> str:
    """The pattern of the scratch files that a process of this host leaves when it is killed."""
    return f".*.{_signature(process)}.part"


@contextmanager
def scratch(output: Path) -> Iterator[Path]:
    """Yield a temporary path next to an output; it is removed unless it was renamed.

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
    """Yield an empty folder next to an output; it is removed afterwards.

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
    """Make the folder of an output, and turn an error of the disk or of permissions into a DataError.

    Raises:
        UntrustedError: a link of an untrusted checkout leads elsewhere.
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
        advice = "move the folder away" if output.is_dir() else "make the folder writable or set another `root:`"
        raise DataError(f"cannot write {output}: {error.strerror}; {advice}") from error


def sweep(output: Path, *, owns_folder: bool) -> None:
    """Remove the scratch files of killed processes next to an output; the caller has the output's lock."""
    mine = "" if owns_folder else f"{output.name}."
    for path in [*output.parent.glob(f".{mine}*.part"), *output.parent.glob(f".part-{mine}*")]:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def sync(path: Path) -> None:
    """Flush a file or a folder to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
