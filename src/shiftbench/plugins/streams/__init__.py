"""Ordered lists of positions; see docs/extending.md."""
