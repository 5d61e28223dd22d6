"""Pages that are generated: parameters, shifts, checks, and what each system is and gave.

May import everything but `cli`; a test fails when a page drifts from what it is generated from.
"""
