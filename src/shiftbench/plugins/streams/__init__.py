"""Streams, one file each: ordered lists of conditions; see docs/extending.md."""
