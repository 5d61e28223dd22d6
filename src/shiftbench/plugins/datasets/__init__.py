"""Datasets: one file each, found by its name; `docs/extending.md` has the contract.

A dataset reads originals (`SOURCES`, fetched and checked before) or, when they are the user's own, the
path in its options, and yields samples of its native splits. `shiftbench.data.splits` makes train, val and
test of them. A sample that cannot be read is yielded as its DataError; the caller decides.
"""
