"""Optimisers, one file each; see docs/extending.md."""
