"""Helpers of datasets: arrays from files, without trusting them, and duplicates by content."""

import hashlib
import pickle
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from shiftbench.base.errors import ChecksumError, DataError
from shiftbench.base.sample import Sample


class _Arrays(pickle.Unpickler):
    """Knows NumPy arrays, strings and plain containers, and nothing that could run code."""

    allowed = frozenset(
        {
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
            ("numpy.core.numeric", "_frombuffer"),
        }
    )

    def find_class(self, module_name: str, global_name: str) -> Any:
        """Resolve a global of the pickle (NumPy 2 moved its core)."""
        if (module_name.replace("numpy._core", "numpy.core"), global_name) not in self.allowed:
            raise pickle.UnpicklingError(f"{module_name}.{global_name} is not allowed")
        return super().find_class(module_name.replace("numpy.core", "numpy._core"), global_name)


def unpickle(stream: IO[bytes], name: str) -> Any:
    """Content of a pickle of NumPy arrays, lists and dicts; bytes of Python 2 stay bytes.

    Raises:
        DataError: it holds something else, or is damaged; the message gives `name`.
    """
    try:
        return _Arrays(stream, encoding="bytes").load()
    except (pickle.UnpicklingError, EOFError, ValueError) as error:
        raise DataError(f"{name}: not a pickle of arrays: {error}") from error


def read_idx(path: Path) -> np.ndarray:
    """Read a file of the idx format of MNIST: uint8, (n,) labels or (n, h, w) images.

    Raises:
        DataError: the header is another, or the size does not fit it.
    """
    raw = path.read_bytes()
    rank = raw[3] if raw[:3] == b"\x00\x00\x08" else 0
    shape = tuple(np.frombuffer(raw, ">i4", rank, 4).tolist()) if rank in (1, 3) else ()
    content = np.frombuffer(raw, np.uint8, offset=min(4 + 4 * rank, len(raw)))
    if not shape or content.size != np.prod(shape):
        raise DataError(f"{path.name}: not an idx file of bytes: header {raw[:16].hex()}, {len(raw)} bytes")
    return content.reshape(shape)


def digest(image: np.ndarray) -> bytes:
    """A digest of shape and pixels."""
    return hashlib.blake2b(f"{image.shape}".encode() + image.tobytes(), digest_size=16).digest()


def first_of_each(parts: Iterable[tuple[str, np.ndarray]]) -> dict[str, list[int]]:
    """Per part the positions of images that occur in no earlier place, in order.

    Args:
        parts: (name, images uint8 (n, h, w) or (n, h, w, 3)), the part to be kept whole first.
    """
    seen: set[bytes] = set()
    kept: dict[str, list[int]] = {}
    for name, images in parts:
        kept[name] = []
        for position, image in enumerate(images):
            mark = digest(image)
            if mark not in seen:
                seen.add(mark)
                kept[name].append(position)
    return kept


def image_samples(prefix: str, images: np.ndarray, labels: np.ndarray, positions: Iterable[int]) -> Iterator[Sample]:
    """Yield `prefix/000123` samples of the images at `positions`."""
    for position in positions:
        yield Sample(f"{prefix}/{position:06d}", {"image": images[position], "label": int(labels[position])})


def check_file(path: Path, sha256: str, hint: str) -> bytes:
    """A file's bytes if they are the expected ones.

    Raises:
        ChecksumError: other bytes, or no file; the message ends with `hint`.
    """
    raw = path.read_bytes() if path.is_file() else b""
    actual = hashlib.sha256(raw).hexdigest()
    if actual != sha256:
        what = f"has sha256 {actual}" if raw else "is missing"
        raise ChecksumError(f"{path.name} {what}, expected {sha256}; {hint}")
    return raw
