"""Published systems, a folder each: card, README, recorded answers and the parts that it alone needs, by family.

A system may import `base`, `data`, `evaluation`, `statistics` and `plugins`, and never another system. No core module
imports one: parts are found by name (`shiftbench.base.registry`).
"""
