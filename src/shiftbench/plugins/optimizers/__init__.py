"""Optimisers; see docs/extending.md."""
