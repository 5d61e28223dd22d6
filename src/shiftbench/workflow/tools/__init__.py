"""What people use beside a run: calibrate, cite, detect, preview, doctor, `init`, `new`, generated pages.

May import everything but `audit`, `release` and `cli`; nothing below imports a tool.
"""
