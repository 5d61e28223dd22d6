"""Tools behind commands that are no part of a run: calibrate, cite, detect, preview, doctor, `init`, `new`.

May import everything but `audit`, `release` and `cli`; nothing below imports a tool.
"""
