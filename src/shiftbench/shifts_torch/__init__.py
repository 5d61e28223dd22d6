"""Shifts for a batch of tensors on any device: torch twins of the files of the same name in shifts/.

A twin draws the same random words and differs from the CPU's result, whose bytes are canonical, by no more
than its TOLERANCE; the contract is in docs/extending.md. A shift without a twin is applied on the CPU.
"""
