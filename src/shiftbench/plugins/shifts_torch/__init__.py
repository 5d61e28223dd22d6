"""Torch implementations of shifts, for a batch of tensors on any device, named as the files in shifts/.

One draws the same random words as the canonical file on the CPU and differs from its result by no more than its
TOLERANCE; the contract is in docs/extending.md. A shift without one is applied on the CPU. Here stand those that a
measurement supports (docs/shifts.md).
"""
