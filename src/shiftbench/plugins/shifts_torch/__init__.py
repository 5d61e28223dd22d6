"""Torch implementations of shifts, for a batch of tensors on any device, with the names of the shifts.

An implementation uses the same random numbers as the shift on the CPU, and its result differs by at most its TOLERANCE;
docs/extending.md has the contract. A shift without an implementation is applied on the CPU. This folder contains the
implementations that a measurement supports (docs/shifts.md).
"""
