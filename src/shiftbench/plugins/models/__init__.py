"""Architectures and adapters of models, one file each; see docs/extending.md."""
