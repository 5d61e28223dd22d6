"""Foundations: errors, samples, names of outputs, random streams, files, and the registry of plugins.

Imports nothing else of shiftbench.
"""
