"""Trainers, one file each: they train, probe, fine-tune or take over a checkpoint; see docs/extending.md."""
