"""Releases: a manifest under one Merkle root, an attestation, and descriptions for other tools."""
