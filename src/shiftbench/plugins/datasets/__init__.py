"""Data sets, one file each; docs/extending.md has the contract.

A data set reads source files (`SOURCES`, fetched and checked before), or the user's own files at the path in its
options. It yields samples of its native splits, from which `shiftbench.data.splits` makes train, val and test. For an
unreadable sample it yields a DataError, and the caller decides.
"""
