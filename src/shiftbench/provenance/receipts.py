"""Receipts: what outputs were made from, and whether their bytes are still those that were made."""

import errno
import os
from pathlib import Path, PurePosixPath
from typing import Any

from shiftbench.base import files
from shiftbench.base.errors import DataError
from shiftbench.base.files import stays_below
from shiftbench.base.refs import Ref
from shiftbench.provenance.memo import Memo, digests

Receipt = dict[str, Any]
_PARTS = {"fingerprint", "recipe", "made", "consumed"}


def receipt_path(root: Path, ref: Ref) -> Path:
    """Return where the receipt of `ref` stands."""
    return root / f"{ref.path}.receipt.json"


def run_path(root: Path, ref: Ref) -> Path:
    """Return where the run file of `ref` stands."""
    return root / f"{ref.path}.run.json"


def is_here(root: Path, ref: Ref) -> bool:
    """Whether an output is here, whatever it holds.

    Raises:
        DataError: one of its folders is no folder, or may not be looked into.
    """
    try:
        os.stat(f"{root}/{ref.path}")  # noqa: PTH116
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ELOOP):
            return False
        raise DataError(_barred(root / ref.path, error)) from None
    return True


def _barred(output: Path, error: OSError) -> str:
    """Say which folder keeps from looking at an output."""
    barred = next(
        folder for folder in (*reversed(output.parents), output) if not (folder.is_dir() and os.access(folder, os.X_OK))
    )
    return (
        f"cannot look at {output}: {barred}: {error.strerror}; outputs belong there, so move it away, or make it a "
        "folder that you can read and write"
    )


def receipt(root: Path, ref: Ref) -> Receipt | None:
    """Read the receipt of `ref`; None when the output is not here, or the receipt is not or cannot be read.

    Raises:
        DataError: as `is_here`.
    """
    return stated(root, ref) if is_here(root, ref) else None


def stated(root: Path, ref: Ref) -> Receipt | None:
    """Read the receipt of `ref`, whether or not the output is here; None when it is not or cannot be read."""
    try:
        content = _RECEIPTS(f"{root}/{ref.path}.receipt.json")
    except OSError:
        return None
    return content if content and _name(ref) in content["made"] else None


def _name(ref: Ref) -> str:
    return ref.path.rpartition("/")[2]


def _whole(data: bytes) -> Receipt | None:
    """Return somebody's JSON if it is a receipt: all parts, of their types, files below its folder alone."""
    try:
        content = files.from_json(data)
    except ValueError:
        return None
    if not isinstance(content, dict) or not content.keys() >= _PARTS:
        return None
    dicts = all(isinstance(content[part], dict) for part in ("recipe", "made", "consumed"))
    whole = (
        isinstance(content["fingerprint"], str)
        and dicts
        and all(isinstance(digest, str) for digest in content["made"].values())
        and all(map(stays_below, content["made"]))
    )
    return content if whole else None


_RECEIPTS: Memo[Receipt | None] = Memo(lambda stream: _whole(stream.read()))


def made(root: Path, ref: Ref) -> str | None:
    """Return the sha256 of `ref` as its receipt states it; None when it is not there."""
    content = receipt(root, ref)
    return content["made"][_name(ref)] if content else None


def flaw(root: Path, ref: Ref) -> str | None:
    """Return which bytes of an output are not those of its receipt, None where all are.

    Shards without any of their tars have no flaw: tars may be elsewhere.
    """
    content = receipt(root, ref)
    if content is None:
        return None
    folder, sha256 = PurePosixPath(ref.path).parent, digests(root)
    lost = []
    for name, digest in content["made"].items():
        try:
            if sha256(f"{folder}/{name}") != digest:
                return f"bytes changed: {name}"
        except FileNotFoundError:
            lost.append(name)
        except OSError:
            return f"bytes unreadable: {name}"
    return None if not lost or lost == _tars(content) else f"bytes missing: {lost[0]}"


def _tars(content: Receipt) -> list[str]:
    return [name for name in content["made"] if name.endswith(".tar")]


def is_hollow(root: Path, ref: Ref) -> bool:
    """Whether these are shards without any tar, as `pull manifests` leaves them."""
    content = receipt(root, ref) if ref.kind == "shards" else None
    tars = _tars(content) if content else []
    return bool(tars) and not any((root / ref.path).with_name(tar).exists() for tar in tars)
