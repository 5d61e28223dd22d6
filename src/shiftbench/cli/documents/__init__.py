"""Generated pages: parameters, plugins, shifts, checks, and the results of each system.

May import everything but `cli`. A test fails when a page differs from the code that it is generated from.
"""
