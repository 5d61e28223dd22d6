"""Shifts: a file for each, or a decorated function in a file of a theme; the contract is in docs/extending.md.

Sizes in pixels (kernel radii, patch edges) are given at 224 px and scale with min(h, w) / 224, so
that a 28 px image is shifted as its enlargement would be. Between two levels the constants are
interpolated linearly; severity 0 is the identity.
"""
