"""A Merkle tree over byte strings, and the proof that one of them is in it.

Source: RFC 6962 section 2.1 (the tree of Certificate Transparency) and RFC 9162 section 2.1.3.2 (checking a
proof). A leaf is hashed as 0x00 || data, a node as 0x01 || left || right, so that no node can pass for a leaf.
"""

import hashlib
from collections.abc import Sequence


def leaf(data: bytes) -> bytes:
    """Hash of one leaf."""
    return hashlib.sha256(b"\0" + data).digest()


def node(left: bytes, right: bytes) -> bytes:
    """Hash of the node above two hashes."""
    return hashlib.sha256(b"\1" + left + right).digest()


def root(leaves: Sequence[bytes]) -> bytes:
    """Root of hashed leaves; without leaves, the sha256 of nothing."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    half = _half(len(leaves))
    return node(root(leaves[:half]), root(leaves[half:]))


def proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Hashes that lead from the leaf at `index` to the root, lowest first.

    Raises:
        IndexError: there is no such leaf.
    """
    if not 0 <= index < len(leaves):
        raise IndexError(f"there is no leaf {index} among {len(leaves)}")
    if len(leaves) == 1:
        return []
    half = _half(len(leaves))
    if index < half:
        return [*proof(leaves[:half], index), root(leaves[half:])]
    return [*proof(leaves[half:], index - half), root(leaves[:half])]


def holds(hashed: bytes, index: int, size: int, path: Sequence[bytes], expected: bytes) -> bool:
    """Whether a proof leads from a hashed leaf to a root.

    Args:
        hashed: the hashed leaf.
        index: its index among the leaves.
        size: number of leaves.
        path: the proof, lowest first.
        expected: the root.
    """
    if not 0 <= index < size:
        return False
    last = size - 1
    for other in path:
        if last == 0:
            return False  # the proof is too long
        if index % 2 or index == last:
            hashed = node(other, hashed)
            while index % 2 == 0 and index:  # a leaf at the right edge has no neighbour on these levels
                index, last = index // 2, last // 2
        else:
            hashed = node(hashed, other)
        index, last = index // 2, last // 2
    return last == 0 and hashed == expected


def _half(size: int) -> int:
    """Largest power of two below `size`."""
    return int(1 << ((size - 1).bit_length() - 1))
