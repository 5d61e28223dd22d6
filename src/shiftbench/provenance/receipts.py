"""Receipts: the recipe and digests of an output, and checks of its bytes against them."""

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
    """The path of the receipt of `ref`."""
    return root / f"{ref.path}.receipt.json"


def run_path(root: Path, ref: Ref) -> Path:
    """The path of the run file of `ref`."""
    return root / f"{ref.path}.run.json"


def is_here(root: Path, ref: Ref) -> bool:
    """Whether an output exists, whatever its content.

    Raises:
        DataError: one of its folders is no folder, or cannot be read.
    """
    try:
        os.stat(f"{root}/{ref.path}")  # noqa: PTH116
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ELOOP):
            return False
        raise DataError(_unreadable_message(root / ref.path, error)) from None
    return True


def _unreadable_message(output: Path, error: OSError) -> str:
    """The message on the folder that makes an output unreadable."""
    obstacle = next(
        folder for folder in (*reversed(output.parents), output) if not (folder.is_dir() and os.access(folder, os.X_OK))
    )
    return (
        f"cannot look at {output}: {obstacle}: {error.strerror}; outputs belong there, so move it away, or make it a "
        "folder that you can read and write"
    )


def receipt(root: Path, ref: Ref) -> Receipt | None:
    """Read the receipt of `ref`; None if the output is missing, or the receipt is missing or unreadable.

    Raises:
        DataError: as in `is_here`.
    """
    return stated(root, ref) if is_here(root, ref) else None


def stated(root: Path, ref: Ref) -> Receipt | None:
    """Read the receipt of `ref`, also without the output; None if the receipt is missing or unreadable."""
    try:
        content = _RECEIPTS(f"{root}/{ref.path}.receipt.json")
    except OSError:
        return None
    return content if content and _name(ref) in content["made"] else None


def _name(ref: Ref) -> str:
    return ref.path.rpartition("/")[2]


def _parse(data: bytes) -> Receipt | None:
    """The receipt in a JSON text; None if a part is missing or wrong, or if a file leads out of the folder."""
    try:
        content = files.from_json(data)
    except ValueError:
        return None
    if not isinstance(content, dict) or not content.keys() >= _PARTS:
        return None
    are_dicts = all(isinstance(content[part], dict) for part in ("recipe", "made", "consumed"))
    is_valid = (
        isinstance(content["fingerprint"], str)
        and are_dicts
        and all(isinstance(digest, str) for digest in content["made"].values())
        and all(map(stays_below, content["made"]))
    )
    return content if is_valid else None


_RECEIPTS: Memo[Receipt | None] = Memo(lambda stream: _parse(stream.read()))


def made(root: Path, ref: Ref) -> str | None:
    """The sha256 of `ref` in its receipt; None without a receipt."""
    content = receipt(root, ref)
    return content["made"][_name(ref)] if content else None


def flaw(root: Path, ref: Ref) -> str | None:
    """The first difference between an output and its receipt; None if there is none.

    Shards without any of their tars have no flaw, because tars may be on a remote.
    """
    content = receipt(root, ref)
    if content is None:
        return None
    folder, sha256 = PurePosixPath(ref.path).parent, digests(root)
    missing = []
    for name, digest in content["made"].items():
        try:
            if sha256(f"{folder}/{name}") != digest:
                return f"bytes changed: {name}"
        except FileNotFoundError:
            missing.append(name)
        except OSError:
            return f"bytes unreadable: {name}"
    return None if not missing or missing == _tars(content) else f"bytes missing: {missing[0]}"


def _tars(content: Receipt) -> list[str]:
    return [name for name in content["made"] if name.endswith(".tar")]


def is_hollow(root: Path, ref: Ref) -> bool:
    """Whether these are shards without any tar, as `pull manifests` leaves them."""
    content = receipt(root, ref) if ref.kind == "shards" else None
    tars = _tars(content) if content else []
    return bool(tars) and not any((root / ref.path).with_name(tar).exists() for tar in tars)
