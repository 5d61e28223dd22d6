"""Losses by theme, each a function under `declare.loss`; trainers import those that they use."""
