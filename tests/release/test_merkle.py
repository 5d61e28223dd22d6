"""The Merkle tree: one value by hand, the vectors of Certificate Transparency, proofs that hold and do not."""

import hashlib

import pytest

from shiftbench.release import merkle

# The test vectors of Certificate Transparency's reference implementation.
INPUTS = [bytes.fromhex(text) for text in (
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"
)]  # fmt: skip
ROOTS = {
    0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    5: "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}


def test_three_leaves_by_hand():
    def sha(data):
        return hashlib.sha256(data).digest()

    a, b, c = (sha(b"\0" + name) for name in (b"a", b"b", b"c"))
    expected = sha(b"\1" + sha(b"\1" + a + b) + c)
    assert merkle.root([merkle.leaf(name) for name in (b"a", b"b", b"c")]) == expected


@pytest.mark.parametrize("size", ROOTS)
def test_published_vectors(size):
    assert merkle.root([merkle.leaf(data) for data in INPUTS[:size]]).hex() == ROOTS[size]


@pytest.mark.parametrize("size", range(1, 20))
def test_every_proof_holds_for_its_leaf_and_for_no_other(size):
    leaves = [merkle.leaf(bytes([number])) for number in range(size)]
    top = merkle.root(leaves)
    for index, own in enumerate(leaves):
        path = merkle.proof(leaves, index)
        assert merkle.holds(own, index, size, path, top)
        assert not merkle.holds(merkle.leaf(b"other"), index, size, path, top)
        assert not merkle.holds(own, index, size, [*path, top], top)
        assert not merkle.holds(own, index, size, path, merkle.leaf(b"root"))
        for wrong in set(range(-1, size + 1)) - {index}:
            assert not merkle.holds(own, wrong, size, path, top)
    with pytest.raises(IndexError, match="no leaf"):
        merkle.proof(leaves, size)
